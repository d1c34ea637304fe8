// SPDX-License-Identifier: Apache-2.0
// Two kernels serve the family: a map of two inputs to one output, and the gradients of both inputs from one pass over
// the output's, so that an op's backward is one launch. Blocks and threads: flat.cuh.
#include "kernels/base/elementwise_check.h"
#include "kernels/base/flat.cuh"
#include "kernels/elementwise.h"

namespace hourglass::cuda {
namespace {

struct Add {
  __device__ __forceinline__ float operator()(float a, float b) const { return a + b; }
};
struct Subtract {
  __device__ __forceinline__ float operator()(float a, float b) const { return a - b; }
};
struct Multiply {
  __device__ __forceinline__ float operator()(float a, float b) const { return a * b; }
};

template <class Op, class T>
__global__ void __launch_bounds__(gpu::kFlatThreads)
    binary_quad_kernel(int64_t n, bool aligned, const T* a, const T* b, T* y) {
  gpu::for_each_flat_quad(n, aligned, [&](int64_t i, int count, auto whole) {
    constexpr bool kVector = decltype(whole)::value;
    gpu::Vec4 v = gpu::load_quad<kVector>(a + i, count);
    const gpu::Vec4 w = gpu::load_quad<kVector>(b + i, count);
#pragma unroll
    for (int j = 0; j < 4; ++j) v[j] = Op{}(v[j], w[j]);
    gpu::write_quad<kVector>(y + i, v, count, Write::kSet);
  });
}

/// y = factor x.
template <class T>
__global__ void __launch_bounds__(gpu::kFlatThreads)
    scale_quad_kernel(int64_t n, bool aligned, const T* x, float factor, Grad<T> y) {
  gpu::for_each_flat_quad(n, aligned, [&](int64_t i, int count, auto whole) {
    constexpr bool kVector = decltype(whole)::value;
    gpu::Vec4 v = gpu::load_quad<kVector>(x + i, count);
#pragma unroll
    for (int j = 0; j < 4; ++j) v[j] *= factor;
    gpu::write_quad<kVector>(y.data + i, v, count, y.mode);
  });
}

/// da = dy, db = sign dy.
template <class T>
__global__ void __launch_bounds__(gpu::kFlatThreads)
    signed_backward_quad_kernel(int64_t n, bool aligned, float sign, const T* dy, Grad<T> da, Grad<T> db) {
  gpu::for_each_flat_quad(n, aligned, [&](int64_t i, int count, auto whole) {
    constexpr bool kVector = decltype(whole)::value;
    gpu::Vec4 g = gpu::load_quad<kVector>(dy + i, count);
    if (da) gpu::write_quad<kVector>(da.data + i, g, count, da.mode);
#pragma unroll
    for (int j = 0; j < 4; ++j) g[j] *= sign;
    if (db) gpu::write_quad<kVector>(db.data + i, g, count, db.mode);
  });
}

/// da = dy b, db = dy a. Both inputs are read before either gradient is written.
template <class T>
__global__ void __launch_bounds__(gpu::kFlatThreads)
    product_backward_quad_kernel(int64_t n, bool aligned, const T* a, const T* b, const T* dy, Grad<T> da, Grad<T> db) {
  gpu::for_each_flat_quad(n, aligned, [&](int64_t i, int count, auto whole) {
    constexpr bool kVector = decltype(whole)::value;
    const gpu::Vec4 g = gpu::load_quad<kVector>(dy + i, count);
    gpu::Vec4 for_a{}, for_b{};
    if (da) for_a = gpu::load_quad<kVector>(b + i, count);
    if (db) for_b = gpu::load_quad<kVector>(a + i, count);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      for_a[j] *= g[j];
      for_b[j] *= g[j];
    }
    if (da) gpu::write_quad<kVector>(da.data + i, for_a, count, da.mode);
    if (db) gpu::write_quad<kVector>(db.data + i, for_b, count, db.mode);
  });
}

template <class... Parameters, class... Arguments>
void launch_flat(const Context& ctx, int64_t n, void (*kernel)(Parameters...), Arguments... arguments) {
  gpu::launch(kernel, gpu::flat_blocks(n), gpu::kFlatThreads, 0, gpu::stream(ctx), n, arguments...);
}

template <class Op, class T>
void binary(const Context& ctx, const char* op, ElementwiseShape s, const T* a, const T* b, T* y) {
  check_elementwise(op, s);
  if (s.n == 0) return;
  launch_flat(ctx, s.n, binary_quad_kernel<Op, T>, gpu::can_load4(0, a, b, y), a, b, y);
}

template <class T>
void scale(const Context& ctx, ElementwiseShape s, const T* x, double factor, Grad<T> y) {
  check_elementwise("scale", s);
  if (s.n == 0 || !y) return;
  launch_flat(ctx, s.n, scale_quad_kernel<T>, gpu::can_load4(0, x, y.data), x, static_cast<float>(factor), y);
}

template <class T>
void signed_backward(const Context& ctx, const char* op, ElementwiseShape s, float sign, const T* dy, Grad<T> da,
                     Grad<T> db) {
  check_elementwise(op, s);
  if (s.n == 0 || (!da && !db)) return;
  launch_flat(ctx, s.n, signed_backward_quad_kernel<T>, gpu::can_load4(0, dy, da.data, db.data), sign, dy, da, db);
}

}  // namespace

