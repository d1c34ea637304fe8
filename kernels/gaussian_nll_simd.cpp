// SPDX-License-Identifier: Apache-2.0
// Work is cut into blocks of 64 columns, whose constants are computed once and whose sums over the rows stay on the
// stack: so dlog_sigma needs neither scratch nor a second pass, and a learned sigma costs one exponential a column.
#include <algorithm>

#include "kernels/base/gaussian_density.h"
#include "kernels/base/lanes.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::cpu {
namespace {

constexpr int kBlock = 64, kMostTiles = 64;

int block_count(int D) { return (D + kBlock - 1) / kBlock; }

HOURGLASS_SIMD void precisions(int count, const float* __restrict log_sigma, int stride, float* __restrict p) {
  for (int d = 0; d < count; ++d) p[d] = precision(log_sigma[d * stride]);
}

/// The columns [first, first + count) and their constants.
struct Block {
  int64_t first;
  int count, stride;
  const float* log_sigma;
  float p[kBlock];

  Block(const GaussianNllShape& s, const float* all, int index)
      : first(int64_t{index} * kBlock),
        count(static_cast<int>(std::min<int64_t>(kBlock, s.D - first))),
        stride(s.log_sigma_count == 1 ? 0 : 1),
        log_sigma(all + first * stride) {
    precisions(count, log_sigma, stride, p);
  }
  double normalizers() const {
    if (stride == 0) return count * static_cast<double>(normalizer(*log_sigma));
    double sum = 0;
    for (int d = 0; d < count; ++d) sum += normalizer(log_sigma[d]);
    return sum;
  }
};

HOURGLASS_SIMD float row_squares(int count, const float* __restrict y, const float* __restrict x,
                                 const float* __restrict p) {
  float sums[kLanes] = {};
  int d = 0;
  for (; d + kLanes <= count; d += kLanes) {
    for (int j = 0; j < kLanes; ++j) sums[j] += p[d + j] * (y[d + j] - x[d + j]) * (y[d + j] - x[d + j]);
  }
  for (int j = 0; d + j < count; ++j) sums[j] += p[d + j] * (y[d + j] - x[d + j]) * (y[d + j] - x[d + j]);
  return sum_lanes(sums);
}

HOURGLASS_SIMD void column_squares(int count, const float* __restrict y, const float* __restrict x,
                                   const float* __restrict p, float weight, double* __restrict sums) {
  for (int d = 0; d < count; ++d) sums[d] += weight * (p[d] * (y[d] - x[d]) * (y[d] - x[d]));
}

HOURGLASS_SIMD void row_gradient(int count, const float* __restrict y, const float* __restrict x,
                                 const float* __restrict p, float scale, float* __restrict dy) {
  for (int d = 0; d < count; ++d) dy[d] = scale * p[d] * (y[d] - x[d]);
}
HOURGLASS_SIMD void row_gradient_add(int count, const float* __restrict y, const float* __restrict x,
                                     const float* __restrict p, float scale, float* __restrict dy) {
  for (int d = 0; d < count; ++d) dy[d] += scale * p[d] * (y[d] - x[d]);
}

/// What backward and loss share: dy with the scale of each row (or one for all), the sums over rows of
/// dnll p (y - x)^2 in each column, and the sum of dnll. Returns per block through `block_done(tile, block, sums)`.
template <class F>
void over_columns(const Context& ctx, const GaussianNllShape& s, const float* y, const float* x, const float* log_sigma,
                  const float* dnll, float scale, Grad<float> dy, F&& block_done) {
  const int blocks = block_count(s.D), per_tile = (blocks + kMostTiles - 1) / kMostTiles;
  if (blocks == 0) return;
  const auto gradient = dy.mode == Write::kSet ? row_gradient : row_gradient_add;
  parallel_for(ctx, (blocks + per_tile - 1) / per_tile, [&](int64_t tile) {
    const int64_t end = std::min<int64_t>(blocks, (tile + 1) * per_tile);
    for (int64_t b = tile * per_tile; b < end; ++b) {
      const Block block(s, log_sigma, static_cast<int>(b));
      double sums[kBlock] = {};
      for (int64_t n = 0; n < s.N; ++n) {
        const int64_t at = n * s.D + block.first;
        const float* target = x + n / s.draws * s.D + block.first;
        column_squares(block.count, y + at, target, block.p, dnll ? dnll[n] : 1.0f, sums);
        if (dy) gradient(block.count, y + at, target, block.p, dnll ? dnll[n] : scale, dy.data + at);
      }
      block_done(tile, block, sums);
    }
  });
}

/// dlog_sigma of a block's columns = scale (total - sums) slope: written, or with one log_sigma returned as a sum.
double log_sigma_gradient(const Block& block, double scale, double total, const double* sums, Grad<float> out) {
  double shared = 0;
  for (int d = 0; d < block.count; ++d) {
    const double slope = normalizer_slope(block.log_sigma[d * block.stride]);
    const double gradient = scale * (total - sums[d]) * slope;
    shared += gradient;
    if (out && block.stride == 1) write(out.data[block.first + d], gradient, out.mode);
  }
  return shared;
}

double sum_of(const double (&partial)[kMostTiles]) {
  double sum = 0;
  for (double each : partial) sum += each;
  return sum;
}

}  // namespace

