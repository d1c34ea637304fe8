// SPDX-License-Identifier: Apache-2.0
// The timed float form: the product tile by tile, and a tile of logits becomes its part of the value and its gradient,
// in place, while it is in the cache. The tiles' sums are added in the order of the tiles.
#include "kernels/base/gemm_tile.h"
#include "kernels/base/lanes.h"
#include "kernels/base/linear_bce_check.h"
#include "kernels/base/math.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::cpu {
namespace {

GemmShape product_of(const LinearBceShape& s) { return {s.N, s.K, s.C, false, !s.transposed_weight}; }

/// With e = exp(-|l|): softplus(l) = max(l, 0) + log(1 + e), sigmoid(l) = (l < 0 ? e : 1) / (1 + e).
HOURGLASS_INLINE float finish(float& l, float x, float scale) {
  const float logit = l, e = math::exp(-math::detail::absolute(logit));
  l = scale * ((logit < 0 ? e : 1.0f) / (1.0f + e) - x);
  return ((logit > 0 ? logit : 0.0f) - x * logit) + math::detail::log1p_unit(e);
}

/// The part of a row that lies in a tile: l without its bias becomes the gradient; returns the sum of the losses.
HOURGLASS_SIMD float finish_row(int n, const float* __restrict b, const float* __restrict x, float scale,
                                float* __restrict l) {
  if (b) {
    for (int j = 0; j < n; ++j) l[j] += b[j];
  }
  float sums[kLanes] = {};
  int k = 0;
  for (; k + kLanes <= n; k += kLanes) {
    for (int j = 0; j < kLanes; ++j) sums[j] += finish(l[k + j], x[k + j], scale);
  }
  for (int j = 0; k + j < n; ++j) sums[j] += finish(l[k + j], x[k + j], scale);
  return sum_lanes(sums);
}

}  // namespace

size_t linear_bce_scratch_bytes(const Context&, LinearBceShape s) {
  return static_cast<size_t>(GemmTiles(product_of(s), tile_columns()).count()) * sizeof(double);
}

void linear_bce_loss(const Context& ctx, LinearBceShape s, const float* x, const float* w, const float* b,
                     const float* target, Weight weight, void* scratch, Grad<float> value, float* dlogits) {
  check_linear_bce(s);
  const GemmShape product = product_of(s);
  const GemmTiles tiles(product, tile_columns());
  const float scale = static_cast<float>(weight.value() / s.N);
  double* const partial = static_cast<double*>(scratch);
  parallel_for(ctx, tiles.count(), [&](int64_t i) {
    const GemmTile t = tile_of(product, tiles, i, x, w, Grad<float>{dlogits});
    multiply(t);
    const int64_t first = (t.c - dlogits) / s.K, column = (t.c - dlogits) % s.K;
    double sum = 0;
    for (int64_t n = first; n < first + t.M; ++n) {
      sum += finish_row(t.N, b ? b + column : nullptr, target + n / s.draws * s.K + column, scale,
                        dlogits + n * s.K + column);
    }
    partial[i] = sum;
  });
  double total = 0;
  for (int64_t i = 0; i < tiles.count(); ++i) total += partial[i];
  if (value) write(*value.data, total / s.N, value.mode);
}

}  // namespace hourglass::cpu
