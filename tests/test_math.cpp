// SPDX-License-Identifier: Apache-2.0
#include "kernels/base/math.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Distance from one float to the next at y.
double ulp(double y) {
  if (std::isnan(y)) return 1;
  const double magnitude = std::clamp(std::abs(y), 0x1p-126, 0x1p127);
  return std::ldexp(1.0, std::ilogb(magnitude) - 23);
}

/// Walks over all bit patterns of floats in [low, high], one in 4099 and every one near the ends of the exponents'
/// binades, and holds f to 2 ulp of the double function. With the whole range NaN must give NaN.
template <class F, class G>
void expect_two_ulp(F f, G exact, float low = -kInfinity, float high = kInfinity) {
  double worst = 0;
  float worst_at = 0;
  const auto visit = [&](uint32_t pattern) {
    const float x = std::bit_cast<float>(pattern);
    if (std::isnan(x)) {
      ASSERT_TRUE(std::isnan(f(x)) || low > -kInfinity);
      return;
    }
    if (x < low || x > high) return;
    const float got = f(x);
    const double want = exact(static_cast<double>(x));
    double error = std::abs(got - want) / ulp(want);
    const auto nearest = static_cast<float>(want);
    if (got == nearest || (std::isnan(got) && std::isnan(want))) error = std::isfinite(nearest) ? error : 0;
    if (!(error <= worst)) worst = error, worst_at = x;
  };
  for (uint64_t pattern = 0; pattern <= 0xFFFFFFFFu; pattern += 4099) visit(static_cast<uint32_t>(pattern));
  for (uint64_t binade = 0; binade <= 0xFFFFFFFFu; binade += 0x00800000u) {
    for (uint32_t i = 0; i < 64; ++i) visit(static_cast<uint32_t>(binade) + i - 32);
  }
  EXPECT_TRUE(worst <= 2) << worst << " ulp at " << worst_at << ": got " << f(worst_at) << ", expected "
                          << exact(static_cast<double>(worst_at));
}

#define FLOAT_AND_DOUBLE(name) [](float x) { return math::name(x); }, [](double x) { return math::name(x); }

TEST(math, exp_within_two_ulp) { expect_two_ulp(FLOAT_AND_DOUBLE(exp)); }
TEST(math, log_within_two_ulp) { expect_two_ulp(FLOAT_AND_DOUBLE(log)); }
TEST(math, log_positive_within_two_ulp) {
  expect_two_ulp(FLOAT_AND_DOUBLE(log_positive), std::numeric_limits<float>::min(), std::numeric_limits<float>::max());
}
TEST(math, log1p_exp_within_two_ulp) { expect_two_ulp(FLOAT_AND_DOUBLE(log1p_exp)); }
TEST(math, sigmoid_within_two_ulp) { expect_two_ulp(FLOAT_AND_DOUBLE(sigmoid)); }
TEST(math, tanh_within_two_ulp) { expect_two_ulp(FLOAT_AND_DOUBLE(tanh)); }
TEST(math, erf_within_two_ulp) { expect_two_ulp(FLOAT_AND_DOUBLE(erf)); }

template <class T>
T sine(T x) {
  T s, c;
  math::sincospi(x, &s, &c);
  return s;
}
template <class T>
T cosine(T x) {
  T s, c;
  math::sincospi(x, &s, &c);
  return c;
}
TEST(math, sincospi_within_two_ulp) {
  const auto reduced_sine = [](double x) { return std::sin(math::kPi * std::remainder(x, 2.0)); };
  expect_two_ulp(sine<float>, sine<double>, -0x1p20f, 0x1p20f);
  expect_two_ulp(cosine<float>, cosine<double>, -0x1p20f, 0x1p20f);
  for (double x = -5; x <= 5; x += 0.0625) {  // the double form is our own: hold it to libm's sine
    EXPECT_NEAR(sine(x), reduced_sine(x), 1e-15);
    EXPECT_NEAR(cosine(x), reduced_sine(x + 0.5), 1e-15);
  }
}

