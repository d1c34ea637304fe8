// SPDX-License-Identifier: Apache-2.0
// One exponential serves value and gradient of a pixel: with e = exp(-|l|), softplus(l) = max(l, 0) + log(1 + e) and
// sigmoid(l) = (l < 0 ? e : 1) / (1 + e).
#include "kernels/base/lanes.h"
#include "kernels/base/math.h"
#include "kernels/base/thread_pool.h"
#include "kernels/bernoulli_nll.h"

namespace hourglass::cpu {
namespace {

HOURGLASS_INLINE float pixel(float l, float x, float e) {
  return ((l > 0 ? l : 0.0f) - x * l) + math::detail::log1p_unit(e);
}
HOURGLASS_INLINE float slope(float l, float x, float e) { return (l < 0 ? e : 1.0f) / (1.0f + e) - x; }

HOURGLASS_SIMD float row_value(int D, const float* __restrict l, const float* __restrict x) {
  float sums[kLanes] = {};
  int d = 0;
  for (; d + kLanes <= D; d += kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      sums[j] += pixel(l[d + j], x[d + j], math::exp(-math::detail::absolute(l[d + j])));
    }
  }
  for (int j = 0; d + j < D; ++j) sums[j] += pixel(l[d + j], x[d + j], math::exp(-math::detail::absolute(l[d + j])));
  return sum_lanes(sums);
}

HOURGLASS_SIMD void row_gradient(int D, const float* __restrict l, const float* __restrict x, float scale,
                                 float* __restrict dl) {
  for (int d = 0; d < D; ++d) dl[d] = scale * slope(l[d], x[d], math::exp(-math::detail::absolute(l[d])));
}
HOURGLASS_SIMD void row_gradient_add(int D, const float* __restrict l, const float* __restrict x, float scale,
                                     float* __restrict dl) {
  for (int d = 0; d < D; ++d) dl[d] += scale * slope(l[d], x[d], math::exp(-math::detail::absolute(l[d])));
}

HOURGLASS_SIMD float row_loss(int D, const float* __restrict l, const float* __restrict x, float scale,
                              float* __restrict dl) {
  float sums[kLanes] = {};
  int d = 0;
  for (; d + kLanes <= D; d += kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      const float e = math::exp(-math::detail::absolute(l[d + j]));
      sums[j] += pixel(l[d + j], x[d + j], e);
      dl[d + j] = scale * slope(l[d + j], x[d + j], e);
    }
  }
  for (int j = 0; d + j < D; ++j) {
    const float e = math::exp(-math::detail::absolute(l[d + j]));
    sums[j] += pixel(l[d + j], x[d + j], e);
    dl[d + j] = scale * slope(l[d + j], x[d + j], e);
  }
  return sum_lanes(sums);
}

}  // namespace

void bernoulli_nll_forward(const Context& ctx, RowLossShape s, const float* logits, const float* x, float* nll) {
  check_row_loss("bernoulli_nll", s.N, s.D, s.draws);
  const RowTiles tiles(s.N, s.D);
  parallel_for(ctx, tiles.count, [&](int64_t t) {
    for (int64_t n = t * tiles.rows; n < std::min<int64_t>(s.N, (t + 1) * tiles.rows); ++n) {
      nll[n] = row_value(s.D, logits + n * s.D, x + n / s.draws * s.D);
    }
  });
}

void bernoulli_nll_backward(const Context& ctx, RowLossShape s, const float* logits, const float* x, const float* dnll,
                            Grad<float> dlogits) {
  check_row_loss("bernoulli_nll", s.N, s.D, s.draws);
  if (!dlogits) return;
  const auto row = dlogits.mode == Write::kSet ? row_gradient : row_gradient_add;
  const RowTiles tiles(s.N, s.D);
  parallel_for(ctx, tiles.count, [&](int64_t t) {
    for (int64_t n = t * tiles.rows; n < std::min<int64_t>(s.N, (t + 1) * tiles.rows); ++n) {
      row(s.D, logits + n * s.D, x + n / s.draws * s.D, dnll[n], dlogits.data + n * s.D);
    }
  });
}

void bernoulli_nll_loss(const Context& ctx, RowLossShape s, const float* logits, const float* x, Weight weight,
                        Grad<float> value, Grad<float> dlogits) {
  check_row_loss("bernoulli_nll", s.N, s.D, s.draws);
  check_mean("bernoulli_nll", s.N);
  const float scale = static_cast<float>(weight.value() / s.N);
  const RowTiles tiles(s.N, s.D);
  double partial[RowTiles::kMost];
  parallel_for(ctx, tiles.count, [&](int64_t t) {
    double sum = 0;
    for (int64_t n = t * tiles.rows; n < std::min<int64_t>(s.N, (t + 1) * tiles.rows); ++n) {
      const float* l = logits + n * s.D;
      const float* target = x + n / s.draws * s.D;
      if (dlogits && dlogits.mode == Write::kSet) {
        sum += row_loss(s.D, l, target, scale, dlogits.data + n * s.D);
      } else {
        sum += row_value(s.D, l, target);
        if (dlogits) row_gradient_add(s.D, l, target, scale, dlogits.data + n * s.D);
      }
    }
    partial[t] = sum;
  });
  double total = 0;
  for (int t = 0; t < tiles.count; ++t) total += partial[t];
  if (value) write(*value.data, total / s.N, value.mode);
}

}  // namespace hourglass::cpu
