// SPDX-License-Identifier: Apache-2.0
// Per-sample losses are sums of rows (row_tasks.cuh). Gradients and the mean view the tensor as (rows, K), K =
// log_scale_count, so that a column has one log_scale: a thread keeps its column, and what belongs to the log_scale is
// computed once. A block covers a tile of up to 128 columns and a chunk of rows, with 128 / K rows at a time where K is
// small, as neighbouring threads stay on neighbouring elements. Sums: threads of a column in shared memory, then the
// blocks' partials in the last block (last_block.cuh), always in the order of the rows. Five exponentials and three
// logarithms an element: bound by arithmetic, so accesses are scalar.
#include <algorithm>

#include "kernels/base/logistic_bin.h"
#include "kernels/base/row_tasks.cuh"
#include "kernels/discretized_logistic.h"

namespace hourglass::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kMostBlocks = 1024;

struct Grid {
  int64_t rows;  ///< of K columns
  int columns;   ///< K
  int width;     ///< columns of a tile
  int tiles, chunks;
  Grid(const DiscretizedLogisticShape& s)
      : rows(int64_t{s.N} * s.D / s.log_scale_count),
        columns(s.log_scale_count),
        width(std::min(columns, kThreads)),
        tiles((columns + width - 1) / width) {
    const int64_t at_once = kThreads / width;
    chunks = static_cast<int>(std::clamp<int64_t>(rows / (4 * at_once), 1, kMostBlocks / tiles));
  }
  unsigned blocks() const { return static_cast<unsigned>(tiles * chunks); }
};
static_assert(kMostBlocks + int64_t{kMostBlocks} * kThreads <= gpu::kMostPartials<float>);

template <class T>
struct Arguments {
  DiscretizedLogisticShape s;
  Grid grid;
  const T *mu, *x;
  const float* log_scale;
  const float* dnll;  ///< null: every row has the weight
  Weight weight;      ///< already divided by N
  Grad<float> value;
  Grad<T> dmu;
  Grad<float> dlog_scale;
  float* partials;  ///< kMostBlocks values, then (chunks, columns) of dlog_scale
  unsigned* ticket;
};

template <class T>
__global__ void __launch_bounds__(kThreads) discretized_logistic_columns_kernel(Arguments<T> a) {
  __shared__ float sums[kThreads];
  const DiscretizedLogisticShape& s = a.s;
  const int tile = static_cast<int>(blockIdx.x) % a.grid.tiles, chunk = static_cast<int>(blockIdx.x) / a.grid.tiles;
  const int at_once = kThreads / a.grid.width, thread = static_cast<int>(threadIdx.x);
  const int line = thread / a.grid.width, column = tile * a.grid.width + thread % a.grid.width;
  const bool works = line < at_once && column < a.grid.columns;
  const float weight = static_cast<float>(a.weight.value());
  float value = 0, slope = 0;
  if (works) {
    const LogisticScale<float> scale = logistic_scale(a.log_scale[column]);
    const int64_t first = a.grid.rows * chunk / a.grid.chunks, end = a.grid.rows * (chunk + 1) / a.grid.chunks;
    for (int64_t row = first + line; row < end; row += at_once) {
      const int64_t i = row * a.grid.columns + column, n = i / s.D;
      const int64_t of_x = s.draws == 1 ? i : n / s.draws * s.D + (i - n * s.D);
      const LogisticTerm<float> term = logistic_term(gpu::to_float(a.mu[i]), gpu::to_float(a.x[of_x]), scale);
      const float c = a.dnll ? a.dnll[n] : weight;
      if (a.dmu) gpu::write_quad<false>(a.dmu.data + i, {{c * term.dmu, 0, 0, 0}}, 1, a.dmu.mode);
      value += term.loss;
      slope += c * term.dlog_scale;
    }
  }
  sums[thread] = slope;
  value = gpu::block_sum<float, kThreads>(value);  // its barriers order the shared sums too
  float* const of_columns = a.partials + kMostBlocks + int64_t{chunk} * a.grid.columns;
  if (works && line == 0) {
    for (int k = 1; k < at_once; ++k) slope += sums[k * a.grid.width + thread];
    of_columns[column] = slope;
  }
  if (thread == 0) a.partials[blockIdx.x] = value;
  if (!gpu::is_last_block(a.ticket)) return;
  if (a.value) {
    const float total = gpu::sum_of_partials<kThreads>(a.partials, gridDim.x);
    if (thread == 0) write(*a.value.data, total / static_cast<float>(s.N), a.value.mode);
  }
  if (!a.dlog_scale) return;
  for (int c = thread; c < a.grid.columns; c += kThreads) {
    float sum = 0;
    for (int k = 0; k < a.grid.chunks; ++k) sum += __ldcg(a.partials + kMostBlocks + int64_t{k} * a.grid.columns + c);
    write(a.dlog_scale.data[c], sum, a.dlog_scale.mode);
  }
}

