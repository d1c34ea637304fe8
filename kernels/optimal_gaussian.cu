// SPDX-License-Identifier: Apache-2.0
// Two passes: the sum of all squares (row_tasks.cuh, last_block.cuh), then the gradient, which every block scales by
// the same mse. Both are bound by memory.
#include "kernels/base/optimal_gaussian_value.h"
#include "kernels/base/row_tasks.cuh"
#include "kernels/optimal_gaussian.h"

namespace hourglass::cuda {
namespace {

template <class T, bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    mean_square_rows_kernel(gpu::RowTasks tasks, int draws, float factor, const T* y, const T* x, float* mse,
                            float* partials, unsigned* ticket) {
  const auto at_row = [&](int64_t row) {
    const T* const of_y = y + row * tasks.columns;
    const T* const of_x = x + (draws == 1 ? row : row / draws) * tasks.columns;
    return [=](int quad, int count) {
      const gpu::Vec4 a = gpu::load_quad<kVector>(of_y + 4 * quad, count);
      const gpu::Vec4 b = gpu::load_quad<kVector>(of_x + 4 * quad, count);
      gpu::Vec4 squares;
#pragma unroll
      for (int j = 0; j < 4; ++j) squares[j] = (a[j] - b[j]) * (a[j] - b[j]);
      return gpu::quad_sum(squares, count);
    };
  };
  gpu::sum_all<kVector>(tasks, partials, ticket, factor, Grad<float>{mse}, at_row);
}

/// `weight` is already divided by N.
template <class T, bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    optimal_gaussian_gradient_kernel(gpu::RowTasks tasks, int draws, const T* y, const T* x, const float* mse,
                                     Weight weight, Grad<float> value, Grad<T> dy) {
  const float scale = static_cast<float>(weight.value()) / bounded_variance(*mse);
  if (value && blockIdx.x == 0 && threadIdx.x == 0) {
    write(*value.data, optimal_nll(*mse, tasks.columns), value.mode);
  }
  if (!dy) return;
  gpu::for_each_quad<kVector>(tasks, [&](int64_t row) {
    const int64_t at = row * tasks.columns;
    const T* const of_x = x + (draws == 1 ? row : row / draws) * tasks.columns;
    return [=](int quad, int count) {
      const gpu::Vec4 a = gpu::load_quad<kVector>(y + at + 4 * quad, count);
      const gpu::Vec4 b = gpu::load_quad<kVector>(of_x + 4 * quad, count);
      gpu::Vec4 gradient;
#pragma unroll
      for (int j = 0; j < 4; ++j) gradient[j] = scale * (a[j] - b[j]);
      gpu::write_quad<kVector>(dy.data + at + 4 * quad, gradient, count, dy.mode);
      return 0.0f;
    };
  });
}

}  // namespace

template <class T>
void optimal_gaussian_forward(const Context& ctx, RowLossShape s, const T* y, const T* x, acc_t<T>* mse) {
  check_optimal_gaussian(s);
  const gpu::RowTasks tasks(s.N, s.D);
  const float factor = s.D == 0 ? 0.0f : static_cast<float>(1.0 / (static_cast<double>(s.N) * s.D));
  gpu::with_constant(gpu::can_load4(s.D, y, x), [&](auto vectors) {
    gpu::launch(mean_square_rows_kernel<T, decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, s.draws, factor, y, x, mse, gpu::partials<float>(ctx), gpu::tickets(ctx));
  });
}

template <class T>
void optimal_gaussian_loss(const Context& ctx, RowLossShape s, const T* y, const T* x, const acc_t<T>* mse,
                           Weight weight, Grad<acc_t<T>> value, Grad<T> dy) {
  check_optimal_gaussian(s);
  if (!value && !dy) return;
  const gpu::RowTasks tasks(s.N, s.D);
  const unsigned blocks = dy ? tasks.blocks : 1;
  gpu::with_constant(gpu::can_load4(s.D, y, x, dy.data), [&](auto vectors) {
    gpu::launch(optimal_gaussian_gradient_kernel<T, decltype(vectors)::value>, blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, s.draws, y, x, mse, gpu::per_sample(weight, s.N), value, dy);
  });
}

#define HOURGLASS_INSTANTIATE(T)                                                                              \
  template void optimal_gaussian_forward(const Context&, RowLossShape, const T*, const T*, float*);           \
  template void optimal_gaussian_loss(const Context&, RowLossShape, const T*, const T*, const float*, Weight, \
                                      Grad<float>, Grad<T>);
HOURGLASS_INSTANTIATE(float)
HOURGLASS_INSTANTIATE(bf16)
#undef HOURGLASS_INSTANTIATE

}  // namespace hourglass::cuda
