// SPDX-License-Identifier: Apache-2.0
// The check of the gradients (gradient_norm.h) in two halves: what a block finds in its share of the slab, and what all
// blocks' findings come to. The cut and the order of the sums follow the number of elements alone.
#pragma once

#include <limits>

#include "kernels/base/flat.cuh"
#include "kernels/gradient_norm.h"

namespace hourglass::gpu {

/// What a full device holds: more blocks would only lengthen the work of combining.
inline constexpr int64_t kMostCheckBlocks = 132 * 8;
inline constexpr int64_t kAllFinite = std::numeric_limits<int64_t>::max();

inline unsigned check_blocks(int64_t total) {
  return std::min(flat_blocks(total), static_cast<unsigned>(kMostCheckBlocks));
}

__device__ __forceinline__ bool is_finite(float x) { return (__float_as_uint(x) & 0x7F800000u) != 0x7F800000u; }

/// Share `block` of `blocks`: all threads of the block call it. Element by element: a test of the sum alone, as on the
/// CPU, would need a second pass to name the element.
__device__ __forceinline__ void check_gradients(const GradientNormShape& s, bool aligned, const float* slab,
                                                unsigned block, unsigned blocks, double* squares_of,
                                                int64_t* lowest_of) {
  double squares = 0;
  int64_t lowest = kAllFinite;
  for_each_flat_quad_of(block, blocks, s.total, aligned, [&](int64_t i, int count, auto whole) {
    const Vec4 g = load_quad<decltype(whole)::value>(slab + i, count);
#pragma unroll
    for (int j = 3; j >= 0; --j) {
      if (!is_finite(g[j]) && i + j < lowest) lowest = i + j;
      const double value = i + j < s.gradients ? static_cast<double>(g[j]) : 0.0;
      squares += value * value;
    }
  });
  squares = block_sum<double, kFlatThreads>(squares);
  lowest = block_min<int64_t, kFlatThreads>(lowest);
  if (threadIdx.x == 0) {
    squares_of[block] = squares;
    lowest_of[block] = lowest;
  }
}

struct CheckedGradients {
  double squares;
  int64_t lowest;  ///< of the elements that are not finite, or kAllFinite
  __device__ __forceinline__ Norm norm(double clip_norm) const {
    const double length = sqrt(squares);
    const double clipped = clip_norm > 0 ? clip_norm / (length + 1e-6) : 1.0;
    return {length, clipped < 1.0 ? clipped : 1.0};
  }
};

/// What the other blocks of this launch have found; every thread of the block gets the same bits.
__device__ __forceinline__ CheckedGradients combine_checks(unsigned blocks, const double* squares_of,
                                                           const int64_t* lowest_of) {
  CheckedGradients all{0, kAllFinite};
  for (unsigned b = threadIdx.x; b < blocks; b += kFlatThreads) {
    all.squares += __ldcg(squares_of + b);
    all.lowest = Min{}(all.lowest, __ldcg(lowest_of + b));
  }
  all.squares = block_sum<double, kFlatThreads>(all.squares);
  all.lowest = block_min<int64_t, kFlatThreads>(all.lowest);
  return all;
}

}  // namespace hourglass::gpu
