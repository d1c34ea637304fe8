// SPDX-License-Identifier: Apache-2.0
#include "kernels/gradient_norm.h"
#include "tests/cases/gradient_norm.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

template <class T>
struct Check {
  Norm norm{-1, -1};
  Fault fault;
  Check(const Context& ctx, GradientNormShape s, const std::vector<T>& slab, double clip, bool timed) {
    const int64_t step = 41;
    if constexpr (std::is_same_v<T, float>) {
      if (timed) {
        cpu::gradient_check(ctx, s, slab.data(), clip, &norm, &fault, &step);
        return;
      }
    }
    cpu::gradient_check<T>(ctx, s, slab.data(), clip, &norm, &fault, &step);
  }
};

TEST(GradientNorm, AllFormsAgree) {
  for (const GradientNormShape& s : kGradientNormCases) {
    SCOPED_TRACE(describe("gradient_norm", {s.gradients, s.total}));
    const auto slab = random_values<float>(s.total, 1);
    double squares = 0;
    for (int64_t i = 0; i < s.gradients; ++i) squares += std::pow(static_cast<double>(slab[static_cast<size_t>(i)]), 2);
    const double norm = std::sqrt(squares), clip = 0.5;
    for (const Norm& got : {Check<float>({}, s, slab, clip, false).norm, Check<float>({}, s, slab, clip, true).norm,
                            Check<double>({}, s, converted<double>(slab), clip, false).norm}) {
      EXPECT_NEAR(got.norm, norm, 1e-12 * norm);
      EXPECT_NEAR(got.scale, std::min(1.0, clip / (norm + 1e-6)), 1e-12);
    }
    EXPECT_EQ(Check<float>({}, s, slab, 0, true).norm.scale, 1);
    EXPECT_EQ(Check<float>({}, s, slab, 1e9, true).norm.scale, 1);
    expect_same_bits_for_threads([&](const Context& ctx) {
      const Check<float> check(ctx, s, slab, clip, true);
      return std::vector<double>{check.norm.norm, check.norm.scale};
    });
  }
}

TEST(GradientNorm, LargestFloatsDoNotOverflow) {
  const std::vector<float> slab(20000, 3e38f);
  const Check<float> check({}, {20000, 20000}, slab, 0, true);
  EXPECT_EQ(check.fault.code, 0);
  EXPECT_NEAR(check.norm.norm / (3e38 * std::sqrt(20000.0)), 1, 1e-6);
}

TEST(GradientNorm, NamesTheLowestBadElement) {
  const GradientNormShape s{100000, 100004};
  const float kInfinity = std::numeric_limits<float>::infinity();
  for (const int64_t at : {0, 15, 16, 16383, 16384, 70001, 99999, 100000, 100003}) {
    for (const float bad : {std::nanf(""), kInfinity, -kInfinity}) {
      auto slab = random_values<float>(s.total, 2);
      slab[static_cast<size_t>(at)] = slab.back() = bad;
      for (const bool timed : {false, true}) {
        const Check<float> check(test_context(2), s, slab, 1, timed);
        EXPECT_EQ(check.fault.code, 6);
        EXPECT_EQ(check.fault.op, kFaultGradient);
        EXPECT_EQ(check.fault.step, 41);
        EXPECT_EQ(check.fault.index, at);
      }
    }
  }
}

TEST(GradientNorm, KeepsAnEarlierFault) {
  const std::vector<float> slab = {std::nanf("")};
  for (const bool timed : {false, true}) {
    Norm norm;
    Fault fault{1, 7, 3, 5};
    const int64_t step = 4;
    if (timed) {
      cpu::gradient_check({}, {1, 1}, slab.data(), 0, &norm, &fault, &step);
    } else {
      cpu::gradient_check<float>({}, {1, 1}, slab.data(), 0, &norm, &fault, &step);
    }
    EXPECT_EQ(fault.code, 1);
    EXPECT_EQ(fault.op, 7);
    EXPECT_EQ(fault.step, 3);
    EXPECT_EQ(fault.index, 5);
  }
}

}  // namespace
}  // namespace hourglass::test
