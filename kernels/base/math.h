// SPDX-License-Identifier: Apache-2.0
// Elementwise maths shared by all kernels. The float functions are branch-free polynomials that compilers vectorise:
// at most 2 ulp from the exact value over the whole range, NaN gives NaN. The double functions are those of <cmath>:
// the reference that the float ones are tested against. Polynomials are minimax fits made for this file (weighted least
// squares by Lawson's iteration, each coefficient rounded to float before the next is fitted).
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/base/simd.h"

namespace hourglass::math {

inline constexpr double kPi = 3.141592653589793;
inline constexpr double kLog2Pi = 1.8378770664093453;  // log(2 pi)

namespace detail {

/// 1.5 * 2^23: x + kRound - kRound rounds |x| < 2^22 to the nearest whole number, which the bits of x + kRound hold.
inline constexpr float kRound = 12582912.0f;

HOURGLASS_HD HOURGLASS_INLINE uint32_t bits(float x) { return std::bit_cast<uint32_t>(x); }
HOURGLASS_HD HOURGLASS_INLINE float from_bits(uint32_t x) { return std::bit_cast<float>(x); }
HOURGLASS_HD HOURGLASS_INLINE float absolute(float x) { return from_bits(bits(x) & 0x7FFFFFFFu); }
HOURGLASS_HD HOURGLASS_INLINE float with_sign_of(float x, float sign) {
  return from_bits(bits(x) | (bits(sign) & 0x80000000u));
}

/// q of exp(r) = 1 + r + r^2 q(r) for |r| <= log(2) / 2.
HOURGLASS_HD HOURGLASS_INLINE float exp_polynomial(float r) {
  float q = 0.00139398745f;
  q = q * r + 0.00836881436f;
  q = q * r + 0.0416664109f;
  q = q * r + 0.166665196f;
  return q * r + 0.5f;
}

/// exp(x) = 2^n y for |x| <= 104 or NaN: x = n log 2 + r.
HOURGLASS_HD HOURGLASS_INLINE float exp_reduced(float x, int32_t* exponent) {
  const float shifted = x * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;  // log 2 in two parts; the first product is exact
  *exponent = static_cast<int32_t>(bits(shifted) - bits(kRound));
  const float sum = 1.0f + r;
  return sum + (exp_polynomial(r) * (r * r) + (r - (sum - 1.0f)));  // with what the first sum rounded away
}

/// exp(x) for -104 <= x <= 89 or NaN. 2^n in two factors: it alone need not be a normal float.
HOURGLASS_HD HOURGLASS_INLINE float exp_clamped(float x) {
  int32_t exponent;
  const float y = exp_reduced(x, &exponent);
  const int32_t half = exponent >> 1;
  return y * from_bits(static_cast<uint32_t>(half + 127) << 23) *
         from_bits(static_cast<uint32_t>(exponent - half + 127) << 23);
}

/// exp(x) for -87 <= x <= 88 or NaN: within 1.2 ulp.
HOURGLASS_HD HOURGLASS_INLINE float exp_normal_range(float x) {
  constexpr float kBiased = kRound + 127.0f;  // leaves n + 127, the exponent field of 2^n, in the lowest bits
  const float shifted = x * 1.44269504f + kBiased;
  const float n = shifted - kBiased;
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  return ((exp_polynomial(r) * r + 1.0f) * r + 1.0f) * from_bits(bits(shifted) << 23);
}

/// n log 2 + log(1 + f) for sqrt(1/2) <= 1 + f <= sqrt(2): log(1 + f) = f - f^2 / 2 + f^3 q(f).
HOURGLASS_HD HOURGLASS_INLINE float log_reduced(float f, float n) {
  float q = -0.0763644427f;
  q = q * f + 0.127623335f;
  q = q * f + -0.13159655f;
  q = q * f + 0.142015725f;
  q = q * f + -0.166234061f;
  q = q * f + 0.200012416f;
  q = q * f + -0.250008196f;
  q = q * f + 0.333333313f;
  const float square = f * f;
  const float tail = (q * (f * square) + n * -2.12194440e-4f) - 0.5f * square;
  return (f + tail) + n * 0.693359375f;
}

HOURGLASS_HD HOURGLASS_INLINE float log_normal_range(float x) {
  const uint32_t shifted = bits(x) - 0x3F3504F3u;  // sqrt(1/2): its exponent field becomes 0
  const float n = static_cast<float>(static_cast<int32_t>(shifted) >> 23);
  const float m = from_bits((shifted & 0x007FFFFFu) + 0x3F3504F3u);
  return log_reduced(m - 1.0f, n);
}

/// log(1 + t) for 0 <= t <= 1 or NaN.
HOURGLASS_HD HOURGLASS_INLINE float log1p_unit(float t) {
  const bool upper = t > 0.41421356f;
  return log_reduced(upper ? (t - 1.0f) * 0.5f : t, upper ? 1.0f : 0.0f);
}

}  // namespace detail

HOURGLASS_HD HOURGLASS_INLINE float sqrt(float x) { return std::sqrt(x); }
HOURGLASS_HD HOURGLASS_INLINE double sqrt(double x) { return std::sqrt(x); }

/// e^x.
HOURGLASS_HD HOURGLASS_INLINE float exp(float x) {
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;
  return detail::exp_clamped(x);
}
HOURGLASS_HD HOURGLASS_INLINE double exp(double x) { return std::exp(x); }

/// Natural logarithm; log(0) = -inf, NaN below 0.
HOURGLASS_HD HOURGLASS_INLINE float log(float x) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const bool subnormal = x < std::numeric_limits<float>::min();
  const float scaled = subnormal ? x * 0x1p24f : x;
  const float y = detail::log_normal_range(scaled);
  // log(x 2^24) - 24 log 2, in two parts as everywhere.
  const float lifted = (y - -2.12194440e-4f * 24.0f) - 0.693359375f * 24.0f;
  const float finite = subnormal ? lifted : y;
  const float special = x == 0.0f ? -kInfinity : x < 0.0f ? std::numeric_limits<float>::quiet_NaN() : finite;
  return x < kInfinity ? special : x;  // +inf and NaN
}
HOURGLASS_HD HOURGLASS_INLINE double log(double x) { return std::log(x); }

