// SPDX-License-Identifier: Apache-2.0
// Adam on a quad of elements (optimizer.h), and what all optimizers share.
#pragma once

#include "kernels/base/optimizer_scalars.h"
#include "kernels/base/row_tasks.cuh"

namespace hourglass::cuda {

/// The gradient element after scale and clip; NaN stays.
__device__ __forceinline__ float prepared(float gradient, const RangeScalars<float>& k) {
  const float g = gradient * k.grad_scale;
  return g < -k.bound ? -k.bound : g > k.bound ? k.bound : g;
}

/// A rule of optimizer.cu: its options, state and moments, the scalars of a range, the update of a quad.
struct Adam {
  AdamOptions options;
  AdamState* state;
  float *m, *v;

  struct Scalars {
    RangeScalars<float> k;
    float rest1, beta2, rest2;  ///< 1 - beta1, beta2, 1 - beta2
    float step_size, inverse_root2, eps;
    float shrink, coupled_decay;
    __device__ __forceinline__ Scalars(const Adam& adam, const OptimizerStep& step, const OptimizerRange& range)
        : k(step, range, adam.options.weight_decay),
          rest1(static_cast<float>(1 - adam.options.beta1)),
          beta2(static_cast<float>(adam.options.beta2)),
          rest2(static_cast<float>(1 - adam.options.beta2)),
          eps(static_cast<float>(adam.options.eps)),
          shrink(adam.options.decoupled ? 1 - k.lr * k.weight_decay : 1.0f),
          coupled_decay(adam.options.decoupled ? 0.0f : k.weight_decay) {
      AdamState next = *adam.state;
      advance(next, adam.options);
      step_size = static_cast<float>(*step.lr * range.lr_scale / (1 - next.beta1_power));
      inverse_root2 = static_cast<float>(1 / sqrt(1 - next.beta2_power));
    }
  };
  bool aligned() const { return gpu::can_load4(0, m, v); }

  template <bool kVector>
  __device__ __forceinline__ void update(const Scalars& s, int64_t i, int count, gpu::Vec4* p, gpu::Vec4 g) const {
    gpu::Vec4 first = gpu::load_quad<kVector>(m + i, count);
    gpu::Vec4 second = gpu::load_quad<kVector>(v + i, count);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      g[j] = prepared(g[j], s.k) + s.coupled_decay * (*p)[j];
      first[j] += s.rest1 * (g[j] - first[j]);
      second[j] = s.beta2 * second[j] + s.rest2 * g[j] * g[j];
      (*p)[j] = (*p)[j] * s.shrink - s.step_size * first[j] / (sqrtf(second[j]) * s.inverse_root2 + s.eps);
    }
    gpu::store_quad_whole<kVector>(m + i, first, count);
    gpu::store_quad_whole<kVector>(v + i, second, count);
  }
  __device__ __forceinline__ void advance_state() const { advance(*state, options); }
};

}  // namespace hourglass::cuda