template <class T>
void add_forward(const Context& ctx, ElementwiseShape s, const T* a, const T* b, T* y) {
  binary<Add>(ctx, "add", s, a, b, y);
}

template <class T>
void add_backward(const Context& ctx, ElementwiseShape s, const T* dy, Grad<T> da, Grad<T> db) {
  signed_backward(ctx, "add", s, 1.0f, dy, da, db);
}

template <class T>
void sub_forward(const Context& ctx, ElementwiseShape s, const T* a, const T* b, T* y) {
  binary<Subtract>(ctx, "sub", s, a, b, y);
}

template <class T>
void sub_backward(const Context& ctx, ElementwiseShape s, const T* dy, Grad<T> da, Grad<T> db) {
  signed_backward(ctx, "sub", s, -1.0f, dy, da, db);
}

template <class T>
void mul_forward(const Context& ctx, ElementwiseShape s, const T* a, const T* b, T* y) {
  binary<Multiply>(ctx, "mul", s, a, b, y);
}

template <class T>
void mul_backward(const Context& ctx, ElementwiseShape s, const T* a, const T* b, const T* dy, Grad<T> da, Grad<T> db) {
  check_elementwise("mul", s);
  if (s.n == 0 || (!da && !db)) return;
  launch_flat(ctx, s.n, product_backward_quad_kernel<T>, gpu::can_load4(0, a, b, dy, da.data, db.data), a, b, dy, da,
              db);
}

template <class T>
void scale_forward(const Context& ctx, ElementwiseShape s, const T* x, double factor, T* y) {
  scale(ctx, s, x, factor, Grad<T>{y, Write::kSet});
}

template <class T>
void scale_backward(const Context& ctx, ElementwiseShape s, const T* dy, double factor, Grad<T> dx) {
  scale(ctx, s, dy, factor, dx);
}

#define HOURGLASS_INSTANTIATE(T)                                                                                \
  template void add_forward(const Context&, ElementwiseShape, const T*, const T*, T*);                          \
  template void add_backward(const Context&, ElementwiseShape, const T*, Grad<T>, Grad<T>);                     \
  template void sub_forward(const Context&, ElementwiseShape, const T*, const T*, T*);                          \
  template void sub_backward(const Context&, ElementwiseShape, const T*, Grad<T>, Grad<T>);                     \
  template void mul_forward(const Context&, ElementwiseShape, const T*, const T*, T*);                          \
  template void mul_backward(const Context&, ElementwiseShape, const T*, const T*, const T*, Grad<T>, Grad<T>); \
  template void scale_forward(const Context&, ElementwiseShape, const T*, double, T*);                          \
  template void scale_backward(const Context&, ElementwiseShape, const T*, double, Grad<T>);
HOURGLASS_INSTANTIATE(float)
HOURGLASS_INSTANTIATE(bf16)
#undef HOURGLASS_INSTANTIATE

}  // namespace hourglass::cuda
