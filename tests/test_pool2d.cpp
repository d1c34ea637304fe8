// SPDX-License-Identifier: Apache-2.0
#include "kernels/pool2d.h"
#include "tests/cases/pool2d.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

using S = Pool2dShape;

int64_t inputs(const S& s) { return int64_t{s.N} * s.H * s.W * s.C; }
int64_t outputs(const S& s) { return int64_t{s.N} * s.P * s.Q * s.C; }
std::string label(const S& s) { return describe("pool2d", {s.N, s.H, s.W, s.C, s.R, s.S, s.stride_h, s.stride_w}); }

/// Distinct values, so that a maximum is not near a tie and differences do not cross it.
template <class T>
std::vector<T> distinct(int64_t n) {
  std::vector<T> x(static_cast<size_t>(n));
  Random random(1);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(i) / 64;
  for (size_t i = x.size(); i > 1; --i) std::swap(x[i - 1], x[random.bits() % i]);
  return x;
}

template <class T>
void average(const Context& ctx, const S& s, const T* x, T* y, bool reference) {
  if constexpr (std::is_same_v<T, float>) {
    if (!reference) return cpu::average_pool2d_forward(ctx, s, x, y);
  }
  cpu::average_pool2d_forward<T>(ctx, s, x, y);
}

TEST(Pool2d, ReferenceIsTheDefinition) {
  // Two channels, one row of four pixels; windows of 3, stride 2, padded by 1 on the left.
  const S s = pool2d_shape(1, 1, 4, 2, 1, 3, 1, 2, 0, 1, 1, 2);
  const std::vector<double> x = {1, 8, 3, 6, 3, 7, 2, 5}, dy = {1, 10, 100, 1000};
  Guarded<double> y(4), mean(4), dx(8), of_mean(8);
  Guarded<int32_t> argmax(4);
  cpu::max_pool2d_forward<double>({}, s, x.data(), y.data(), argmax.data());
  EXPECT_EQ(y.values(), (std::vector<double>{3, 8, 3, 7}));
  EXPECT_EQ(argmax.values(), (std::vector<int32_t>{2, 1, 0, 1})) << "of equal values the first";
  cpu::max_pool2d_backward<double>({}, s, argmax.data(), dy.data(), {dx.data()});
  EXPECT_EQ(dx.values(), (std::vector<double>{0, 10, 101, 0, 0, 1000, 0, 0}));
  cpu::average_pool2d_forward<double>({}, s, x.data(), mean.data());
  expect_close(mean, std::vector<double>{2, 7, 8.0 / 3, 6}, fp64_tolerance());
  S counted = s;
  counted.count_padding = true;
  cpu::average_pool2d_forward<double>({}, counted, x.data(), mean.data());
  expect_close(mean, std::vector<double>{4.0 / 3, 14.0 / 3, 8.0 / 3, 6}, fp64_tolerance());
  cpu::average_pool2d_backward<double>({}, s, dy.data(), {of_mean.data()});
  const double third = 100.0 / 3, thousand = 1000.0 / 3;
  expect_close(of_mean, std::vector<double>{0.5, 5, 0.5 + third, 5 + thousand, third, thousand, third, thousand},
               fp64_tolerance());
}

TEST(Pool2d, ReferencePassesTheGradientCheck) {
  for (S s : kPool2dCases) {
    if (inputs(s) > 2000 || outputs(s) == 0) continue;
    SCOPED_TRACE(label(s));
    const auto x = distinct<double>(inputs(s)), dy = random_values<double>(outputs(s), 2);
    Guarded<int32_t> argmax(outputs(s));
    std::vector<double> y(dy.size());
    cpu::max_pool2d_forward<double>({}, s, x.data(), y.data(), argmax.data());
    const auto max_gradient = expect_set_and_add<double>(
        inputs(s), [&](Grad<double> dx) { cpu::max_pool2d_backward<double>({}, s, argmax.data(), dy.data(), dx); });
    const auto of_max = [&](const std::vector<double>& at) {
      cpu::max_pool2d_forward<double>({}, s, at.data(), y.data(), nullptr);
      return weighted_sum(y, dy);
    };
    gradcheck(of_max, x, max_gradient, "max");
    for (const bool counted : {false, true}) {
      s.count_padding = counted;
      const auto gradient = expect_set_and_add<double>(
          inputs(s), [&](Grad<double> dx) { cpu::average_pool2d_backward<double>({}, s, dy.data(), dx); });
      const auto small = random_values<double>(inputs(s), 3);
      const auto of_average = [&](const std::vector<double>& at) {
        cpu::average_pool2d_forward<double>({}, s, at.data(), y.data());
        return weighted_sum(y, dy);
      };
      gradcheck(of_average, small, gradient, "average");
    }
  }
}