template <class T, bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    discretized_logistic_forward_rows_kernel(gpu::RowTasks tasks, DiscretizedLogisticShape s, const T* mu, const T* x,
                                             const acc_t<T>* log_scale, float* nll, float* partials, unsigned* ticket) {
  const auto at_row = [&](int64_t row) {
    const T* const of_mu = mu + row * s.D;
    const T* const of_x = x + row / s.draws * s.D;
    return [=](int quad, int count) {
      const gpu::Vec4 m = gpu::load_quad<kVector>(of_mu + 4 * quad, count);
      const gpu::Vec4 pixels = gpu::load_quad<kVector>(of_x + 4 * quad, count);
      float sum = 0;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if (j >= count) break;
        const LogisticScale<float> scale = logistic_scale(log_scale[(4 * quad + j) % s.log_scale_count]);
        sum += logistic_term(m[j], pixels[j], scale).loss;
      }
      return sum;
    };
  };
  gpu::sum_rows<kVector>(tasks, partials, ticket, at_row, [=](int64_t row, float sum) { nll[row] = sum; });
}

template <class T>
void launch_columns(const Context& ctx, const DiscretizedLogisticShape& s, const T* mu, const T* x,
                    const acc_t<T>* log_scale, const float* dnll, Weight weight, Grad<float> value, Grad<T> dmu,
                    Grad<float> dlog_scale) {
  if (!value && !dmu && !dlog_scale) return;
  const Grid grid(s);
  const Arguments<T> arguments{
      s, grid, mu, x, log_scale, dnll, weight, value, dmu, dlog_scale, gpu::partials<float>(ctx), gpu::tickets(ctx)};
  gpu::launch(discretized_logistic_columns_kernel<T>, grid.blocks(), kThreads, 0, gpu::stream(ctx), arguments);
}

}  // namespace

template <class T>
void discretized_logistic_forward(const Context& ctx, const DiscretizedLogisticShape& s, const T* mu, const T* x,
                                  const acc_t<T>* log_scale, acc_t<T>* nll) {
  check_discretized_logistic(s);
  if (s.N == 0) return;
  const gpu::RowTasks tasks(s.N, s.D);
  gpu::with_constant(gpu::can_load4(s.D, mu, x), [&](auto vectors) {
    gpu::launch(discretized_logistic_forward_rows_kernel<T, decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads,
                0, gpu::stream(ctx), tasks, s, mu, x, log_scale, nll, gpu::partials<float>(ctx), gpu::tickets(ctx));
  });
}

template <class T>
void discretized_logistic_backward(const Context& ctx, const DiscretizedLogisticShape& s, const T* mu, const T* x,
                                   const acc_t<T>* log_scale, const acc_t<T>* dnll, Grad<T> dmu,
                                   Grad<acc_t<T>> dlog_scale) {
  check_discretized_logistic(s);
  launch_columns<T>(ctx, s, mu, x, log_scale, dnll, {}, {}, dmu, dlog_scale);
}

template <class T>
void discretized_logistic_loss(const Context& ctx, const DiscretizedLogisticShape& s, const T* mu, const T* x,
                               const acc_t<T>* log_scale, Weight weight, Grad<acc_t<T>> value, Grad<T> dmu,
                               Grad<acc_t<T>> dlog_scale) {
  check_discretized_logistic(s);
  check_mean("discretized_logistic", s.N);
  launch_columns<T>(ctx, s, mu, x, log_scale, nullptr, gpu::per_sample(weight, s.N), value, dmu, dlog_scale);
}

#define HOURGLASS_INSTANTIATE(T)                                                                                   \
  template void discretized_logistic_forward(const Context&, const DiscretizedLogisticShape&, const T*, const T*,  \
                                             const float*, float*);                                                \
  template void discretized_logistic_backward(const Context&, const DiscretizedLogisticShape&, const T*, const T*, \
                                              const float*, const float*, Grad<T>, Grad<float>);                   \
  template void discretized_logistic_loss(const Context&, const DiscretizedLogisticShape&, const T*, const T*,     \
                                          const float*, Weight, Grad<float>, Grad<T>, Grad<float>);
HOURGLASS_INSTANTIATE(float)
HOURGLASS_INSTANTIATE(bf16)
#undef HOURGLASS_INSTANTIATE

}  // namespace hourglass::cuda
