// SPDX-License-Identifier: Apache-2.0
// Elementwise activation functions.
//
//   name        y(x)                          dy/dx
//   relu        max(x, 0)                     1 for x > 0, else 0
//   leaky-relu  x for x > 0, else 0.01 x      1 for x > 0, else 0.01
//   tanh        tanh x                        1 - y^2
//   sigmoid     1 / (1 + e^-x)                y (1 - y)
//   softplus    log(1 + e^x)                  1 - e^-y
//   gelu        x Phi(x)                      Phi(x) + x phi(x)
//
// Phi and phi are the standard normal distribution function and density (the exact form with erf, not the tanh
// approximation; Hendrycks and Gimpel 2016, arXiv 1606.08415, equation in section 2).
//
// Backward: dx = dy * dy/dx. All but gelu need the output alone, so that a layer need not keep its input.
//
//   x, y, dx, dy (n)
//
// n = 0: nothing happens. Errors: kUsage for negative n, and for a gelu backward without x.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/base/context.h"
#include "kernels/base/math.h"

namespace hourglass {

enum class Activation : uint8_t { kNone, kRelu, kLeakyRelu, kTanh, kSigmoid, kSoftplus, kGelu };

inline constexpr Activation kActivations[] = {Activation::kNone, Activation::kRelu,    Activation::kLeakyRelu,
                                              Activation::kTanh, Activation::kSigmoid, Activation::kSoftplus,
                                              Activation::kGelu};

/// "none", "relu", "leaky-relu", "tanh", "sigmoid", "softplus", "gelu".
const char* activation_name(Activation a);
/// The inverse; Error(kUsage) names the known ones.
Activation parse_activation(const std::string& name);

struct ActivationShape {
  int64_t n = 0;
  Activation activation = Activation::kNone;
};

namespace cpu {

/// y may be x.
template <class T>
void activation_forward(const Context& ctx, ActivationShape s, const T* x, T* y);

/// x may be null unless the activation is gelu; y may be null if it is. dx may be dy.
template <class T>
void activation_backward(const Context& ctx, ActivationShape s, const T* x, const T* y, const T* dy, Grad<T> dx);

/// The timed float forms.
void activation_forward(const Context& ctx, ActivationShape s, const float* x, float* y);
void activation_backward(const Context& ctx, ActivationShape s, const float* x, const float* y, const float* dy,
                         Grad<float> dx);

}  // namespace cpu

namespace cuda {

/// The same, T: float or bf16.
template <class T>
void activation_forward(const Context& ctx, ActivationShape s, const T* x, T* y);
template <class T>
void activation_backward(const Context& ctx, ActivationShape s, const T* x, const T* y, const T* dy, Grad<T> dx);

}  // namespace cuda
}  // namespace hourglass
