// SPDX-License-Identifier: Apache-2.0
// One launch a step. The table of ranges travels with the launch; a block takes tiles of it in turn, a thread a quad,
// read and written once: the update is bound by memory. Blocks read the step count while they work, and the last one to
// finish (last_block.cuh) advances it, so that no second launch is needed and no block sees it change.
#include "kernels/base/adam.cuh"
#include "kernels/base/last_block.cuh"
#include "kernels/optimizer.h"

namespace hourglass::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kTile = 4 * kThreads;
constexpr int64_t kMostBlocks = 132 * 8;
constexpr int kMostRanges = 32;  ///< of one launch: parameters of a kernel hold 4 KB

struct RangeTable {
  OptimizerRange ranges[kMostRanges];
  int count = 0;
};

__host__ __device__ int64_t tiles_of(const OptimizerRange& range) { return (range.count + kTile - 1) / kTile; }

// An optimizer: its options, its state and moments, `Scalars` of one range, and the update of one quad.

struct Sgd {
  SgdOptions options;
  SgdState* state;
  float* momentum;

  struct Scalars {
    RangeScalars<float> k;
    float mu;
    bool first;
    __device__ __forceinline__ Scalars(const Sgd& sgd, const OptimizerStep& step, const OptimizerRange& range)
        : k(step, range, sgd.options.weight_decay),
          mu(static_cast<float>(sgd.options.momentum)),
          first(sgd.state->steps == 0) {}
  };
  bool aligned() const { return gpu::can_load4(0, momentum); }

  template <bool kVector>
  __device__ __forceinline__ void update(const Scalars& s, int64_t i, int count, gpu::Vec4* p, gpu::Vec4 g) const {
    gpu::Vec4 buffer{};
    const bool buffered = s.mu != 0.0f;
    if (buffered && !s.first) buffer = gpu::load_quad<kVector>(momentum + i, count);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      g[j] = prepared(g[j], s.k) + s.k.weight_decay * (*p)[j];
      buffer[j] = s.mu * buffer[j] + g[j];
      const float direction = options.nesterov ? g[j] + s.mu * buffer[j] : buffer[j];
      (*p)[j] -= s.k.lr * (buffered ? direction : g[j]);
    }
    if (buffered) gpu::store_quad_whole<kVector>(momentum + i, buffer, count);
  }
  __device__ __forceinline__ void advance_state() const { ++state->steps; }
};

struct Adadelta {
  AdadeltaOptions options;
  AdadeltaState* state;
  float *square_average, *delta_average;

  struct Scalars {
    RangeScalars<float> k;
    float rho, rest, eps;
    __device__ __forceinline__ Scalars(const Adadelta& adadelta, const OptimizerStep& step, const OptimizerRange& range)
        : k(step, range, adadelta.options.weight_decay),
          rho(static_cast<float>(adadelta.options.rho)),
          rest(static_cast<float>(1 - adadelta.options.rho)),
          eps(static_cast<float>(adadelta.options.eps)) {}
  };
  bool aligned() const { return gpu::can_load4(0, square_average, delta_average); }

  template <bool kVector>
  __device__ __forceinline__ void update(const Scalars& s, int64_t i, int count, gpu::Vec4* p, gpu::Vec4 g) const {
    gpu::Vec4 squares = gpu::load_quad<kVector>(square_average + i, count);
    gpu::Vec4 deltas = gpu::load_quad<kVector>(delta_average + i, count);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      g[j] = prepared(g[j], s.k) + s.k.weight_decay * (*p)[j];
      squares[j] = s.rho * squares[j] + s.rest * g[j] * g[j];
      const float delta = sqrtf(deltas[j] + s.eps) / sqrtf(squares[j] + s.eps) * g[j];
      deltas[j] = s.rho * deltas[j] + s.rest * delta * delta;
      (*p)[j] -= s.k.lr * delta;
    }
    gpu::store_quad_whole<kVector>(square_average + i, squares, count);
    gpu::store_quad_whole<kVector>(delta_average + i, deltas, count);
  }
  __device__ __forceinline__ void advance_state() const { ++state->steps; }
};

