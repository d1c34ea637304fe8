// SPDX-License-Identifier: Apache-2.0
// A kernel for each activation: the choice is made at the launch, not by every element. Blocks and threads: flat.cuh.
#include "kernels/base/activation_functions.h"
#include "kernels/base/flat.cuh"

namespace hourglass::cuda {
namespace {

template <Activation A, class T>
__global__ void __launch_bounds__(gpu::kFlatThreads)
    activation_forward_quad_kernel(int64_t n, bool aligned, const T* x, T* y) {
  gpu::for_each_flat_quad(n, aligned, [&](int64_t i, int count, auto whole) {
    constexpr bool kVector = decltype(whole)::value;
    gpu::Vec4 v = gpu::load_quad<kVector>(x + i, count);
#pragma unroll
    for (int j = 0; j < 4; ++j) v[j] = activate<A>(v[j]);
    gpu::write_quad<kVector>(y + i, v, count, Write::kSet);
  });
}

/// `saved` is the input of gelu, and the output of the rest.
template <Activation A, class T>
__global__ void __launch_bounds__(gpu::kFlatThreads)
    activation_backward_quad_kernel(int64_t n, bool aligned, const T* saved, const T* dy, Grad<T> dx) {
  gpu::for_each_flat_quad(n, aligned, [&](int64_t i, int count, auto whole) {
    constexpr bool kVector = decltype(whole)::value;
    gpu::Vec4 g = gpu::load_quad<kVector>(dy + i, count);
    if constexpr (A != Activation::kNone) {
      const gpu::Vec4 s = gpu::load_quad<kVector>(saved + i, count);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if constexpr (A == Activation::kGelu) {
          g[j] *= gelu_derivative(s[j]);
        } else {
          g[j] *= derivative_from_output<A>(s[j]);
        }
      }
    }
    gpu::write_quad<kVector>(dx.data + i, g, count, dx.mode);
  });
}

}  // namespace

template <class T>
void activation_forward(const Context& ctx, ActivationShape s, const T* x, T* y) {
  check_activation(s);
  if (s.n == 0) return;
  with_activation(s.activation, [&](auto a) {
    gpu::launch(activation_forward_quad_kernel<decltype(a)::value, T>, gpu::flat_blocks(s.n), gpu::kFlatThreads, 0,
                gpu::stream(ctx), s.n, gpu::can_load4(0, x, y), x, y);
  });
}

template <class T>
void activation_backward(const Context& ctx, ActivationShape s, const T* x, const T* y, const T* dy, Grad<T> dx) {
  check_activation_backward(s, x);
  if (s.n == 0 || !dx) return;
  const T* const saved = s.activation == Activation::kGelu ? x : y;
  with_activation(s.activation, [&](auto a) {
    gpu::launch(activation_backward_quad_kernel<decltype(a)::value, T>, gpu::flat_blocks(s.n), gpu::kFlatThreads, 0,
                gpu::stream(ctx), s.n, gpu::can_load4(0, saved, dy, dx.data), saved, dy, dx);
  });
}

template void activation_forward(const Context&, ActivationShape, const float*, float*);
template void activation_forward(const Context&, ActivationShape, const bf16*, bf16*);
template void activation_backward(const Context&, ActivationShape, const float*, const float*, const float*,
                                  Grad<float>);
template void activation_backward(const Context&, ActivationShape, const bf16*, const bf16*, const bf16*, Grad<bf16>);

}  // namespace hourglass::cuda
