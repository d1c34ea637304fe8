// SPDX-License-Identifier: Apache-2.0
#include "kernels/optimizer.h"

#include "kernels/base/optimizer_scalars.h"

namespace hourglass::cpu {
namespace {

template <class T>
T prepared(T gradient, const RangeScalars<T>& k) {
  return std::clamp(gradient * k.grad_scale, -k.bound, k.bound);
}

template <class T>
void shadow(const OptimizerStep& step, int64_t i, T value) {
  if (step.shadow) step.shadow[i] = bf16(static_cast<float>(value));
}

}  // namespace

template <class T>
void sgd_update(const Context&, OptimizerRanges ranges, SgdOptions options, OptimizerStep step, T* values,
                const T* grads, T* momentum, SgdState* state) {
  check_optimizer(step);
  if (optimizer_refuses(step)) return;
  const T mu = static_cast<T>(options.momentum);
  for (int r = 0; r < ranges.count; ++r) {
    const OptimizerRange& range = ranges.data[r];
    const RangeScalars<T> k(step, range, options.weight_decay);
    for (int64_t i = range.first; i < range.first + range.count; ++i) {
      T g = prepared(grads[i], k) + k.weight_decay * values[i];
      if (mu != 0) {
        momentum[i] = state->steps == 0 ? g : mu * momentum[i] + g;
        g = options.nesterov ? g + mu * momentum[i] : momentum[i];
      }
      values[i] -= k.lr * g;
      shadow(step, i, values[i]);
    }
  }
  ++state->steps;
}

template <class T>
void adam_update(const Context&, OptimizerRanges ranges, AdamOptions options, OptimizerStep step, T* values,
                 const T* grads, T* m, T* v, AdamState* state) {
  check_optimizer(step);
  if (optimizer_refuses(step)) return;
  advance(*state, options);
  const T beta1 = static_cast<T>(1 - options.beta1);
  const T beta2 = static_cast<T>(options.beta2), rest2 = static_cast<T>(1 - options.beta2);
  const T root2 = static_cast<T>(std::sqrt(1 - state->beta2_power)), eps = static_cast<T>(options.eps);
  for (int r = 0; r < ranges.count; ++r) {
    const OptimizerRange& range = ranges.data[r];
    const RangeScalars<T> k(step, range, options.weight_decay);
    const T step_size = static_cast<T>(*step.lr * range.lr_scale / (1 - state->beta1_power));
    for (int64_t i = range.first; i < range.first + range.count; ++i) {
      T g = prepared(grads[i], k);
      if (options.decoupled) {
        values[i] *= 1 - k.lr * k.weight_decay;
      } else {
        g += k.weight_decay * values[i];
      }
      m[i] += beta1 * (g - m[i]);
      v[i] = beta2 * v[i] + rest2 * g * g;
      values[i] -= step_size * m[i] / (std::sqrt(v[i]) / root2 + eps);
      shadow(step, i, values[i]);
    }
  }
}

template <class T>
void adadelta_update(const Context&, OptimizerRanges ranges, AdadeltaOptions options, OptimizerStep step, T* values,
                     const T* grads, T* square_average, T* delta_average, AdadeltaState* state) {
  check_optimizer(step);
  if (optimizer_refuses(step)) return;
  const T rho = static_cast<T>(options.rho), rest = static_cast<T>(1 - options.rho), eps = static_cast<T>(options.eps);
  for (int r = 0; r < ranges.count; ++r) {
    const OptimizerRange& range = ranges.data[r];
    const RangeScalars<T> k(step, range, options.weight_decay);
    for (int64_t i = range.first; i < range.first + range.count; ++i) {
      const T g = prepared(grads[i], k) + k.weight_decay * values[i];
      square_average[i] = rho * square_average[i] + rest * g * g;
      const T delta = std::sqrt(delta_average[i] + eps) / std::sqrt(square_average[i] + eps) * g;
      delta_average[i] = rho * delta_average[i] + rest * delta * delta;
      values[i] -= k.lr * delta;
      shadow(step, i, values[i]);
    }
  }
  ++state->steps;
}

#define HOURGLASS_INSTANTIATE(T)                                                                                      \
  template void sgd_update<T>(const Context&, OptimizerRanges, SgdOptions, OptimizerStep, T*, const T*, T*,           \
                              SgdState*);                                                                             \
  template void adam_update<T>(const Context&, OptimizerRanges, AdamOptions, OptimizerStep, T*, const T*, T*, T*,     \
                               AdamState*);                                                                           \
  template void adadelta_update<T>(const Context&, OptimizerRanges, AdadeltaOptions, OptimizerStep, T*, const T*, T*, \
                                   T*, AdadeltaState*);
HOURGLASS_INSTANTIATE(float)
HOURGLASS_INSTANTIATE(double)
#undef HOURGLASS_INSTANTIATE

}  // namespace hourglass::cpu
