// SPDX-License-Identifier: Apache-2.0
// Sums and means of rows, and all gradients, run on the tasks of row_tasks.cuh, which also cuts few long rows into
// segments. The norm and log-sum-exp need a double sum or two passes over the row: there a warp works on a row, or a
// block on a long one, and the second pass reads from the cache what the first has read.
#include <limits>

#include "kernels/base/math.h"
#include "kernels/base/row_reduce_check.h"
#include "kernels/base/row_tasks.cuh"
#include "kernels/row_reduce.h"

namespace hourglass::cuda {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// y[n] = sum of the row / divisor.
template <class T, bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    row_sum_quad_kernel(gpu::RowTasks tasks, const T* x, float divisor, T* y, float* partials, unsigned* ticket) {
  const auto at_row = [&](int64_t row) {
    const T* const from = x + row * tasks.columns;
    return [=](int quad, int count) { return gpu::quad_sum(gpu::load_quad<kVector>(from + 4 * quad, count), count); };
  };
  gpu::sum_rows<kVector>(tasks, partials, ticket, at_row,
                         [=](int64_t row, float sum) { y[row] = gpu::from_float<T>(sum / divisor); });
}

/// The threads of one row: a warp, or the whole block.
template <int kLanes>
struct RowLanes {
  static_assert(kLanes == gpu::kWarp || kLanes == gpu::kTaskThreads);
  static constexpr int kRows = gpu::kTaskThreads / kLanes;  ///< of a block