/// Few values, so that ties are everywhere: values, argmax and gradients of the timed form are the reference's.
TEST(Pool2d, TimedMaximumHasTheBitsOfTheReference) {
  for (const S& s : kPool2dCases) {
    SCOPED_TRACE(label(s));
    const auto x = random_integers<float>(inputs(s), 1, -2, 2), dy = random_integers<float>(outputs(s), 2);
    Guarded<float> y(outputs(s)), dx(inputs(s));
    Guarded<int32_t> argmax(outputs(s));
    cpu::max_pool2d_forward<float>({}, s, x.data(), y.data(), argmax.data());
    cpu::max_pool2d_backward<float>({}, s, argmax.data(), dy.data(), {dx.data()});
    for (int threads : {0, 1, 2, 4}) {
      const Context ctx = test_context(threads);
      Guarded<float> got(outputs(s)), value_only(outputs(s));
      Guarded<int32_t> where(outputs(s));
      cpu::max_pool2d_forward(ctx, s, x.data(), got.data(), where.data());
      cpu::max_pool2d_forward(ctx, s, x.data(), value_only.data(), nullptr);
      expect_same_bits(got, y, "y");
      expect_same_bits(value_only, y, "y without argmax");
      expect_same_bits(where, argmax, "argmax");
      expect_close(
          expect_set_and_add<float>(
              inputs(s), [&](Grad<float> g) { cpu::max_pool2d_backward(ctx, s, argmax.data(), dy.data(), g); }),
          dx, exact(), "dx");
    }
  }
}

TEST(Pool2d, FloatAveragesMatchDouble) {
  for (S s : kPool2dCases) {
    for (const bool counted : {false, true}) {
      s.count_padding = counted;
      SCOPED_TRACE(label(s));
      const auto x = random_values<float>(inputs(s), 1), dy = random_values<float>(outputs(s), 2);
      const auto wide_x = converted<double>(x), wide_dy = converted<double>(dy);
      Guarded<double> want(outputs(s)), want_dx(inputs(s));
      cpu::average_pool2d_forward<double>({}, s, wide_x.data(), want.data());
      cpu::average_pool2d_backward<double>({}, s, wide_dy.data(), {want_dx.data()});
      for (const bool reference : {true, false}) {
        Guarded<float> y(outputs(s));
        average<float>(test_context(2), s, x.data(), y.data(), reference);
        expect_close(y, want, fp32_tolerance(s.R * s.S, 0.1), "y");
      }
      expect_close(
          expect_set_and_add<float>(
              inputs(s), [&](Grad<float> g) { cpu::average_pool2d_backward(test_context(2), s, dy.data(), g); }),
          want_dx, fp32_tolerance(s.R * s.S), "dx");
      expect_same_bits_for_threads([&](const Context& ctx) {
        std::vector<float> out(static_cast<size_t>(outputs(s) + inputs(s)));
        cpu::average_pool2d_forward(ctx, s, x.data(), out.data());
        cpu::average_pool2d_backward(ctx, s, dy.data(), {out.data() + outputs(s)});
        return out;
      });
    }
  }
}

TEST(Pool2d, TheFirstNanOfAWindowIsItsMaximum) {
  const float nan = std::nanf("");
  const S s = pool2d_shape(1, 1, 6, 1, 1, 3, 1, 3, 0, 0, 1, 2);
  const std::vector<float> x = {INFINITY, nan, nan, -INFINITY, -INFINITY, -INFINITY};
  for (const bool timed : {false, true}) {
    Guarded<float> y(2);
    Guarded<int32_t> argmax(2);
    if (timed) {
      cpu::max_pool2d_forward({}, s, x.data(), y.data(), argmax.data());
    } else {
      cpu::max_pool2d_forward<float>({}, s, x.data(), y.data(), argmax.data());
    }
    EXPECT_TRUE(std::isnan(y[0]));
    EXPECT_EQ(argmax[0], 1);
    EXPECT_EQ(y[1], -INFINITY);
    EXPECT_EQ(argmax[1], 0);
  }
}

TEST(Pool2d, DerivesTheOutput) {
  EXPECT_EQ(pool2d_output_extent(28, 2, 2, 0, 0), 14);
  EXPECT_EQ(pool2d_output_extent(7, 2, 2, 0, 0), 3);
  EXPECT_EQ(pool2d_output_extent(7, 2, 2, 0, 1), 4);
  EXPECT_EQ(pool2d_output_extent(7, 3, 2, 1, 1), 4);
  EXPECT_EQ(pool2d_output_extent(2, 5, 1, 1, 1), 0);
}

TEST(Pool2d, Refusals) {
  const auto forward = [](const S& s) { cpu::max_pool2d_forward<float>({}, s, nullptr, nullptr, nullptr); };
  const auto timed = [](const S& s) { cpu::average_pool2d_forward({}, s, nullptr, nullptr); };
  expect_error([&] { forward(pool2d_shape(1, -4, 4, 1, 2, 2, 2, 2, 0, 0, 2, 2)); }, Exit::kUsage,
               {"max_pool2d", "H = -4"});
  expect_error([&] { timed(pool2d_shape(1, 4, 4, 1, 2, 0, 2, 2, 0, 0, 2, 2)); }, Exit::kUsage,
               {"average_pool2d", "columns", "window 0"});
  expect_error([&] { forward(pool2d_shape(1, 4, 4, 1, 2, 2, 0, 2, 0, 0, 2, 2)); }, Exit::kUsage, {"rows", "stride 0"});
  expect_error([&] { forward(pool2d_shape(1, 4, 4, 1, 2, 2, 2, 2, 2, 0, 2, 2)); }, Exit::kUsage,
               {"rows", "a window without a pixel", "padding 2"});
  expect_error([&] { timed(pool2d_shape(1, 4, 4, 1, 2, 2, 2, 2, 0, 0, 2, 3)); }, Exit::kUsage,
               {"columns", "a window without a pixel", "3 outputs"});
  expect_error([&] { timed(pool2d_shape(3, 32768, 32768, 1, 2, 2, 2, 2, 0, 0, 1, 1)); }, Exit::kUsage, {"2^31"});
}

}  // namespace
}  // namespace hourglass::test
