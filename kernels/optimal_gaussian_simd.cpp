// SPDX-License-Identifier: Apache-2.0
#include "kernels/base/lanes.h"
#include "kernels/base/optimal_gaussian_value.h"
#include "kernels/base/thread_pool.h"
#include "kernels/optimal_gaussian.h"

namespace hourglass::cpu {
namespace {

HOURGLASS_SIMD float row_squares(int D, const float* __restrict y, const float* __restrict x) {
  float sums[kLanes] = {};
  int d = 0;
  for (; d + kLanes <= D; d += kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      const float difference = y[d + j] - x[d + j];
      sums[j] += difference * difference;
    }
  }
  for (int j = 0; d + j < D; ++j) {
    const float difference = y[d + j] - x[d + j];
    sums[j] += difference * difference;
  }
  return sum_lanes(sums);
}

HOURGLASS_SIMD void row_gradient(int D, const float* __restrict y, const float* __restrict x, float scale,
                                 float* __restrict dy) {
  for (int d = 0; d < D; ++d) dy[d] = scale * (y[d] - x[d]);
}
HOURGLASS_SIMD void row_gradient_add(int D, const float* __restrict y, const float* __restrict x, float scale,
                                     float* __restrict dy) {
  for (int d = 0; d < D; ++d) dy[d] += scale * (y[d] - x[d]);
}

}  // namespace

void optimal_gaussian_forward(const Context& ctx, RowLossShape s, const float* y, const float* x, float* mse) {
  check_optimal_gaussian(s);
  const RowTiles tiles(s.N, s.D);
  double partial[RowTiles::kMost];
  parallel_for(ctx, tiles.count, [&](int64_t t) {
    double sum = 0;
    for (int64_t n = t * tiles.rows; n < std::min<int64_t>(s.N, (t + 1) * tiles.rows); ++n) {
      sum += row_squares(s.D, y + n * s.D, x + n / s.draws * s.D);
    }
    partial[t] = sum;
  });
  double total = 0;
  for (int t = 0; t < tiles.count; ++t) total += partial[t];
  *mse = s.D == 0 ? 0.0f : static_cast<float>(total / (static_cast<double>(s.N) * s.D));
}

void optimal_gaussian_loss(const Context& ctx, RowLossShape s, const float* y, const float* x, const float* mse,
                           Weight weight, Grad<float> value, Grad<float> dy) {
  check_optimal_gaussian(s);
  if (value) write(*value.data, optimal_nll(*mse, s.D), value.mode);
  if (!dy) return;
  const float scale = static_cast<float>(weight.value() / (s.N * static_cast<double>(bounded_variance(*mse))));
  const auto row = dy.mode == Write::kSet ? row_gradient : row_gradient_add;
  const RowTiles tiles(s.N, s.D);
  parallel_for(ctx, tiles.count, [&](int64_t t) {
    for (int64_t n = t * tiles.rows; n < std::min<int64_t>(s.N, (t + 1) * tiles.rows); ++n) {
      row(s.D, y + n * s.D, x + n / s.draws * s.D, scale, dy.data + n * s.D);
    }
  });
}

}  // namespace hourglass::cpu