/// `ticket` is null in all but the last launch of a table that needs several.
template <class Rule>
__global__ void __launch_bounds__(kThreads)
    optimizer_ticket_kernel(const __grid_constant__ RangeTable table, OptimizerStep step,
                            const __grid_constant__ Rule rule, bool aligned, float* values, const float* grads,
                            unsigned* ticket) {
  if (optimizer_refuses(step)) return;  // every block
  int64_t tile = blockIdx.x, before = 0;
  for (int r = 0; r < table.count; ++r) {
    const OptimizerRange& range = table.ranges[r];
    const int64_t end = before + tiles_of(range);
    if (tile < end) {
      const typename Rule::Scalars scalars(rule, step, range);
      const bool vector = aligned && range.first % 4 == 0;
      for (; tile < end; tile += gridDim.x) {
        const int64_t offset = (tile - before) * kTile + 4 * static_cast<int>(threadIdx.x), i = range.first + offset;
        const auto work = [&](int count, auto whole) {
          constexpr bool kVector = decltype(whole)::value;
          gpu::Vec4 p = gpu::load_quad<kVector>(values + i, count);
          const gpu::Vec4 g = gpu::load_quad<kVector>(grads + i, count);
          rule.template update<kVector>(scalars, i, count, &p, g);
          gpu::store_quad_whole<kVector>(values + i, p, count);
          if (step.shadow) gpu::store_quad_whole<kVector>(step.shadow + i, p, count);
        };
        if (vector && range.count - offset >= 4) {
          work(4, std::true_type{});
        } else if (offset < range.count) {
          work(static_cast<int>(min(range.count - offset, int64_t{4})), std::false_type{});
        }
      }
    }
    before = end;
  }
  if (ticket && gpu::is_last_block(ticket) && threadIdx.x == 0) rule.advance_state();
}

template <class Rule>
void update(const Context& ctx, OptimizerRanges ranges, const OptimizerStep& step, const Rule& rule, float* values,
            const float* grads) {
  check_optimizer(step);
  const bool aligned = rule.aligned() && gpu::can_load4(0, values, grads, step.shadow);
  for (int first = 0; first == 0 || first < ranges.count; first += kMostRanges) {
    RangeTable table;
    int64_t tiles = 0;
    table.count = std::min(kMostRanges, ranges.count - first);
    for (int r = 0; r < table.count; ++r) {
      table.ranges[r] = ranges.data[first + r];
      tiles += tiles_of(table.ranges[r]);
    }
    const bool is_last = first + kMostRanges >= ranges.count;
    gpu::launch(optimizer_ticket_kernel<Rule>, static_cast<unsigned>(std::clamp<int64_t>(tiles, 1, kMostBlocks)),
                kThreads, 0, gpu::stream(ctx), table, step, rule, aligned, values, grads,
                is_last ? gpu::tickets(ctx) : nullptr);
  }
}

}  // namespace

template <class T>
void sgd_update(const Context& ctx, OptimizerRanges ranges, SgdOptions options, OptimizerStep step, T* values,
                const T* grads, T* momentum, SgdState* state) {
  update(ctx, ranges, step, Sgd{options, state, momentum}, values, grads);
}

template <class T>
void adam_update(const Context& ctx, OptimizerRanges ranges, AdamOptions options, OptimizerStep step, T* values,
                 const T* grads, T* m, T* v, AdamState* state) {
  update(ctx, ranges, step, Adam{options, state, m, v}, values, grads);
}

template <class T>
void adadelta_update(const Context& ctx, OptimizerRanges ranges, AdadeltaOptions options, OptimizerStep step, T* values,
                     const T* grads, T* square_average, T* delta_average, AdadeltaState* state) {
  update(ctx, ranges, step, Adadelta{options, state, square_average, delta_average}, values, grads);
}

template void sgd_update(const Context&, OptimizerRanges, SgdOptions, OptimizerStep, float*, const float*, float*,
                         SgdState*);
template void adam_update(const Context&, OptimizerRanges, AdamOptions, OptimizerStep, float*, const float*, float*,
                          float*, AdamState*);
template void adadelta_update(const Context&, OptimizerRanges, AdadeltaOptions, OptimizerStep, float*, const float*,
                              float*, float*, AdadeltaState*);

}  // namespace hourglass::cuda
