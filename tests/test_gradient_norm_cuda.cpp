// SPDX-License-Identifier: Apache-2.0
#include "kernels/gradient_norm.h"
#include "tests/cases/gradient_norm.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

struct Result {
  Norm norm;
  Fault fault;
};

Result check(GradientNormShape s, const std::vector<float>& slab, double clip, Fault before = {}, int offset = 0) {
  const DeviceArray<float> device_slab(slab, offset);
  const DeviceArray<int64_t> step(std::vector<int64_t>{41});
  const auto got = on_cuda([&](const Context& ctx) {
    DeviceArray<Norm> norm(std::vector<Norm>{{-1, -1}});
    DeviceArray<Fault> fault(std::vector<Fault>{before});
    cuda::gradient_check(ctx, s, device_slab.data(), clip, norm.data(), fault.data(), step.data());
    return std::tuple(norm.values(), fault.values());
  });
  return {std::get<0>(got)[0], std::get<1>(got)[0]};
}

using GradientNormCuda = CudaTest;

TEST_F(GradientNormCuda, MatchesTheReference) {
  const auto work = [](const GradientNormShape& s) { return s.total; };
  for (const GradientNormShape& s : affordable(kGradientNormCases, kMostElements, work)) {
    SCOPED_TRACE(describe("gradient_norm", {s.gradients, s.total}));
    const auto slab = random_values<float>(s.total, 1);
    for (const double clip : {0.0, 0.5, 1e9}) {
      if (clip != 0.5 && s.total > 100000) continue;
      Norm want;
      Fault none;
      const int64_t step = 41;
      cpu::gradient_check<double>({}, s, converted<double>(slab).data(), clip, &want, &none, &step);
      for (const int offset : {0, 1}) {
        if (offset && s.total > 100000) continue;
        const Result got = check(s, slab, clip, {}, offset);
        EXPECT_NEAR(got.norm.norm, want.norm, 1e-12 * want.norm);
        EXPECT_NEAR(got.norm.scale, want.scale, 1e-12);
        EXPECT_EQ(got.fault.code, 0);
      }
    }
  }
}

TEST_F(GradientNormCuda, LargestFloatsDoNotOverflow) {
  const Result got = check({20000, 20000}, std::vector<float>(20000, 3e38f), 0);
  EXPECT_EQ(got.fault.code, 0);
  EXPECT_NEAR(got.norm.norm / (3e38 * std::sqrt(20000.0)), 1, 1e-6);
}

TEST_F(GradientNormCuda, NamesTheLowestBadElement) {
  const GradientNormShape s{20000, 20003};
  const float kInfinity = std::numeric_limits<float>::infinity();
  for (const int64_t at : {0, 3, 4, 1023, 1024, 10001, 19999, 20000, 20001}) {
    for (const float bad : {std::nanf(""), kInfinity, -kInfinity}) {
      auto slab = random_values<float>(s.total, 2);
      slab[static_cast<size_t>(at)] = slab[static_cast<size_t>(at) + 1] = slab.back() = bad;
      const Result got = check(s, slab, 1);
      EXPECT_EQ(got.fault.code, 6);
      EXPECT_EQ(got.fault.op, kFaultGradient);
      EXPECT_EQ(got.fault.step, 41);
      EXPECT_EQ(got.fault.index, at);
    }
  }
}

TEST_F(GradientNormCuda, KeepsAnEarlierFault) {
  const Result got = check({1, 1}, {std::nanf("")}, 0, {1, 7, 3, 5});
  EXPECT_EQ(got.fault.code, 1);
  EXPECT_EQ(got.fault.op, 7);
  EXPECT_EQ(got.fault.step, 3);
  EXPECT_EQ(got.fault.index, 5);
}

}  // namespace
}  // namespace hourglass::test
