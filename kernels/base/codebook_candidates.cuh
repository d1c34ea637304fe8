// SPDX-License-Identifier: Apache-2.0
// What the CUDA searches of nearest_codebook.cu share: the lowest score so far as an integer that atomics can compare,
// short lists of candidates that stay exact when they overflow, and the comparison of candidates in double.
#pragma once

#include <limits>

#include "kernels/base/codebook_bound.h"
#include "kernels/base/gpu.cuh"
#include "kernels/nearest_codebook.h"

namespace hourglass::gpu {

inline constexpr int kBoundCodes = 32;   ///< neighbouring codes that share an error bound
inline constexpr int kListEntries = 16;  ///< candidates of a row
inline constexpr int kLost = 1 << 30;    ///< a count that says: the list overflowed, compare all codes

/// The scratch memory of a search.
struct CodebookScratch {
  float* half = nullptr;          ///< (K) |c|^2 / 2; infinite for a code that is not finite
  float* bounds = nullptr;        ///< (ceil(K / kBoundCodes)) the largest |c|
  float* row_norms = nullptr;     ///< (N) |x|; negative for a row that is not finite
  int32_t* counts = nullptr;      ///< (N) candidates of a row, or kLost
  int32_t* candidates = nullptr;  ///< (N, kListEntries)
};

/// Order of floats, infinities included, as order of unsigned integers.
__device__ __forceinline__ unsigned ordered(float x) {
  const unsigned bits = __float_as_uint(x);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
__device__ __forceinline__ float from_ordered(unsigned x) {
  return __uint_as_float(x & 0x80000000u ? x & 0x7FFFFFFFu : ~x);
}

struct NearestCode {
  double distance = std::numeric_limits<double>::infinity();
  int32_t index = -1;
  /// Ties to the lowest index. What is not finite is no candidate.
  __device__ __forceinline__ void offer(double d, int32_t k) {
    if (d < distance || (d == distance && k >= 0 && k < index)) {
      distance = d;
      index = k;
    }
  }
};

/// Compares the code with the best so far, summing in double one dimension after the other.
template <class Row>
__device__ __forceinline__ void offer_code(NearestCode& best, const Row& row, const float* codebook, int32_t k, int D) {
  const float* const code = codebook + int64_t{k} * D;
  double sum = 0;
  for (int d = 0; d < D; ++d) {
    const double difference = static_cast<double>(row[d]) - static_cast<double>(code[d]);
    sum = fma(difference, difference, sum);
  }
  best.offer(sum, k);
}

/// The best of a warp's lanes, in every lane.
__device__ __forceinline__ NearestCode best_of_warp(NearestCode best) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const double other = __shfl_xor_sync(kFullMask, best.distance, distance);
    best.offer(other, __shfl_xor_sync(kFullMask, best.index, distance));
  }
  return best;
}

__device__ __forceinline__ void store_nearest(const NearestCode& best, int64_t row, int32_t* index, float* distance) {
  index[row] = best.index;
  if (distance) distance[row] = best.index < 0 ? __uint_as_float(0x7FC00000u) : static_cast<float>(best.distance);
}

}  // namespace hourglass::gpu