/// Natural logarithm of a positive x that is neither subnormal nor infinite nor NaN: half the work.
HOURGLASS_HD HOURGLASS_INLINE float log_positive(float x) { return detail::log_normal_range(x); }
HOURGLASS_HD HOURGLASS_INLINE double log_positive(double x) { return std::log(x); }

/// Softplus: log(1 + e^x).
HOURGLASS_HD HOURGLASS_INLINE float log1p_exp(float x) {
  const float t = exp(-detail::absolute(x));
  return (x > 0.0f ? x : 0.0f) + detail::log1p_unit(t);
}
HOURGLASS_HD HOURGLASS_INLINE double log1p_exp(double x) {
  return (x > 0 ? x : 0.0) + std::log1p(std::exp(-std::fabs(x)));
}

/// Logistic function: 1 / (1 + e^-x). The derivative of log1p_exp.
HOURGLASS_HD HOURGLASS_INLINE float sigmoid(float x) {
  const float t = exp(-detail::absolute(x));
  const float quotient = (x < 0.0f ? t : 1.0f) / (1.0f + t);
  return x < -1.0f ? t - t * quotient : quotient;  // t - t^2 / (1 + t): scales the errors of the division down
}
HOURGLASS_HD HOURGLASS_INLINE double sigmoid(double x) {
  const double t = std::exp(-std::fabs(x));
  return (x < 0 ? t : 1.0) / (1.0 + t);
}

/// Hyperbolic tangent: x + x^3 q(x^2) up to 0.625, else 1 - 2 / (e^2|x| + 1).
HOURGLASS_HD HOURGLASS_INLINE float tanh(float x) {
  const float a = detail::absolute(x);
  const float square = x * x;
  float q = -0.00571624096f;
  q = q * square + 0.020649733f;
  q = q * square + -0.0537431762f;
  q = q * square + 0.133314863f;
  q = q * square + -0.333332837f;
  const float small = a * square * q + a;
  const float large = 1.0f - 2.0f / (exp(2.0f * a) + 1.0f);
  return detail::with_sign_of(a < 0.625f ? small : large, x);
}
HOURGLASS_HD HOURGLASS_INLINE double tanh(double x) { return std::tanh(x); }

