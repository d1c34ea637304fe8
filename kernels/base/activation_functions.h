// SPDX-License-Identifier: Apache-2.0
// The activation functions of activation.h, element by element: shared by the reference, the float forms, and the fused
// linear layer. Comparisons are written so that NaN passes through.
#pragma once

#include <cmath>
#include <type_traits>

#include "kernels/activation.h"
#include "kernels/base/error.h"
#include "kernels/base/math.h"

namespace hourglass {

#define HOURGLASS_INLINE_LAMBDA __attribute__((always_inline))

inline void check_activation(const ActivationShape& s) {
  if (s.n < 0) throw Error(Exit::kUsage, "activation: expected n >= 0, got " + std::to_string(s.n));
}
inline void check_activation_backward(const ActivationShape& s, const void* x) {
  check_activation(s);
  if (s.activation == Activation::kGelu && !x && s.n > 0) {
    throw Error(Exit::kUsage, "activation: the backward of gelu needs its input x, got null");
  }
}

inline constexpr double kLeakySlope = 0.01;

/// y(x).
template <Activation A, class T>
HOURGLASS_HD HOURGLASS_INLINE T activate(T x) {
  if constexpr (A == Activation::kRelu) return x < T(0) ? T(0) : x;
  if constexpr (A == Activation::kLeakyRelu) return x < T(0) ? T(kLeakySlope) * x : x;
  if constexpr (A == Activation::kTanh) return math::tanh(x);
  if constexpr (A == Activation::kSigmoid) return math::sigmoid(x);
  if constexpr (A == Activation::kSoftplus) return math::log1p_exp(x);
  if constexpr (A == Activation::kGelu) return T(0.5) * x * (T(1) + math::erf(x * T(0.70710678118654752)));
  if constexpr (A == Activation::kNone) return x;
}

/// 1 - e^-y for y >= 0. Where softplus is small, 1 - e^-y cancels; the series does not.
HOURGLASS_HD HOURGLASS_INLINE float one_minus_exp(float y) {
  const float series = y * (1 - y * (0.5f - y * (1.0f / 6 - y * (1.0f / 24 - y * (1.0f / 120)))));
  return y < 0.125f ? series : 1 - math::exp(-y);
}
HOURGLASS_HD HOURGLASS_INLINE double one_minus_exp(double y) { return -std::expm1(-y); }

/// dy/dx, given y. Not for gelu.
template <Activation A, class T>
HOURGLASS_HD HOURGLASS_INLINE T derivative_from_output(T y) {
  static_assert(A != Activation::kGelu);
  if constexpr (A == Activation::kRelu) return y <= T(0) ? T(0) : T(1);
  if constexpr (A == Activation::kLeakyRelu) return y <= T(0) ? T(kLeakySlope) : T(1);
  if constexpr (A == Activation::kTanh) return (T(1) - y) * (T(1) + y);  // 1 - y^2 cancels
  if constexpr (A == Activation::kSigmoid) return y * (T(1) - y);
  if constexpr (A == Activation::kSoftplus) return one_minus_exp(y);
  if constexpr (A == Activation::kNone) return T(1);
}

/// dy/dx of gelu: Phi(x) + x phi(x).
template <class T>
HOURGLASS_HD HOURGLASS_INLINE T gelu_derivative(T x) {
  const T distribution = T(0.5) * (T(1) + math::erf(x * T(0.70710678118654752)));
  const T density = T(0.39894228040143268) * math::exp(T(-0.5) * x * x);
  return distribution + x * density;
}

/// Calls f with the activation as a compile-time constant: f(std::integral_constant<Activation, ...>). Inside a
/// HOURGLASS_SIMD function, f must be declared `[&](auto a) HOURGLASS_INLINE_LAMBDA { ... }`.
template <class F>
HOURGLASS_HD HOURGLASS_INLINE void with_activation(Activation a, F&& f) {
  switch (a) {
    case Activation::kNone:
      return f(std::integral_constant<Activation, Activation::kNone>{});
    case Activation::kRelu:
      return f(std::integral_constant<Activation, Activation::kRelu>{});
    case Activation::kLeakyRelu:
      return f(std::integral_constant<Activation, Activation::kLeakyRelu>{});
    case Activation::kTanh:
      return f(std::integral_constant<Activation, Activation::kTanh>{});
    case Activation::kSigmoid:
      return f(std::integral_constant<Activation, Activation::kSigmoid>{});
    case Activation::kSoftplus:
      return f(std::integral_constant<Activation, Activation::kSoftplus>{});
    case Activation::kGelu:
      return f(std::integral_constant<Activation, Activation::kGelu>{});
  }
}

}  // namespace hourglass
