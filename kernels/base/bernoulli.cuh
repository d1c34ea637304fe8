// SPDX-License-Identifier: Apache-2.0
// One element of the Bernoulli loss (bernoulli_nll.h). One exponential, e^-|l|, serves the loss and its gradient: the
// compiler sees that log1p_exp and sigmoid share it.
#pragma once

#include "kernels/base/gpu.cuh"
#include "kernels/base/math.h"

namespace hourglass::cuda {

struct BernoulliNll {
  static constexpr const char* kName = "bernoulli_nll";
  static __device__ __forceinline__ float loss(float logit, float x) {
    return ((logit > 0.0f ? logit : 0.0f) - x * logit) + math::log1p_exp(-fabsf(logit));
  }
  static __device__ __forceinline__ float slope(float logit, float x) { return math::sigmoid(logit) - x; }
};

}  // namespace hourglass::cuda
