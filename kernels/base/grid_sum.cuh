// SPDX-License-Identifier: Apache-2.0
// The sum of a value over all threads of a launch, as loss terms need it: same bits every time (last_block.cuh).
#pragma once

#include "kernels/base/last_block.cuh"

namespace hourglass::gpu {

/// Sum of `count` floats that other blocks of this launch wrote, in an order fixed by count and kThreads; every thread
/// of the block gets the same bits.
template <int kThreads>
__device__ __forceinline__ float sum_of_partials(const float* partials, unsigned count) {
  float sum = 0;
#pragma unroll 4
  for (unsigned i = threadIdx.x; i < count; i += kThreads) sum += __ldcg(partials + i);
  return block_sum<float, kThreads>(sum);
}

/// destination = (or +=) factor * the sum of v over all threads of a one-dimensional grid of blocks of kThreads, at
/// most kMostPartials<float> blocks. All threads must call it.
template <int kThreads>
__device__ __forceinline__ void grid_sum(float v, float factor, Grad<float> destination, float* partials,
                                         unsigned* ticket) {
  const float of_block = block_sum<float, kThreads>(v);
  if (threadIdx.x == 0) partials[blockIdx.x] = of_block;
  if (!is_last_block(ticket)) return;
  const float total = sum_of_partials<kThreads>(partials, gridDim.x);
  if (threadIdx.x == 0) write(*destination.data, factor * total, destination.mode);
}

/// The weight divided by the samples of a mean: kernels then multiply only.
inline Weight per_sample(Weight weight, int64_t samples) {
  weight.constant /= static_cast<double>(samples);
  return weight;
}

}  // namespace hourglass::gpu
