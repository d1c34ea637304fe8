// SPDX-License-Identifier: Apache-2.0
#include <optional>

#include "kernels/nearest_codebook.h"
#include "tests/cases/nearest_codebook.h"
#include "tests/codebook_checks.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

using cuda::CodebookSearch;
constexpr float kInf = std::numeric_limits<float>::infinity();

struct Found {
  std::vector<int32_t> index;
  std::vector<float> distance;
  Fault fault;
};

Found find(CodebookSearch search, const NearestCodebookShape& s, const CodebookData& data, Fault before = {},
           std::optional<char> held = {}) {
  const DeviceArray<float> x(data.x), codebook(data.codebook);
  const DeviceArray<int64_t> step(std::vector<int64_t>{41});
  const auto got = on_cuda([&](const Context& ctx) {
    DeviceArray<int32_t> index(s.N);
    DeviceArray<float> distance(s.N);
    DeviceArray<char> scratch(static_cast<int64_t>(cuda::nearest_codebook_scratch_bytes(ctx, s)));
    const auto stream = static_cast<cudaStream_t>(ctx.stream);
    if (held) CUDA_CHECK(cudaMemsetAsync(scratch.data(), *held, static_cast<size_t>(scratch.size()), stream));
    DeviceArray<Fault> fault(std::vector<Fault>{before});
    cuda::nearest_codebook(ctx, s, x.data(), codebook.data(), scratch.data(), index.data(), distance.data(),
                           FaultReport{fault.data(), step.data()}, search);
    return std::tuple(index.values(), distance.values(), fault.values());
  });
  return {std::get<0>(got), std::get<1>(got), std::get<2>(got)[0]};
}

std::vector<CodebookSearch> searches(int D) {
  if (D > 16) return {CodebookSearch::kTiles};
  return {CodebookSearch::kTiles, CodebookSearch::kThreadRow};
}

using NearestCodebookCuda = CudaTest;

TEST_F(NearestCodebookCuda, MemoryGrowsWithRowsPlusCodes) {
  for (const int D : {1, 8, 64, 700}) {
    const auto bytes = [&](int N, int K) {
      const auto of = [&](const Context& ctx) { return cuda::nearest_codebook_scratch_bytes(ctx, {N, D, K}); };
      return on_cuda([&](const Context& ctx) { return std::vector<int64_t>{static_cast<int64_t>(of(ctx))}; })[0];
    };
    // Twice the rows and codes are four times the pairs.
    EXPECT_LE(bytes(1 << 15, 1 << 17), 2 * bytes(1 << 14, 1 << 16) + 4096);
    EXPECT_LE(bytes(1 << 14, 1 << 16), 256 * ((1 << 14) + (1 << 16)));
  }
}

TEST_F(NearestCodebookCuda, EveryTechniqueIsExactOnEveryKindOfData) {
  for (NearestCodebookShape s : kNearestCodebookCases) {
    if (int64_t{s.N} * s.K > 40000 || s.D > 64) s = {40, s.D % 64 + 1, 300};
    for (const CodebookData& data : codebook_data(s)) {
      const auto smallest = smallest_distances(s, data);
      for (const CodebookSearch search : searches(s.D)) {
        SCOPED_TRACE(describe("nearest_codebook", {s.N, s.D, s.K, static_cast<int>(search)}) + " " + data.name);
        const Found got = find(search, s, data);
        EXPECT_EQ(got.fault.code, 0);
        expect_nearest(s, data, smallest, got.index, got.distance);
      }
    }
  }
}

/// Rows at the origin: every score is positive, and what an earlier kernel left behind the codes' is none.
TEST_F(NearestCodebookCuda, WhatTheScratchMemoryHeldIsNoCode) {
  const NearestCodebookShape s{40, 12, 20};
  const CodebookData data{"origin", std::vector<float>(480), random_values<float>(240, 1, 1, 3)};
  const auto smallest = smallest_distances(s, data);
  for (const CodebookSearch search : searches(s.D)) {
    for (const char before : {'\0', '\xff'}) {
      const Found got = find(search, s, data, {}, before);
      expect_nearest(s, data, smallest, got.index, got.distance);
    }
  }
}

/// Each code is nearer than all before it: lists fill up, are pruned, and overflow where the steps are within the
/// bound.
TEST_F(NearestCodebookCuda, CodesInDescendingDistance) {
  const NearestCodebookShape s{3, 4, 700};
  for (const float ratio : {0.97f, 1 - 1e-7f, 1.0f}) {
    CodebookData data{"descending", std::vector<float>(12, 1.0f), std::vector<float>(2800)};
    float distance = 50;
    for (int k = 0; k < s.K; ++k, distance *= ratio) {
      for (int d = 0; d < s.D; ++d) data.codebook[4 * k + d] = 1 + (d == k % 4 ? distance : 0);
    }
    const auto smallest = smallest_distances(s, data);
    for (const CodebookSearch search : searches(s.D)) {
      const Found got = find(search, s, data);
      expect_nearest(s, data, smallest, got.index, got.distance);
    }
  }
}

TEST_F(NearestCodebookCuda, NamesWhatIsNotFinite) {
  const NearestCodebookShape s{70, 5, 60};
  for (const CodebookSearch search : searches(s.D)) {
    for (const float bad : {std::nanf(""), kInf, -kInf}) {
      CodebookData data{"", random_values<float>(350, 1), random_values<float>(300, 2)};
      data.x[40 * 5 + 4] = data.x[69 * 5] = bad;
      const Found row = find(search, s, data);
      EXPECT_EQ(row.fault.code, static_cast<int>(Exit::kNotFinite));
      EXPECT_EQ(row.fault.op, kFaultPosition);
      EXPECT_EQ(row.fault.step, 41);
      EXPECT_EQ(row.fault.index, 40);
      for (int n = 0; n < s.N; ++n) {
        EXPECT_EQ(row.index[n] < 0, n == 40 || n == 69);
        EXPECT_EQ(std::isnan(row.distance[n]), n == 40 || n == 69);
      }
      EXPECT_EQ(find(search, s, data, {1, 7, 3, 5}).fault.op, 7);
      data.codebook[57 * 5] = bad;
      const Found code = find(search, s, data);
      EXPECT_EQ(code.fault.op, kFaultCode);
      EXPECT_EQ(code.fault.index, 57);
      EXPECT_EQ(std::count(code.index.begin(), code.index.end(), 57), 0);
      std::fill(data.codebook.begin(), data.codebook.end(), bad);
      EXPECT_EQ(find(search, s, data).index, std::vector<int32_t>(70, -1));
    }
  }
}

TEST_F(NearestCodebookCuda, RefusesARowThatAThreadCannotHold) {
  expect_error(
      [] {
        cuda::nearest_codebook<float>(cuda_context(), {1, 17, 1}, nullptr, nullptr, nullptr, nullptr, nullptr, {},
                                      CodebookSearch::kThreadRow);
      },
      Exit::kUsage, {"nearest_codebook", "D = 17"});
}

}  // namespace
}  // namespace hourglass::test
