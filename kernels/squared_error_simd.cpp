// SPDX-License-Identifier: Apache-2.0
#include "kernels/base/lanes.h"
#include "kernels/base/thread_pool.h"
#include "kernels/squared_error.h"

namespace hourglass::cpu {
namespace {

HOURGLASS_SIMD float row_value(int D, const float* __restrict y, const float* __restrict x) {
  float sums[kLanes] = {};
  int d = 0;
  for (; d + kLanes <= D; d += kLanes) {
    for (int j = 0; j < kLanes; ++j) sums[j] += (y[d + j] - x[d + j]) * (y[d + j] - x[d + j]);
  }
  for (int j = 0; d + j < D; ++j) sums[j] += (y[d + j] - x[d + j]) * (y[d + j] - x[d + j]);
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

/// A row is still in the nearest cache for its second reading.
void gradient_of_row(int D, const float* y, const float* x, float scale, float* dy, Write mode) {
  (mode == Write::kSet ? row_gradient : row_gradient_add)(D, y, x, scale, dy);
}

}  // namespace

void squared_error_forward(const Context& ctx, RowLossShape s, const float* y, const float* x, float* loss) {
  check_row_loss("squared_error", s.N, s.D, s.draws);
  const RowTiles tiles(s.N, s.D);
  parallel_for(ctx, tiles.count, [&](int64_t t) {
    for (int64_t n = t * tiles.rows; n < std::min<int64_t>(s.N, (t + 1) * tiles.rows); ++n) {
      loss[n] = row_value(s.D, y + n * s.D, x + n / s.draws * s.D);
    }
  });
}

void squared_error_backward(const Context& ctx, RowLossShape s, const float* y, const float* x, const float* dloss,
                            Grad<float> dy) {
  check_row_loss("squared_error", s.N, s.D, s.draws);
  if (!dy) return;
  const RowTiles tiles(s.N, s.D);
  parallel_for(ctx, tiles.count, [&](int64_t t) {
    for (int64_t n = t * tiles.rows; n < std::min<int64_t>(s.N, (t + 1) * tiles.rows); ++n) {
      gradient_of_row(s.D, y + n * s.D, x + n / s.draws * s.D, 2 * dloss[n], dy.data + n * s.D, dy.mode);
    }
  });
}

void squared_error_loss(const Context& ctx, RowLossShape s, const float* y, const float* x, Weight weight,
                        Grad<float> value, Grad<float> dy) {
  check_row_loss("squared_error", s.N, s.D, s.draws);
  check_mean("squared_error", s.N);
  const float scale = static_cast<float>(2 * weight.value() / s.N);
  const RowTiles tiles(s.N, s.D);
  double partial[RowTiles::kMost];
  parallel_for(ctx, tiles.count, [&](int64_t t) {
    double sum = 0;
    for (int64_t n = t * tiles.rows; n < std::min<int64_t>(s.N, (t + 1) * tiles.rows); ++n) {
      const float* row = y + n * s.D;
      const float* target = x + n / s.draws * s.D;
      sum += row_value(s.D, row, target);
      if (dy) gradient_of_row(s.D, row, target, scale, dy.data + n * s.D, dy.mode);
    }
    partial[t] = sum;
  });
  double total = 0;
  for (int t = 0; t < tiles.count; ++t) total += partial[t];
  if (value) write(*value.data, total / s.N, value.mode);
}

}  // namespace hourglass::cpu
