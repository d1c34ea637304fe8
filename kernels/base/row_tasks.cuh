// SPDX-License-Identifier: Apache-2.0
// How kernels that compute on rows, and sum over them, cover a (rows, columns) tensor.
//
// The unit of work of a thread is a quad: four neighbouring columns, one 16-byte access in float, one Philox block of
// noise. A row is the work of 2^k neighbouring threads: part of a warp for short rows (20 columns are 5 quads: 8
// threads, 16 rows a block), a warp, or the whole block for long ones. Few very long rows are cut into segments, one
// block each. A (row, segment) is a task; blocks take tasks in turn, at most kMostTaskBlocks blocks, which an H100
// holds all at once. The cut follows from the shape alone, so that sums have the same bits everywhere.
//
// Kernels give the work as a function of the row that makes a function of the quad, so that what belongs to a row is
// computed once:
//
//   const auto at_row = [&](int64_t row) {
//     const T* const of_x = x + row * tasks.columns;
//     return [=](int quad, int count) {                      // columns 4 * quad .. 4 * quad + count - 1
//       const gpu::Vec4 v = gpu::load_quad<kVector>(of_x + 4 * quad, count);
//       return gpu::quad_sum(v, count);                      // this quad's part of the row's sum
//     };
//   };
//   gpu::sum_rows<kVector>(tasks, partials, ticket, at_row, [=](int64_t row, float sum) { y[row] = sum; });
//
// kVector says that every quad is whole and aligned: can_load4(columns, x). It is a constant, not an argument, so that
// all loads of a quad are on their way before the first is waited for.
#pragma once

#include <algorithm>
#include <bit>

#include "kernels/base/grid_sum.cuh"

namespace hourglass::gpu {

inline constexpr int kTaskThreads = 128;
inline constexpr int kMostTaskBlocks = 1024;

struct RowTasks {
  int64_t rows;
  int columns;
  int quads;         ///< of a row
  int threads_log2;  ///< of a task
  int segments;      ///< tasks of a row; more than 1 only where a task is a block's
  unsigned blocks;

  RowTasks(int64_t rows_, int columns_) : rows(rows_), columns(columns_), quads(columns_ / 4 + (columns_ % 4 != 0)) {
    const unsigned threads =
        quads > 2 * kWarp ? kTaskThreads : std::min(32u, std::bit_ceil(static_cast<unsigned>(quads)));
    threads_log2 = std::countr_zero(threads);
    const int64_t most_segments = std::max<int64_t>(1, kMostTaskBlocks / std::max<int64_t>(1, rows));
    segments = static_cast<int>(std::clamp<int64_t>(quads / (2 * kTaskThreads), 1, most_segments));
    blocks = static_cast<unsigned>(std::min<int64_t>(kMostTaskBlocks, (count() + per_block() - 1) / per_block()));
  }
  __host__ __device__ int64_t count() const { return rows * segments; }
  __host__ __device__ int per_block() const { return kTaskThreads >> threads_log2; }
};

/// Elements 0 .. count - 1 at p, zeros after them; with kVector all four in one access.
template <bool kVector, class T>
__device__ __forceinline__ Vec4 load_quad(const T* p, int count) {
  if constexpr (kVector) {
    return load4(p);
  } else {
    Vec4 x = {};
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (j < count) x[j] = to_float(p[j]);
    }
    return x;
  }
}
template <bool kVector, class T>
__device__ __forceinline__ void write_quad(T* p, const Vec4& x, int count, Write mode) {
  if constexpr (kVector) {
    write4(p, x, mode);
  } else {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (j < count) p[j] = from_float<T>(mode == Write::kAdd ? to_float(p[j]) + x[j] : x[j]);
    }
  }
}
/// The same with kSet, the vector by store4_whole.
template <bool kVector, class T>
__device__ __forceinline__ void store_quad_whole(T* p, const Vec4& x, int count) {
  if constexpr (kVector) {
    store4_whole(p, x);
  } else {
    write_quad<false>(p, x, count, Write::kSet);
  }
}
/// Sum of the first `count` (at most 4) elements.
__device__ __forceinline__ float quad_sum(const Vec4& x, int count) {
  const float second = count > 1 ? x[1] : 0.0f, third = count > 2 ? x[2] : 0.0f, fourth = count > 3 ? x[3] : 0.0f;
  return (x[0] + second) + (third + fourth);
}