void gaussian_nll_forward(const Context& ctx, GaussianNllShape s, const float* y, const float* x,
                          const float* log_sigma, float* nll) {
  check_gaussian_nll(s);
  const RowTiles tiles(s.N, s.D);
  parallel_for(ctx, tiles.count, [&](int64_t t) {
    const int64_t begin = t * tiles.rows, end = std::min<int64_t>(s.N, begin + tiles.rows);
    std::fill(nll + begin, nll + end, 0.0f);
    for (int b = 0; b < block_count(s.D); ++b) {
      const Block block(s, log_sigma, b);
      const float normalizers = static_cast<float>(block.normalizers());
      for (int64_t n = begin; n < end; ++n) {
        const float* target = x + n / s.draws * s.D + block.first;
        nll[n] += row_squares(block.count, y + n * s.D + block.first, target, block.p) / 2 + normalizers;
      }
    }
  });
}

void gaussian_nll_backward(const Context& ctx, GaussianNllShape s, const float* y, const float* x,
                           const float* log_sigma, const float* dnll, Grad<float> dy, Grad<float> dlog_sigma) {
  check_gaussian_nll(s);
  if (!dy && !dlog_sigma) return;
  double total = 0, shared[kMostTiles] = {};
  for (int64_t n = 0; n < s.N; ++n) total += dnll[n];
  over_columns(ctx, s, y, x, log_sigma, dnll, 0, dy, [&](int64_t tile, const Block& block, const double* sums) {
    shared[tile] += log_sigma_gradient(block, 1, total, sums, dlog_sigma);
  });
  if (dlog_sigma && s.log_sigma_count == 1) write(*dlog_sigma.data, sum_of(shared), dlog_sigma.mode);
}

void gaussian_nll_loss(const Context& ctx, GaussianNllShape s, const float* y, const float* x, const float* log_sigma,
                       Weight weight, Grad<float> value, Grad<float> dy, Grad<float> dlog_sigma) {
  check_gaussian_nll(s);
  check_mean("gaussian_nll", s.N);
  const double scale = weight.value() / s.N;
  double total[kMostTiles] = {}, shared[kMostTiles] = {};
  over_columns(ctx, s, y, x, log_sigma, nullptr, static_cast<float>(scale), dy,
               [&](int64_t tile, const Block& block, const double* sums) {
                 for (int d = 0; d < block.count; ++d) total[tile] += sums[d] / 2;
                 total[tile] += s.N * block.normalizers();
                 shared[tile] += log_sigma_gradient(block, scale, s.N, sums, dlog_sigma);
               });
  if (value) write(*value.data, sum_of(total) / s.N, value.mode);
  if (dlog_sigma && s.log_sigma_count == 1) write(*dlog_sigma.data, sum_of(shared), dlog_sigma.mode);
}

}  // namespace hourglass::cpu
