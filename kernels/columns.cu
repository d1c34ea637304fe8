// SPDX-License-Identifier: Apache-2.0
// Blocks and threads walk the written columns row by row: row_tasks.cuh.
#include "kernels/base/columns_check.h"
#include "kernels/base/row_tasks.cuh"
#include "kernels/columns.h"

namespace hourglass::cuda {
namespace {

/// The block alone: tasks.columns is s.count.
template <class T, bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    copy_columns_quad_kernel(gpu::RowTasks tasks, ColumnsShape s, const T* x, Grad<T> y) {
  gpu::for_each_quad<kVector>(tasks, [&](int64_t row) {
    const T* const from = x + row * s.src_cols + s.src_first;
    T* const to = y.data + row * s.dst_cols + s.dst_first;
    return [=](int quad, int count) {
      gpu::write_quad<kVector>(to + 4 * quad, gpu::load_quad<kVector>(from + 4 * quad, count), count, y.mode);
      return 0.0f;
    };
  });
}

/// Whole rows of y, zeros outside the block: tasks.columns is s.dst_cols. With kVector no quad straddles the block's
/// ends.
template <class T, bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    pad_columns_quad_kernel(gpu::RowTasks tasks, ColumnsShape s, const T* x, T* y) {
  gpu::for_each_quad<kVector>(tasks, [&](int64_t row) {
    const T* const from = x + row * s.src_cols + s.src_first;
    T* const to = y + row * s.dst_cols;
    return [=](int quad, int count) {
      const int first = 4 * quad - s.dst_first;  // of the quad, within the block
      gpu::Vec4 v{};
      if constexpr (kVector) {
        if (first >= 0 && first < s.count) v = gpu::load4(from + first);
      } else {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          if (first + j >= 0 && first + j < s.count) v[j] = gpu::to_float(from[first + j]);
        }
      }
      gpu::write_quad<kVector>(to + 4 * quad, v, count, Write::kSet);
      return 0.0f;
    };
  });
}

template <class T>
bool can_vectorize(const ColumnsShape& s, const T* x, const T* y) {
  return (s.src_cols | s.dst_cols | s.src_first | s.dst_first | s.count) % 4 == 0 && gpu::can_load4(0, x, y);
}

template <class T>
void copy_block(const Context& ctx, const ColumnsShape& s, const T* x, Grad<T> y) {
  if (s.rows == 0 || s.count == 0) return;
  const gpu::RowTasks tasks(s.rows, s.count);
  gpu::with_constant(can_vectorize(s, x, y.data), [&](auto vectors) {
    gpu::launch(copy_columns_quad_kernel<T, decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, s, x, y);
  });
}

template <class T>
void copy_padded(const Context& ctx, const ColumnsShape& s, const T* x, T* y) {
  if (s.rows == 0 || s.dst_cols == 0) return;
  const gpu::RowTasks tasks(s.rows, s.dst_cols);
  gpu::with_constant(can_vectorize(s, x, y), [&](auto vectors) {
    gpu::launch(pad_columns_quad_kernel<T, decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, s, x, y);
  });
}

}  // namespace

template <class T>
void copy_columns(const Context& ctx, ColumnsShape s, const T* x, T* y) {
  check_columns(s);
  copy_block(ctx, s, x, Grad<T>{y, Write::kSet});
}

template <class T>
void copy_columns(const Context& ctx, ColumnsShape s, const T* x, Grad<T> y) {
  check_columns(s);
  if (!y) return;
  if (y.mode == Write::kSet && s.count < s.dst_cols) return copy_padded(ctx, s, x, y.data);
  copy_block(ctx, s, x, y);
}

template void copy_columns(const Context&, ColumnsShape, const float*, float*);
template void copy_columns(const Context&, ColumnsShape, const bf16*, bf16*);
template void copy_columns(const Context&, ColumnsShape, const float*, Grad<float>);
template void copy_columns(const Context&, ColumnsShape, const bf16*, Grad<bf16>);

}  // namespace hourglass::cuda