/// Error function: x + x q(x^2) up to 1, else 1 - exp(-q(|x|)).
HOURGLASS_HD HOURGLASS_INLINE float erf(float x) {
  const float a = detail::absolute(x);
  const float square = x * x;
  float p = 7.80690316e-05f;
  p = p * square + -0.00079978531f;
  p = p * square + 0.0051871622f;
  p = p * square + -0.0268533472f;
  p = p * square + 0.112835787f;
  p = p * square + -0.37612626f;
  p = p * square + 0.128379166f;
  const float small = a * p + a;
  const float b = a > 4.0f ? 4.0f : a;
  float q = -0.000186486373f;
  q = q * b + 0.00294873887f;
  q = q * b + -0.0218425281f;
  q = q * b + 0.103116415f;
  q = q * b + 0.638133287f;
  q = q * b + 1.12709641f;
  q = q * b + 0.000339673308f;
  const float large = 1.0f - detail::exp_clamped(-q);
  return detail::with_sign_of(a < 1.0f ? small : large, x);
}
HOURGLASS_HD HOURGLASS_INLINE double erf(double x) { return std::erf(x); }

/// sin(pi x) and cos(pi x), for |x| <= 2^20: x = n / 2 + r, |r| <= 1/4, exactly; then a polynomial and the quadrant.
HOURGLASS_HD HOURGLASS_INLINE void sincospi(float x, float* sine, float* cosine) {
  const float shifted = 2.0f * x + detail::kRound;
  const float r = x - 0.5f * (shifted - detail::kRound);
  const uint32_t quadrant = detail::bits(shifted);
  const float square = r * r;
  float p = -0.589576185f;
  p = p * square + 2.54981971f;
  p = p * square + -5.16770935f;
  const float s = r * 3.14159274f + r * (p * square + -8.742278e-8f);  // pi in two parts
  float q = 0.22869736f;
  q = q * square + -1.33473349f;
  q = q * square + 4.05869627f;
  q = q * square + -4.93480206f;
  const float c = q * square + 1.0f;
  const bool swap = (quadrant & 1u) != 0;
  *sine = detail::from_bits(detail::bits(swap ? c : s) ^ (quadrant & 2u) << 30);
  *cosine = detail::from_bits(detail::bits(swap ? s : c) ^ ((quadrant + 1u) & 2u) << 30);
}
HOURGLASS_HD HOURGLASS_INLINE void sincospi(double x, double* sine, double* cosine) {
  const double n = std::nearbyint(2 * x);
  const double r = kPi * (x - 0.5 * n);
  const double s = std::sin(r), c = std::cos(r);
  const int64_t quadrant = static_cast<int64_t>(n);
  const bool swap = (quadrant & 1) != 0;
  *sine = (quadrant & 2) ? -(swap ? c : s) : (swap ? c : s);
  *cosine = ((quadrant + 1) & 2) ? -(swap ? s : c) : (swap ? s : c);
}

/// e^x up to `limit`, from there on its tangent: continuous with its derivative, and finite for any input that a
/// network can produce. A learned log-variance of 1e4 must not overflow, and must still be pulled back by its gradient.
template <class T>
HOURGLASS_HD HOURGLASS_INLINE T exp_linear(T x, T limit) {
  const T y = exp(x > limit ? limit : x);
  return y + y * (x > limit ? x - limit : T(0));
}

/// Derivative of exp_linear by x.
template <class T>
HOURGLASS_HD HOURGLASS_INLINE T exp_linear_gradient(T x, T limit) {
  return exp(x > limit ? limit : x);
}

/// Log-variances are exponentiated exactly up to this value (a variance of 4.9e8), and linearly beyond.
inline constexpr double kMaxLogVariance = 20;

/// sigma^2 = e^logvar, bounded as exp_linear says. Finite for |logvar| <= 1e4 and far beyond.
template <class T>
HOURGLASS_HD HOURGLASS_INLINE T variance(T logvar) {
  return exp_linear(logvar, T(kMaxLogVariance));
}
/// d variance / d logvar.
template <class T>
HOURGLASS_HD HOURGLASS_INLINE T variance_gradient(T logvar) {
  return exp_linear_gradient(logvar, T(kMaxLogVariance));
}

/// sigma = e^(logvar / 2), bounded the same way at the same logvar.
template <class T>
HOURGLASS_HD HOURGLASS_INLINE T stddev(T logvar) {
  return exp_linear(T(0.5) * logvar, T(kMaxLogVariance / 2));
}
/// d stddev / d logvar.
template <class T>
HOURGLASS_HD HOURGLASS_INLINE T stddev_gradient(T logvar) {
  return T(0.5) * exp_linear_gradient(T(0.5) * logvar, T(kMaxLogVariance / 2));
}

}  // namespace hourglass::math
