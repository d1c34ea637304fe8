// SPDX-License-Identifier: Apache-2.0
// The CUDA form of the losses that compare each row of a prediction with a row of data (row_loss.h). An op gives its
// name and its maths of one element,
//
//   struct SquaredError {
//     static constexpr const char* kName = "squared_error";
//     static __device__ float loss(float y, float x);
//     static __device__ float slope(float y, float x);     // d loss / d y
//   };
//
// and forwards to row_loss_forward, _backward and _mean. Blocks and threads: row_tasks.cuh. All three read y and x once
// and are bound by memory; `_mean` writes the gradient in the pass that sums the value.
#pragma once

#include "kernels/base/row_loss.h"
#include "kernels/base/row_tasks.cuh"

namespace hourglass::cuda {

template <class Op, class T, bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    row_loss_forward_kernel(gpu::RowTasks tasks, int draws, const T* y, const T* x, float* loss, float* partials,
                            unsigned* ticket) {
  const auto at_row = [&](int64_t row) {
    const T* const of_y = y + row * tasks.columns;
    const T* const of_x = x + (draws == 1 ? row : row / draws) * tasks.columns;
    return [=](int quad, int count) {
      const gpu::Vec4 a = gpu::load_quad<kVector>(of_y + 4 * quad, count);
      const gpu::Vec4 b = gpu::load_quad<kVector>(of_x + 4 * quad, count);
      gpu::Vec4 terms;
#pragma unroll
      for (int j = 0; j < 4; ++j) terms[j] = Op::loss(a[j], b[j]);
      return gpu::quad_sum(terms, count);
    };
  };
  gpu::sum_rows<kVector>(tasks, partials, ticket, at_row, [=](int64_t row, float sum) { loss[row] = sum; });
}

template <class Op, class T, bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    row_loss_backward_kernel(gpu::RowTasks tasks, int draws, const T* y, const T* x, const float* dloss, Grad<T> dy) {
  gpu::for_each_quad<kVector>(tasks, [&](int64_t row) {
    const int64_t at = row * tasks.columns;
    const T* const of_x = x + (draws == 1 ? row : row / draws) * tasks.columns;
    const float scale = dloss[row];
    return [=](int quad, int count) {
      const gpu::Vec4 a = gpu::load_quad<kVector>(y + at + 4 * quad, count);
      const gpu::Vec4 b = gpu::load_quad<kVector>(of_x + 4 * quad, count);
      gpu::Vec4 gradient;
#pragma unroll
      for (int j = 0; j < 4; ++j) gradient[j] = scale * Op::slope(a[j], b[j]);
      gpu::write_quad<kVector>(dy.data + at + 4 * quad, gradient, count, dy.mode);
      return 0.0f;
    };
  });
}

/// `weight` is already divided by N.
template <class Op, class T, bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    row_loss_mean_kernel(gpu::RowTasks tasks, int draws, const T* y, const T* x, Weight weight, Grad<float> value,
                         Grad<T> dy, float* partials, unsigned* ticket) {
  const float scale = static_cast<float>(weight.value());
  const auto at_row = [&](int64_t row) {
    const int64_t at = row * tasks.columns;
    const T* const of_x = x + (draws == 1 ? row : row / draws) * tasks.columns;
    return [=](int quad, int count) {
      const gpu::Vec4 a = gpu::load_quad<kVector>(y + at + 4 * quad, count);
      const gpu::Vec4 b = gpu::load_quad<kVector>(of_x + 4 * quad, count);
      gpu::Vec4 terms, gradient;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        terms[j] = Op::loss(a[j], b[j]);
        gradient[j] = scale * Op::slope(a[j], b[j]);
      }
      if (dy) gpu::write_quad<kVector>(dy.data + at + 4 * quad, gradient, count, dy.mode);
      return gpu::quad_sum(terms, count);
    };
  };
  gpu::sum_all<kVector>(tasks, partials, ticket, 1.0f / static_cast<float>(tasks.rows), value, at_row);
}

template <class Op, class T>
void row_loss_forward(const Context& ctx, RowLossShape s, const T* y, const T* x, float* loss) {
  check_row_loss(Op::kName, s.N, s.D, s.draws);
  if (s.N == 0) return;
  const gpu::RowTasks tasks(s.N, s.D);
  gpu::with_constant(gpu::can_load4(s.D, y, x), [&](auto vectors) {
    gpu::launch(row_loss_forward_kernel<Op, T, decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, s.draws, y, x, loss, gpu::partials<float>(ctx), gpu::tickets(ctx));
  });
}

template <class Op, class T>
void row_loss_backward(const Context& ctx, RowLossShape s, const T* y, const T* x, const float* dloss, Grad<T> dy) {
  check_row_loss(Op::kName, s.N, s.D, s.draws);
  if (s.N == 0 || s.D == 0 || !dy) return;
  const gpu::RowTasks tasks(s.N, s.D);
  gpu::with_constant(gpu::can_load4(s.D, y, x, dy.data), [&](auto vectors) {
    gpu::launch(row_loss_backward_kernel<Op, T, decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, s.draws, y, x, dloss, dy);
  });
}

template <class Op, class T>
void row_loss_mean(const Context& ctx, RowLossShape s, const T* y, const T* x, Weight weight, Grad<float> value,
                   Grad<T> dy) {
  check_row_loss(Op::kName, s.N, s.D, s.draws);
  check_mean(Op::kName, s.N);
  if (!value && !dy) return;
  const gpu::RowTasks tasks(s.N, s.D);
  gpu::with_constant(gpu::can_load4(s.D, y, x, dy.data), [&](auto vectors) {
    gpu::launch(row_loss_mean_kernel<Op, T, decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, s.draws, y, x, gpu::per_sample(weight, s.N), value, dy,
                gpu::partials<float>(ctx), gpu::tickets(ctx));
  });
}

}  // namespace hourglass::cuda
