// SPDX-License-Identifier: Apache-2.0
#include "kernels/gaussian_nll.h"
#include "kernels/optimal_gaussian.h"
#include "tests/cases/optimal_gaussian.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

struct Inputs {
  explicit Inputs(RowLossShape s)
      : size(int64_t{s.N} * s.D), y(random_values<float>(size, 1)), x(random_values<float>(size / s.draws, 2, 0, 1)) {}
  int64_t size;
  std::vector<float> y, x;
};
const double kHalf = 0.5;
const Weight kWeight{3, &kHalf};  // 1.5

/// The composition it stands for: gaussian_nll with log sigma = log(mse) / 2 that takes no gradient.
TEST(OptimalGaussian, IsGaussianNllAtTheBestSigma) {
  for (const RowLossShape& s : kOptimalGaussianCases) {
    SCOPED_TRACE(describe("optimal_gaussian", {s.N, s.D, s.draws}));
    const Inputs in(s);
    const auto y = converted<double>(in.y), x = converted<double>(in.x);
    Guarded<double> mse(1), value(1), dy(in.size), want_value(1), want_dy(in.size);
    cpu::optimal_gaussian_forward<double>({}, s, y.data(), x.data(), mse.data());
    cpu::optimal_gaussian_loss<double>({}, s, y.data(), x.data(), mse.data(), kWeight, {value.data()}, {dy.data()});
    double squares = 0;
    for (int64_t i = 0; i < in.size; ++i) {
      const double difference = y[static_cast<size_t>(i)] - x[static_cast<size_t>(i / s.D / s.draws * s.D + i % s.D)];
      squares += difference * difference;
    }
    expect_close(mse, std::vector<double>{squares / static_cast<double>(in.size)}, fp64_tolerance());
    const double log_sigma = std::log(mse[0]) / 2;
    cpu::gaussian_nll_loss<double>({}, {s.N, s.D, s.draws, 1}, y.data(), x.data(), &log_sigma, kWeight,
                                   {want_value.data()}, {want_dy.data()}, {});
    expect_close(value, want_value, fp64_tolerance(1));
    expect_close(dy, want_dy, fp64_tolerance());
    for (const double other : {0.99, 1.01}) {
      const double shifted = std::log(mse[0]) / 2 + std::log(other);
      cpu::gaussian_nll_loss<double>({}, {s.N, s.D, s.draws, 1}, y.data(), x.data(), &shifted, kWeight,
                                     {want_value.data()}, {}, {});
      EXPECT_GT(want_value[0], value[0]) << "no other sigma is better";
    }
  }
}

TEST(OptimalGaussian, PassesTheGradientCheck) {
  const RowLossShape s{4, 3, 2};
  const Inputs in(s);
  const auto y = converted<double>(in.y), x = converted<double>(in.x);
  double mse = 0;
  const auto f = [&](const std::vector<double>& at) {
    double value = 0;
    cpu::optimal_gaussian_forward<double>({}, s, at.data(), x.data(), &mse);
    cpu::optimal_gaussian_loss<double>({}, s, at.data(), x.data(), &mse, {}, {&value}, {});
    return 1.5 * value;
  };
  f(y);
  const double at_y = mse;
  gradcheck(f, y, expect_set_and_add<double>(in.size, [&](Grad<double> dy) {
              cpu::optimal_gaussian_loss<double>({}, s, y.data(), x.data(), &at_y, kWeight, {}, dy);
            }));
}

TEST(OptimalGaussian, FloatFormsMatchDouble) {
  for (const RowLossShape& s : kOptimalGaussianCases) {
    SCOPED_TRACE(describe("optimal_gaussian", {s.N, s.D, s.draws}));
    const Inputs in(s);
    const auto y = converted<double>(in.y), x = converted<double>(in.x);
    Guarded<double> mse(1), value(1), dy(in.size);
    cpu::optimal_gaussian_forward<double>({}, s, y.data(), x.data(), mse.data());
    cpu::optimal_gaussian_loss<double>({}, s, y.data(), x.data(), mse.data(), kWeight, {value.data()}, {dy.data()});
    const auto check = [&](auto forward, auto loss) {
      Guarded<float> got(1);
      forward(got.data());
      expect_close(got, mse, fp32_tolerance(in.size), "mse");
      const float at = got[0];
      expect_close(expect_set_and_add<float>(1, [&](Grad<float> v) { loss(&at, v, Grad<float>{}); }), value,
                   fp32_tolerance(in.size, s.D), "value");
      expect_close(expect_set_and_add<float>(in.size, [&](Grad<float> g) { loss(&at, Grad<float>{}, g); }), dy,
                   fp32_tolerance(in.size), "dy");
    };
    check([&](float* m) { cpu::optimal_gaussian_forward<float>({}, s, in.y.data(), in.x.data(), m); },
          [&](const float* m, Grad<float> v, Grad<float> g) {
            cpu::optimal_gaussian_loss<float>({}, s, in.y.data(), in.x.data(), m, kWeight, v, g);
          });
    check([&](float* m) { cpu::optimal_gaussian_forward({}, s, in.y.data(), in.x.data(), m); },
          [&](const float* m, Grad<float> v, Grad<float> g) {
            cpu::optimal_gaussian_loss({}, s, in.y.data(), in.x.data(), m, kWeight, v, g);
          });
    expect_same_bits_for_threads([&](const Context& ctx) {
      std::vector<float> out(static_cast<size_t>(in.size) + 2);
      cpu::optimal_gaussian_forward(ctx, s, in.y.data(), in.x.data(), out.data());
      cpu::optimal_gaussian_loss(ctx, s, in.y.data(), in.x.data(), out.data(), kWeight, {out.data() + 1},
                                 {out.data() + 2});
      return out;
    });
  }
}

TEST(OptimalGaussian, StaysFiniteWhereTheReconstructionIsPerfect) {
  const RowLossShape s{2, 4};
  const std::vector<float> x = {0, 0.25f, 0.5f, 1, 1, 1, 0, 0};
  float mse = -1, value = 0;
  Guarded<float> dy(8);
  cpu::optimal_gaussian_forward({}, s, x.data(), x.data(), &mse);
  cpu::optimal_gaussian_loss({}, s, x.data(), x.data(), &mse, {}, {&value}, {dy.data()});
  EXPECT_EQ(mse, 0);
  EXPECT_NEAR(value, 2 * (std::log(2 * M_PI) - 20), 1e-4);
  EXPECT_EQ(dy.values(), std::vector<float>(8, 0.0f));
}

TEST(OptimalGaussian, Refusals) {
  float out = 0;
  expect_error(
      [&] {
        cpu::optimal_gaussian_forward({}, {0, 3}, nullptr, nullptr, &out);
      },
      Exit::kUsage, {"optimal_gaussian", "N = 0"});
  expect_error(
      [&] {
        cpu::optimal_gaussian_forward<double>({}, {5, 3, 2}, nullptr, nullptr, nullptr);
      },
      Exit::kUsage, {"optimal_gaussian", "draws = 2"});
  expect_error(
      [&] {
        cpu::optimal_gaussian_loss({}, {2, -3}, nullptr, nullptr, &out, {}, {}, {});
      },
      Exit::kUsage, {"optimal_gaussian", "D = -3"});
}

}  // namespace
}  // namespace hourglass::test
