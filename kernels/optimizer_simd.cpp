// SPDX-License-Identifier: Apache-2.0
// Memory-bound: one pass, cut into tiles over the concatenation of the ranges so that one dispatch serves them all.
#include "kernels/base/optimizer_scalars.h"
#include "kernels/base/simd.h"
#include "kernels/base/thread_pool.h"
#include "kernels/optimizer.h"

namespace hourglass::cpu {
namespace {

constexpr int64_t kTile = 16384;

/// Calls f(range, first, count) for the parts of each range, in parallel; parts are cut by the ranges alone.
template <class F>
void for_each_part(const Context& ctx, OptimizerRanges ranges, F&& f) {
  int64_t total = 0;
  for (int r = 0; r < ranges.count; ++r) total += ranges.data[r].count;
  parallel_for(ctx, (total + kTile - 1) / kTile, [&](int64_t tile) {
    int64_t before = 0;
    for (int r = 0; r < ranges.count; ++r) {
      const OptimizerRange& range = ranges.data[r];
      const int64_t from = std::max<int64_t>(0, tile * kTile - before);
      const int64_t to = std::min(range.count, (tile + 1) * kTile - before);
      if (from < to) f(range, range.first + from, to - from);
      before += range.count;
    }
  });
}

HOURGLASS_INLINE float prepared(float gradient, RangeScalars<float> k) {
  return std::min(std::max(gradient * k.grad_scale, -k.bound), k.bound);
}

HOURGLASS_SIMD void sgd(int64_t n, RangeScalars<float> k, float* __restrict p, const float* __restrict grads) {
  for (int64_t i = 0; i < n; ++i) p[i] -= k.lr * (prepared(grads[i], k) + k.weight_decay * p[i]);
}

HOURGLASS_SIMD void sgd_first_momentum(int64_t n, RangeScalars<float> k, float look_ahead, float* __restrict p,
                                       const float* __restrict grads, float* __restrict buffer) {
  for (int64_t i = 0; i < n; ++i) {
    const float g = prepared(grads[i], k) + k.weight_decay * p[i];
    buffer[i] = g;
    p[i] -= k.lr * (g + look_ahead * g);
  }
}

HOURGLASS_SIMD void sgd_momentum(int64_t n, RangeScalars<float> k, float momentum, float* __restrict p,
                                 const float* __restrict grads, float* __restrict buffer) {
  for (int64_t i = 0; i < n; ++i) {
    buffer[i] = momentum * buffer[i] + (prepared(grads[i], k) + k.weight_decay * p[i]);
    p[i] -= k.lr * buffer[i];
  }
}

HOURGLASS_SIMD void sgd_nesterov(int64_t n, RangeScalars<float> k, float momentum, float* __restrict p,
                                 const float* __restrict grads, float* __restrict buffer) {
  for (int64_t i = 0; i < n; ++i) {
    const float g = prepared(grads[i], k) + k.weight_decay * p[i];
    buffer[i] = momentum * buffer[i] + g;
    p[i] -= k.lr * (g + momentum * buffer[i]);
  }
}

struct AdamScalars {
  float rest1, beta2, rest2;  ///< 1 - beta1, beta2, 1 - beta2
  float step_size, inverse_root2, eps;
  float shrink, coupled_decay;
};

HOURGLASS_SIMD void adam(int64_t n, RangeScalars<float> k, AdamScalars a, float* __restrict p,
                         const float* __restrict grads, float* __restrict m, float* __restrict v) {
  for (int64_t i = 0; i < n; ++i) {
    const float g = prepared(grads[i], k) + a.coupled_decay * p[i];
    m[i] += a.rest1 * (g - m[i]);
    v[i] = a.beta2 * v[i] + a.rest2 * g * g;
    p[i] = p[i] * a.shrink - a.step_size * m[i] / (std::sqrt(v[i]) * a.inverse_root2 + a.eps);
  }
}

HOURGLASS_SIMD void adadelta(int64_t n, RangeScalars<float> k, float rho, float rest, float eps, float* __restrict p,
                             const float* __restrict grads, float* __restrict squares, float* __restrict deltas) {
  for (int64_t i = 0; i < n; ++i) {
    const float g = prepared(grads[i], k) + k.weight_decay * p[i];
    squares[i] = rho * squares[i] + rest * g * g;
    const float delta = std::sqrt(deltas[i] + eps) / std::sqrt(squares[i] + eps) * g;
    deltas[i] = rho * deltas[i] + rest * delta * delta;
    p[i] -= k.lr * delta;
  }
}

}  // namespace

void sgd_update(const Context& ctx, OptimizerRanges ranges, SgdOptions options, OptimizerStep step, float* values,
                const float* grads, float* momentum, SgdState* state) {
  // No lane of this device reads a shadow.
  if (step.shadow) return sgd_update<float>(ctx, ranges, options, step, values, grads, momentum, state);
  check_optimizer(step);
  if (optimizer_refuses(step)) return;
  const float mu = static_cast<float>(options.momentum);
  const bool first_step = state->steps == 0;
  for_each_part(ctx, ranges, [&](const OptimizerRange& range, int64_t first, int64_t n) {
    const RangeScalars<float> k(step, range, options.weight_decay);
    if (mu == 0) {
      sgd(n, k, values + first, grads + first);
    } else if (first_step) {
      sgd_first_momentum(n, k, options.nesterov ? mu : 0, values + first, grads + first, momentum + first);
    } else if (options.nesterov) {
      sgd_nesterov(n, k, mu, values + first, grads + first, momentum + first);
    } else {
      sgd_momentum(n, k, mu, values + first, grads + first, momentum + first);
    }
  });
  ++state->steps;
}

void adam_update(const Context& ctx, OptimizerRanges ranges, AdamOptions options, OptimizerStep step, float* values,
                 const float* grads, float* m, float* v, AdamState* state) {
  // No lane of this device reads a shadow.
  if (step.shadow) return adam_update<float>(ctx, ranges, options, step, values, grads, m, v, state);
  check_optimizer(step);
  if (optimizer_refuses(step)) return;
  advance(*state, options);
  const double inverse_root2 = 1 / std::sqrt(1 - state->beta2_power);
  for_each_part(ctx, ranges, [&](const OptimizerRange& range, int64_t first, int64_t n) {
    const RangeScalars<float> k(step, range, options.weight_decay);
    const double lr = *step.lr * range.lr_scale;
    const double decay = options.weight_decay * range.weight_decay_scale;
    AdamScalars a;
    a.rest1 = static_cast<float>(1 - options.beta1);
    a.beta2 = static_cast<float>(options.beta2);
    a.rest2 = static_cast<float>(1 - options.beta2);
    a.step_size = static_cast<float>(lr / (1 - state->beta1_power));
    a.inverse_root2 = static_cast<float>(inverse_root2);
    a.eps = static_cast<float>(options.eps);
    a.shrink = options.decoupled ? static_cast<float>(1 - lr * decay) : 1.0f;
    a.coupled_decay = options.decoupled ? 0.0f : k.weight_decay;
    adam(n, k, a, values + first, grads + first, m + first, v + first);
  });
}

void adadelta_update(const Context& ctx, OptimizerRanges ranges, AdadeltaOptions options, OptimizerStep step,
                     float* values, const float* grads, float* square_average, float* delta_average,
                     AdadeltaState* state) {
  // No lane of this device reads a shadow.
  if (step.shadow)
    return adadelta_update<float>(ctx, ranges, options, step, values, grads, square_average, delta_average, state);
  check_optimizer(step);
  if (optimizer_refuses(step)) return;
  const float rho = static_cast<float>(options.rho), rest = static_cast<float>(1 - options.rho);
  const float eps = static_cast<float>(options.eps);
  for_each_part(ctx, ranges, [&](const OptimizerRange& range, int64_t first, int64_t n) {
    const RangeScalars<float> k(step, range, options.weight_decay);
    adadelta(n, k, rho, rest, eps, values + first, grads + first, square_average + first, delta_average + first);
  });
  ++state->steps;
}

}  // namespace hourglass::cpu
