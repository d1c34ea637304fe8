// SPDX-License-Identifier: Apache-2.0
#include "kernels/base/activation_functions.h"
#include "kernels/base/chunks.h"

namespace hourglass::cpu {
namespace {

template <Activation A>
HOURGLASS_INLINE void forward_loop(int64_t n, const float* x, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = activate<A>(x[i]);
}

/// `from`: the input for gelu, the output for the others.
template <Activation A>
HOURGLASS_INLINE float derivative([[maybe_unused]] float from) {
  if constexpr (A == Activation::kGelu) {
    return gelu_derivative(from);
  } else {
    return derivative_from_output<A>(from);
  }
}

template <Activation A>
HOURGLASS_INLINE void backward_loop(int64_t n, const float* from, const float* dy, float* dx, bool add) {
  if (add) {
    for (int64_t i = 0; i < n; ++i) dx[i] += dy[i] * derivative<A>(from[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) dx[i] = dy[i] * derivative<A>(from[i]);
  }
}

HOURGLASS_SIMD void forward_chunk(Activation activation, int64_t n, const float* x, float* y) {
  with_activation(activation, [&](auto a) HOURGLASS_INLINE_LAMBDA { forward_loop<a>(n, x, y); });
}

HOURGLASS_SIMD void backward_chunk(Activation activation, int64_t n, const float* from, const float* dy, float* dx,
                                   bool add) {
  with_activation(activation, [&](auto a) HOURGLASS_INLINE_LAMBDA { backward_loop<a>(n, from, dy, dx, add); });
}

}  // namespace

void activation_forward(const Context& ctx, ActivationShape s, const float* x, float* y) {
  check_activation(s);
  parallel_chunks(ctx, s.n, [&](int64_t first, int64_t n) { forward_chunk(s.activation, n, x + first, y + first); });
}

void activation_backward(const Context& ctx, ActivationShape s, const float* x, const float* y, const float* dy,
                         Grad<float> dx) {
  check_activation_backward(s, x);
  if (!dx) return;
  const float* from = s.activation == Activation::kGelu ? x : s.activation == Activation::kNone ? dy : y;
  parallel_chunks(ctx, s.n, [&](int64_t first, int64_t n) {
    backward_chunk(s.activation, n, from + first, dy + first, dx.data + first, dx.mode == Write::kAdd);
  });
}

}  // namespace hourglass::cpu