  static __device__ __forceinline__ int lane() { return static_cast<int>(threadIdx.x) % kLanes; }
  static __device__ __forceinline__ int64_t row() {
    return int64_t{blockIdx.x} * kRows + static_cast<int>(threadIdx.x) / kLanes;
  }
  template <class V, class Combine>
  static __device__ __forceinline__ V reduce(V v, Combine combine) {
    if constexpr (kLanes == gpu::kWarp) {
      return gpu::warp_reduce(v, combine);
    } else {
      return gpu::block_reduce<V, kLanes>(v, combine);
    }
  }
};

struct Norm {
  template <class Lanes, class T>
  static __device__ __forceinline__ float of(const T* x, int D) {
    double squares = 0;  // a float's square overflows beyond 1.8e19
    for (int d = Lanes::lane(); d < D; d += gpu::kTaskThreads / Lanes::kRows) {
      const auto value = static_cast<double>(gpu::to_float(x[d]));
      squares += value * value;
    }
    return static_cast<float>(math::sqrt(Lanes::reduce(squares, gpu::Sum{})));
  }
};

struct LogSumExp {
  template <class Lanes, class T>
  static __device__ __forceinline__ float of(const T* x, int D) {
    constexpr int kStride = gpu::kTaskThreads / Lanes::kRows;
    float max = -kInfinity;
    for (int d = Lanes::lane(); d < D; d += kStride) max = gpu::Max{}(max, gpu::to_float(x[d]));
    max = Lanes::reduce(max, gpu::Max{});
    float sum = 0;
    for (int d = Lanes::lane(); d < D; d += kStride) sum += math::exp(gpu::to_float(x[d]) - max);
    sum = Lanes::reduce(sum, gpu::Sum{});
    return max - max == 0 ? max + math::log(sum) : max;  // an infinity, or NaN, is the result
  }
};

template <class Reduction, class T, int kLanes>
__global__ void __launch_bounds__(gpu::kTaskThreads) row_reduce_lanes_kernel(RowReduceShape s, const T* x, T* y) {
  using Lanes = RowLanes<kLanes>;
  const int64_t n = Lanes::row();
  if (n >= s.N) return;  // all threads of the row: none waits for them
  const float value = Reduction::template of<Lanes>(x + n * s.D, s.D);
  if (Lanes::lane() == 0) y[n] = gpu::from_float<T>(value);
}

/// exp(value - max), where equal infinities differ by nothing.
__device__ __forceinline__ double exp_difference(double value, double max) {
  return value == max ? 1.0 : math::exp(value - max);
}

/// A warp to a row: chunks are short (the importance samples of one launch).
template <class T>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    log_sum_exp_update_lanes_kernel(RowReduceShape s, const T* values, double* max, double* sum) {
  using Lanes = RowLanes<gpu::kWarp>;
  const int64_t n = Lanes::row();
  if (n >= s.N) return;
  const T* const row = values + n * s.D;
  const double before = max[n];
  double highest = before;
  for (int d = Lanes::lane(); d < s.D; d += gpu::kWarp) {
    highest = gpu::Max{}(highest, static_cast<double>(gpu::to_float(row[d])));
  }
  highest = Lanes::reduce(highest, gpu::Max{});
  if (highest == -static_cast<double>(kInfinity)) return;
  double total = 0;
  for (int d = Lanes::lane(); d < s.D; d += gpu::kWarp) {
    total += exp_difference(static_cast<double>(gpu::to_float(row[d])), highest);
  }
  total = Lanes::reduce(total, gpu::Sum{});
  __syncwarp();  // every lane has read max[n]
  if (Lanes::lane() != 0) return;
  if (sum[n] != 0) total += sum[n] * exp_difference(before, highest);
  max[n] = highest;
  sum[n] = total;
}

// What a row's elements are multiplied by, made once a row from y and dy.

struct SumSlope {
  static constexpr bool kReadsInput = false;
  float dy;
  __device__ __forceinline__ SumSlope(float, float dy_of_row, float divisor) : dy(dy_of_row / divisor) {}
  __device__ __forceinline__ float operator()(float) const { return dy; }
};

/// One division a row; `up` keeps the inverse of the smallest norms finite.
struct NormSlope {
  static constexpr bool kReadsInput = true;
  float dy, up, inverse;
  __device__ __forceinline__ NormSlope(float y, float dy_of_row, float)
      : dy(dy_of_row), up(y < 0x1p-100f ? 0x1p100f : 1.0f), inverse(y == 0.0f ? 0.0f : 1.0f / (y * up)) {}
  __device__ __forceinline__ float operator()(float x) const { return dy * (x * up * inverse); }
};

struct LogSumExpSlope {
  static constexpr bool kReadsInput = true;
  float y, dy;
  __device__ __forceinline__ LogSumExpSlope(float y_of_row, float dy_of_row, float) : y(y_of_row), dy(dy_of_row) {}
  __device__ __forceinline__ float operator()(float x) const {
    return dy * (y == -kInfinity ? 0.0f : math::exp(x - y));
  }
};

template <class Slope, class T, bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    row_backward_quad_kernel(gpu::RowTasks tasks, float divisor, const T* x, const T* y, const T* dy, Grad<T> dx) {
  gpu::for_each_quad<kVector>(tasks, [&](int64_t row) {
    const int64_t at = row * tasks.columns;
    float y_of_row = 0;
    if constexpr (Slope::kReadsInput) y_of_row = gpu::to_float(y[row]);
    const Slope slope(y_of_row, gpu::to_float(dy[row]), divisor);
    return [=](int quad, int count) {
      gpu::Vec4 v{};
      if constexpr (Slope::kReadsInput) v = gpu::load_quad<kVector>(x + at + 4 * quad, count);
#pragma unroll
      for (int j = 0; j < 4; ++j) v[j] = slope(v[j]);
      gpu::write_quad<kVector>(dx.data + at + 4 * quad, v, count, dx.mode);
      return 0.0f;
    };
  });
}

template <class T>
void sum_rows(const Context& ctx, RowReduceShape s, const T* x, float divisor, T* y) {
  if (s.N == 0) return;
  const gpu::RowTasks tasks(s.N, s.D);
  gpu::with_constant(gpu::can_load4(s.D, x), [&](auto vectors) {
    gpu::launch(row_sum_quad_kernel<T, decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads, 0, gpu::stream(ctx),
                tasks, x, divisor, y, gpu::partials<float>(ctx), gpu::tickets(ctx));
  });
}

template <class Reduction, class T>
void reduce_rows(const Context& ctx, const char* op, RowReduceShape s, const T* x, T* y) {
  check_row_reduce(op, s);
  if (s.N == 0) return;
  constexpr int kLongRow = 1024;
  const auto run = [&](auto kernel, int rows) {
    gpu::launch(kernel, gpu::ceil_div(s.N, rows), gpu::kTaskThreads, 0, gpu::stream(ctx), s, x, y);
  };
  if (s.D > kLongRow) {
    run(row_reduce_lanes_kernel<Reduction, T, gpu::kTaskThreads>, 1);
  } else {
    run(row_reduce_lanes_kernel<Reduction, T, gpu::kWarp>, gpu::kTaskThreads / gpu::kWarp);
  }
}

template <class Slope, class T>
void row_backward(const Context& ctx, RowReduceShape s, float divisor, const T* x, const T* y, const T* dy,
                  Grad<T> dx) {
  if (s.N == 0 || s.D == 0 || !dx) return;
  const gpu::RowTasks tasks(s.N, s.D);
  gpu::with_constant(gpu::can_load4(s.D, x, dx.data), [&](auto vectors) {
    gpu::launch(row_backward_quad_kernel<Slope, T, decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, divisor, x, y, dy, dx);
  });
}

}  // namespace