/// The sum, in each thread, over its quads of one task; 0 in threads without a task.
template <bool kVector, class AtRow>
__device__ __forceinline__ float task_sum(const RowTasks& tasks, int64_t task, AtRow at_row) {
  if (task >= tasks.count()) return 0;
  const int threads = 1 << tasks.threads_log2, thread = static_cast<int>(threadIdx.x) & (threads - 1);
  int64_t row = task;
  int first = 0, end = tasks.quads;
  if (tasks.segments > 1) {
    row = task / tasks.segments;
    const int64_t segment = task - row * tasks.segments;
    first = static_cast<int>(tasks.quads * segment / tasks.segments);
    end = static_cast<int>(tasks.quads * (segment + 1) / tasks.segments);
  }
  const auto of_quad = at_row(row);
  float sum = 0;
  for (int quad = first + thread; quad < end; quad += threads) {
    sum += of_quad(quad, kVector ? 4 : min(4, tasks.columns - 4 * quad));
  }
  return sum;
}

/// Calls body(task) in every thread of the block the same number of times, tasks beyond the last included.
template <class Body>
__device__ __forceinline__ void for_each_task(const RowTasks& tasks, Body body) {
  const int64_t step = int64_t{gridDim.x} * tasks.per_block();
  for (int64_t first = int64_t{blockIdx.x} * tasks.per_block(); first < tasks.count(); first += step) {
    body(first + (threadIdx.x >> tasks.threads_log2));
  }
}

/// Elementwise work, row by row: what of_quad returns is dropped.
template <bool kVector, class AtRow>
__device__ __forceinline__ void for_each_quad(const RowTasks& tasks, AtRow at_row) {
  for_each_task(tasks, [&](int64_t task) { task_sum<kVector>(tasks, task, at_row); });
}

/// Sums of rows: `store(row, sum)` is called once for each row. The last block adds those of segments.
template <bool kVector, class AtRow, class Store>
__device__ __forceinline__ void sum_rows(const RowTasks& tasks, float* partials, unsigned* ticket, AtRow at_row,
                                         Store store) {
  const int threads = 1 << tasks.threads_log2;
  for_each_task(tasks, [&](int64_t task) {
    float sum = task_sum<kVector>(tasks, task, at_row);
    if (threads == kTaskThreads) {
      sum = block_sum<float, kTaskThreads>(sum);
    } else {
      for (int distance = threads / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(kFullMask, sum, distance);
    }
    if (task >= tasks.count() || (static_cast<int>(threadIdx.x) & (threads - 1)) != 0) return;
    if (tasks.segments == 1) {
      store(task, sum);
    } else {
      partials[task] = sum;
    }
  });
  if (tasks.segments == 1 || !is_last_block(ticket)) return;
  for (int64_t row = threadIdx.x; row < tasks.rows; row += kTaskThreads) {
    float sum = 0;
    for (int i = 0; i < tasks.segments; ++i) sum += __ldcg(partials + row * tasks.segments + i);
    store(row, sum);
  }
}

/// value = (or +=) factor * the sum over all rows. A null value costs neither partial sums nor a ticket.
template <bool kVector, class AtRow>
__device__ __forceinline__ void sum_all(const RowTasks& tasks, float* partials, unsigned* ticket, float factor,
                                        Grad<float> value, AtRow at_row) {
  float sum = 0;
  for_each_task(tasks, [&](int64_t task) { sum += task_sum<kVector>(tasks, task, at_row); });
  if (value) grid_sum<kTaskThreads>(sum, factor, value, partials, ticket);
}

/// Host: calls f with std::true_type or std::false_type, to choose a kernel by a template argument.
template <class F>
void with_constant(bool condition, F&& f) {
  if (condition) {
    f(std::true_type{});
  } else {
    f(std::false_type{});
  }
}

}  // namespace hourglass::gpu