TEST(math, double_forms_built_from_libm) {
  for (double x : {-800.0, -40.0, -1.0, -1e-9, 0.0, 1e-9, 0.5, 20.0, 700.0, 800.0}) {
    const double softplus = x > 30 ? x + std::exp(-x) : std::log1p(std::exp(x));
    EXPECT_NEAR(math::log1p_exp(x), softplus, 1e-15 * std::max(1.0, std::abs(x)));
    EXPECT_NEAR(math::sigmoid(x), 1 / (1 + std::exp(-x)), 1e-15);
  }
  EXPECT_GT(math::sigmoid(-700.0), 0) << "the small tail must not be rounded away";
  EXPECT_EQ(math::log1p_exp(-700.0), std::exp(-700.0));
}

TEST(math, special_values) {
  EXPECT_TRUE(std::isnan(sine(std::nanf(""))) && std::isnan(cosine(std::nanf(""))));
  EXPECT_EQ(math::exp(-kInfinity), 0);
  EXPECT_EQ(math::exp(kInfinity), kInfinity);
  EXPECT_EQ(math::exp(0.0f), 1);
  EXPECT_EQ(math::log(0.0f), -kInfinity);
  EXPECT_EQ(math::log(-0.0f), -kInfinity);
  EXPECT_TRUE(std::isnan(math::log(-1.0f)));
  EXPECT_EQ(math::log(kInfinity), kInfinity);
  EXPECT_EQ(math::log(1.0f), 0);
  EXPECT_EQ(math::log1p_exp(-kInfinity), 0);
  EXPECT_EQ(math::log1p_exp(kInfinity), kInfinity);
  EXPECT_EQ(math::sigmoid(0.0f), 0.5f);
  EXPECT_EQ(math::sigmoid(-kInfinity), 0);
  EXPECT_EQ(math::sigmoid(kInfinity), 1);
  EXPECT_EQ(math::tanh(-kInfinity), -1);
  EXPECT_TRUE(std::signbit(math::tanh(-0.0f)));
  EXPECT_TRUE(std::signbit(math::erf(-0.0f)));
  EXPECT_EQ(math::erf(kInfinity), 1);
  EXPECT_EQ(sine(1.0f), 0);
  EXPECT_EQ(cosine(0.5f), 0);
  EXPECT_EQ(cosine(-1.0f), -1);
}

TEST(math, exp_linear_continues_along_its_tangent) {
  for (double limit : {10.0, 20.0}) {
    EXPECT_EQ(math::exp_linear(limit - 3, limit), std::exp(limit - 3));
    EXPECT_DOUBLE_EQ(math::exp_linear(limit + 3, limit), 4 * std::exp(limit));
    EXPECT_EQ(math::exp_linear_gradient(limit + 3, limit), std::exp(limit));
    gradcheck([&](const std::vector<double>& x) { return math::exp_linear(x[0], limit) * 1e-8; }, {limit},
              std::vector<double>{math::exp_linear_gradient(limit, limit) * 1e-8});
  }
}

TEST(math, variance_is_bounded_and_smooth) {
  const auto check = [](auto type) {
    using T = decltype(type);
    for (T logvar : {T(-1e4), T(-1), T(0), T(19.9), T(20), T(20.1), T(1e4)}) {
      for (T y : {math::variance(logvar), math::stddev(logvar), math::variance_gradient(logvar),
                  math::stddev_gradient(logvar)}) {
        EXPECT_TRUE(std::isfinite(y) && y >= 0) << logvar;
      }
    }
  };
  check(float{});
  check(double{});
  for (double logvar : {-3.0, 0.0, 19.9, 20.0, 25.0}) {
    gradcheck([](const std::vector<double>& x) { return math::variance(x[0]) * 1e-9; }, {logvar},
              std::vector<double>{math::variance_gradient(logvar) * 1e-9});
    gradcheck([](const std::vector<double>& x) { return math::stddev(x[0]) * 1e-4; }, {logvar},
              std::vector<double>{math::stddev_gradient(logvar) * 1e-4});
  }
  EXPECT_DOUBLE_EQ(math::stddev(1.5) * math::stddev(1.5), math::variance(1.5));
}

}  // namespace
}  // namespace hourglass::test
