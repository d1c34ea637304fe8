// SPDX-License-Identifier: Apache-2.0
// What a training on the CUDA device promises, for every model in every precision: the same bits on every run, eagerly
// and captured, and the loss curve of the CPU. In the emulator each run has another order of threads and other bytes in
// memory that nobody has written; the real sizes are those of determinism.cpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <ostream>

#include "engine/runtime.h"
#include "kernels/base/cublaslt.h"
#include "kernels/base/error.h"
#include "tests/cuda_runtime_test.h"
#include "tests/model_runs.h"

namespace hourglass::test {

/// A test's name in CTest has this beside it.
void PrintTo(const ModelRow* row, std::ostream* out) { *out << row->small; }

namespace {

#if defined(HOURGLASS_CUDA_EMULATED)
constexpr int kRuns = 4, kRoundedRuns = 2;  // there are four schedules
#else
constexpr int kRuns = 10, kRoundedRuns = 10;
#endif

constexpr const char* kSmall = " --data shapes:8:40 --batch 4 --threads 1";

using CudaTrainings = CudaRuntimeTest;
class CudaModels : public CudaTrainings, public testing::WithParamInterface<const ModelRow*> {};

std::vector<const ModelRow*> small_rows() {
  std::vector<const ModelRow*> rows;
  for (const ModelRow& row : model_rows()) {
    if (row.small) rows.push_back(&row);
  }
  return rows;
}

TEST_P(CudaModels, KeepTheirPromises) {
  const ModelRun run(GetParam()->small, kSmall);
  RunPlan plan;
  plan.steps = 5;
  plan.evaluated = 4;
  plan.device = "cpu";
  const Outcome cpu = train(run, plan);
  plan.device = "cuda";
  Verdict full;
  for (const Precision precision : {Precision::kFp32, Precision::kTf32, Precision::kBf16}) {
    SCOPED_TRACE(name_of(precision));
    plan.precision = precision;
    const Verdict got = examine(run, plan, precision == Precision::kFp32 ? kRuns : kRoundedRuns, cpu);
    EXPECT_EQ(got.hashes, 1) << got.differs;
    EXPECT_TRUE(got.eager_equals_captured) << got.differs;
    EXPECT_LE(got.difference, got.tolerance);
    EXPECT_LE(got.gradient_difference, got.gradient_tolerance);
    EXPECT_TRUE(got.ok());
    if (precision == Precision::kFp32) full = got;
    const int casts = precision == Precision::kBf16 && run.options.is_vqvae() ? 4 : 0;  // around the quantiser
    if (cuda::cublaslt_version().empty()) {  // a plan of the library may be two launches in one precision
      EXPECT_EQ(got.nodes, full.nodes + casts) << "no launch for the shadows";
    }
    EXPECT_TRUE(precision != Precision::kBf16 || got.hash != full.hash);
  }
}

TEST_F(CudaTrainings, KMeansIsTheSameEachTimeToo) {
  const Verdict got = examine_kmeans(ModelRun("ae", kSmall), {}, kRuns, 40, {.iterations = 3}, 4);
  EXPECT_EQ(got.hashes, 1) << got.differs;
  EXPECT_LE(got.difference, 1e-6);
}

/// What the others rely on: that a difference of the last bit is one.
TEST_F(CudaTrainings, AnotherSeedRateOrPrecisionIsAnotherHash) {
  RunPlan plan;
  plan.steps = 4;
  plan.evaluated = 4;
  const std::string words = "vae --hidden 8 --latent 2";
  const Outcome first = train(ModelRun(words, kSmall), plan);
  const Outcome seed = train(ModelRun(words + " --seed 1", kSmall), plan);
  const Outcome rate = train(ModelRun(words + " --lr 0.0010000001", kSmall), plan);
  EXPECT_NE(differing_parts(first, seed), "");
  EXPECT_NE(first.hash, seed.hash);
  EXPECT_GT(relative_difference(seed, first), 1e-3);
  EXPECT_NE(first.hash, rate.hash);
  plan.precision = Precision::kTf32;
  EXPECT_NE(first.hash, train(ModelRun(words, kSmall), plan).hash);
  EXPECT_LT(relative_difference(rate, first), 1e-6);
  EXPECT_NE(differing_parts(first, rate).find("model/"), std::string::npos) << differing_parts(first, rate);
}

INSTANTIATE_TEST_SUITE_P(All, CudaModels, testing::ValuesIn(small_rows()), [](const auto& info) {
  std::string name = info.param->name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

}  // namespace
}  // namespace hourglass::test