template <class T>
void row_sum_forward(const Context& ctx, RowReduceShape s, const T* x, T* y) {
  check_row_reduce("row_sum", s);
  sum_rows(ctx, s, x, 1.0f, y);
}

template <class T>
void row_sum_backward(const Context& ctx, RowReduceShape s, const T* dy, Grad<T> dx) {
  check_row_reduce("row_sum", s);
  row_backward<SumSlope, T>(ctx, s, 1.0f, nullptr, nullptr, dy, dx);
}

template <class T>
void row_mean_forward(const Context& ctx, RowReduceShape s, const T* x, T* y) {
  check_row_mean(s);
  sum_rows(ctx, s, x, static_cast<float>(s.D), y);
}

template <class T>
void row_mean_backward(const Context& ctx, RowReduceShape s, const T* dy, Grad<T> dx) {
  check_row_mean(s);
  row_backward<SumSlope, T>(ctx, s, static_cast<float>(s.D), nullptr, nullptr, dy, dx);
}

template <class T>
void row_norm_forward(const Context& ctx, RowReduceShape s, const T* x, T* y) {
  reduce_rows<Norm>(ctx, "row_norm", s, x, y);
}

template <class T>
void row_norm_backward(const Context& ctx, RowReduceShape s, const T* x, const T* y, const T* dy, Grad<T> dx) {
  check_row_reduce("row_norm", s);
  row_backward<NormSlope, T>(ctx, s, 1.0f, x, y, dy, dx);
}

template <class T>
void row_log_sum_exp_forward(const Context& ctx, RowReduceShape s, const T* x, T* y) {
  reduce_rows<LogSumExp>(ctx, "row_log_sum_exp", s, x, y);
}

template <class T>
void row_log_sum_exp_backward(const Context& ctx, RowReduceShape s, const T* x, const T* y, const T* dy, Grad<T> dx) {
  check_row_reduce("row_log_sum_exp", s);
  row_backward<LogSumExpSlope, T>(ctx, s, 1.0f, x, y, dy, dx);
}

template <class T>
void log_sum_exp_update(const Context& ctx, RowReduceShape s, const T* values, double* max, double* sum) {
  check_row_reduce("log_sum_exp_update", s);
  if (s.N == 0 || s.D == 0) return;
  gpu::launch(log_sum_exp_update_lanes_kernel<T>, gpu::ceil_div(s.N, gpu::kTaskThreads / gpu::kWarp), gpu::kTaskThreads,
              0, gpu::stream(ctx), s, values, max, sum);
}

#define HOURGLASS_INSTANTIATE(T)                                                                                 \
  template void row_sum_forward(const Context&, RowReduceShape, const T*, T*);                                   \
  template void row_sum_backward(const Context&, RowReduceShape, const T*, Grad<T>);                             \
  template void row_mean_forward(const Context&, RowReduceShape, const T*, T*);                                  \
  template void row_mean_backward(const Context&, RowReduceShape, const T*, Grad<T>);                            \
  template void row_norm_forward(const Context&, RowReduceShape, const T*, T*);                                  \
  template void row_norm_backward(const Context&, RowReduceShape, const T*, const T*, const T*, Grad<T>);        \
  template void row_log_sum_exp_forward(const Context&, RowReduceShape, const T*, T*);                           \
  template void row_log_sum_exp_backward(const Context&, RowReduceShape, const T*, const T*, const T*, Grad<T>); \
  template void log_sum_exp_update(const Context&, RowReduceShape, const T*, double*, double*);
HOURGLASS_INSTANTIATE(float)
HOURGLASS_INSTANTIATE(bf16)
#undef HOURGLASS_INSTANTIATE

}  // namespace hourglass::cuda
