// SPDX-License-Identifier: Apache-2.0
// A pixel is a row of C channels (row_tasks.cuh): a thread moves four channels. Forward works by pixel of y, so that
// writes are contiguous and the block's repeated reads hit the cache; backward by pixel of x, in the order of the
// block.
#include "kernels/base/pool2d_check.h"
#include "kernels/base/row_tasks.cuh"
#include "kernels/upsample2d.h"

namespace hourglass::cuda {
namespace {

template <class T, bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    upsample2d_forward_quad_kernel(gpu::RowTasks tasks, Upsample2dShape s, const T* x, T* y) {
  const int Q = s.W * s.factor_w;
  gpu::for_each_quad<kVector>(tasks, [&](int64_t row) {
    // H factor_h lines an image: the line of x follows from that of y without knowing the image.
    const int line = static_cast<int>(row) / Q, q = static_cast<int>(row) - line * Q;
    const int64_t from = int64_t{line / s.factor_h} * s.W + q / s.factor_w;
    return [=](int quad, int count) {
      const gpu::Vec4 v = gpu::load_quad<kVector>(x + from * s.C + 4 * quad, count);
      gpu::store_quad_whole<kVector>(y + row * s.C + 4 * quad, v, count);
      return 0.0f;
    };
  });
}

template <class T, bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    upsample2d_backward_quad_kernel(gpu::RowTasks tasks, Upsample2dShape s, const T* dy, Grad<T> dx) {
  const int Q = s.W * s.factor_w;
  gpu::for_each_quad<kVector>(tasks, [&](int64_t row) {
    const int line = static_cast<int>(row) / s.W, w = static_cast<int>(row) - line * s.W;
    const int64_t first = int64_t{line} * s.factor_h * Q + w * s.factor_w;
    return [=](int quad, int count) {
      gpu::Vec4 sum = {};
      for (int i = 0; i < s.factor_h; ++i) {
        for (int j = 0; j < s.factor_w; ++j) {
          const int64_t from = first + int64_t{i} * Q + j;
          const gpu::Vec4 g = gpu::load_quad<kVector>(dy + from * s.C + 4 * quad, count);
#pragma unroll
          for (int k = 0; k < 4; ++k) sum[k] += g[k];
        }
      }
      gpu::write_quad<kVector>(dx.data + row * s.C + 4 * quad, sum, count, dx.mode);
      return 0.0f;
    };
  });
}

}  // namespace

template <class T>
void upsample2d_forward(const Context& ctx, const Upsample2dShape& s, const T* x, T* y) {
  check_upsample2d(s);
  const gpu::RowTasks tasks(int64_t{s.N} * s.H * s.factor_h * s.W * s.factor_w, s.C);
  if (tasks.rows == 0 || s.C == 0) return;
  gpu::with_constant(gpu::can_load4(s.C, x, y), [&](auto vectors) {
    gpu::launch(upsample2d_forward_quad_kernel<T, decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, s, x, y);
  });
}

template <class T>
void upsample2d_backward(const Context& ctx, const Upsample2dShape& s, const T* dy, Grad<T> dx) {
  check_upsample2d(s);
  const gpu::RowTasks tasks(int64_t{s.N} * s.H * s.W, s.C);
  if (!dx || tasks.rows == 0 || s.C == 0) return;
  gpu::with_constant(gpu::can_load4(s.C, dy, dx.data), [&](auto vectors) {
    gpu::launch(upsample2d_backward_quad_kernel<T, decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, s, dy, dx);
  });
}

#define HOURGLASS_INSTANTIATE(T)                                                          \
  template void upsample2d_forward(const Context&, const Upsample2dShape&, const T*, T*); \
  template void upsample2d_backward(const Context&, const Upsample2dShape&, const T*, Grad<T>);
HOURGLASS_INSTANTIATE(float)
HOURGLASS_INSTANTIATE(bf16)
#undef HOURGLASS_INSTANTIATE

}  // namespace hourglass::cuda
