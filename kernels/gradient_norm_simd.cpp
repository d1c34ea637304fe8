// SPDX-License-Identifier: Apache-2.0
// The square of a float never overflows a double, nor does a sum of them over any slab. So a tile's sum is finite
// exactly if its elements are: the sum is the check, and only a tile that fails is searched for its first bad element.
#include <algorithm>
#include <cmath>

#include "kernels/base/error.h"
#include "kernels/base/lanes.h"
#include "kernels/base/thread_pool.h"
#include "kernels/gradient_norm.h"

namespace hourglass::cpu {
namespace {

constexpr int64_t kMostTiles = 64, kLeastTile = 16384;

HOURGLASS_SIMD double sum_of_squares(const float* x, int64_t n) {
  double sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) sums[j] += static_cast<double>(x[i + j]) * static_cast<double>(x[i + j]);
  }
  for (int j = 0; i + j < n; ++j) sums[j] += static_cast<double>(x[i + j]) * static_cast<double>(x[i + j]);
  return sum_lanes(sums);
}

}  // namespace

void gradient_check(const Context& ctx, GradientNormShape s, const float* slab, double clip_norm, Norm* norm,
                    Fault* fault, const int64_t* step) {
  const int64_t size = std::max(kLeastTile, (s.total + kMostTiles - 1) / kMostTiles);
  const int64_t tiles = (s.total + size - 1) / size;
  double gradients[kMostTiles], statistics[kMostTiles];
  parallel_for(ctx, tiles, [&](int64_t t) {
    const int64_t first = t * size, last = std::min(first + size, s.total),
                  split = std::clamp(s.gradients, first, last);
    gradients[t] = sum_of_squares(slab + first, split - first);
    statistics[t] = sum_of_squares(slab + split, last - split);
  });

  double squares = 0;
  for (int64_t t = 0; t < tiles; ++t) {
    if (!std::isfinite(gradients[t] + statistics[t])) {
      int64_t i = t * size;
      while (std::isfinite(slab[i])) ++i;
      if (fault->code == 0) *fault = {static_cast<int32_t>(Exit::kNotFinite), kFaultGradient, *step, s.first + i};
      return;
    }
    squares += gradients[t];
  }
  norm->norm = std::sqrt(squares);
  norm->scale = clip_norm > 0 ? std::min(1.0, clip_norm / (norm->norm + 1e-6)) : 1.0;
}

}  // namespace hourglass::cpu
