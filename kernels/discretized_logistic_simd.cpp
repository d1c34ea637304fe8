// SPDX-License-Identifier: Apache-2.0
// Vectors run along the columns. Work is cut into blocks of up to 64 columns, a multiple of the channels, over all
// rows: a column's log_scale is made ready once, and its sum over the rows needs no second owner.
#include <algorithm>

#include "kernels/base/logistic_bin.h"
#include "kernels/base/simd.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::cpu {
namespace {

constexpr int kWidth = 64, kMostTiles = 64, kRowsInFloat = 64;

struct Columns {
  float inverse[kWidth], slope[kWidth], width[kWidth], log_inside[kWidth], width_term[kWidth];
};

void prepare(int count, int first, int K, const float* log_scale, Columns* to) {
  for (int j = 0; j < std::min(count, K); ++j) {
    const LogisticScale<float> s = logistic_scale(log_scale[(first + j) % K]);
    to->inverse[j] = s.inverse;
    to->slope[j] = s.slope;
    to->width[j] = s.width;
    to->log_inside[j] = s.log_inside;
    to->width_term[j] = s.width_term;
  }
  for (int j = K; j < count; ++j) {
    to->inverse[j] = to->inverse[j - K];
    to->slope[j] = to->slope[j - K];
    to->width[j] = to->width[j - K];
    to->log_inside[j] = to->log_inside[j - K];
    to->width_term[j] = to->width_term[j - K];
  }
}

/// Adds the losses of one row to `loss` and c times the derivatives by log_scale to `slopes`, both by column; writes
/// the derivatives by mu, times c.
HOURGLASS_SIMD void row_terms(int count, const Columns& of, const float* __restrict mu, const float* __restrict x,
                              float c, float* __restrict loss, float* __restrict slopes, float* __restrict dmu) {
  for (int j = 0; j < count; ++j) {
    const LogisticScale<float> s{of.inverse[j], of.slope[j], of.width[j], of.log_inside[j], of.width_term[j]};
    const LogisticTerm<float> term = logistic_term(mu[j], x[j], s);
    loss[j] += term.loss;
    slopes[j] += c * term.dlog_scale;
    dmu[j] = c * term.dmu;
  }
}

HOURGLASS_SIMD float row_loss(int count, const Columns& of, const float* __restrict mu, const float* __restrict x) {
  float loss[kWidth];
  for (int j = 0; j < count; ++j) {
    const LogisticScale<float> s{of.inverse[j], of.slope[j], of.width[j], of.log_inside[j], of.width_term[j]};
    loss[j] = logistic_term(mu[j], x[j], s).loss;
  }
  float sum = 0;
  for (int j = 0; j < count; ++j) sum += loss[j];
  return sum;
}

void write_row(int count, const float* from, Grad<float> to, int64_t at) {
  for (int j = 0; to && j < count; ++j) write(to.data[at + j], from[j], to.mode);
}

struct Sums {
  double loss = 0;
  double slopes[kWidth] = {};  ///< by column of the block: always the same channels
};

/// One block of columns over all rows.
void block_terms(const DiscretizedLogisticShape& s, int first, int count, const float* mu, const float* x,
                 const float* log_scale, const float* dnll, float weight, Grad<float> dmu, Sums* sums) {
  Columns columns;
  prepare(count, first, s.log_scale_count, log_scale, &columns);
  for (int64_t n0 = 0; n0 < s.N; n0 += kRowsInFloat) {
    float loss[kWidth] = {}, slopes[kWidth] = {}, of_mu[kWidth];
    for (int64_t n = n0; n < std::min<int64_t>(s.N, n0 + kRowsInFloat); ++n) {
      const int64_t at = n * s.D + first;
      row_terms(count, columns, mu + at, x + n / s.draws * s.D + first, dnll ? dnll[n] : weight, loss, slopes, of_mu);
      write_row(count, of_mu, dmu, at);
    }
    for (int j = 0; j < count; ++j) {
      sums->loss += loss[j];
      sums->slopes[j] += slopes[j];
    }
  }
}

/// Gradients and the sum of all losses; K at most 64.
double all_terms(const Context& ctx, const DiscretizedLogisticShape& s, const float* mu, const float* x,
                 const float* log_scale, const float* dnll, float weight, Grad<float> dmu, Grad<float> dlog_scale) {
  const int K = s.log_scale_count, width = kWidth / K * K, blocks = (s.D + width - 1) / width;
  const int in_tile = (blocks + kMostTiles - 1) / kMostTiles, tiles = blocks == 0 ? 0 : (blocks - 1) / in_tile + 1;
  Sums partial[kMostTiles];
  parallel_for(ctx, tiles, [&](int64_t tile) {
    const int end = std::min(blocks, static_cast<int>(tile + 1) * in_tile);
    for (int block = static_cast<int>(tile) * in_tile; block < end; ++block) {
      const int first = block * width;
      block_terms(s, first, std::min(width, s.D - first), mu, x, log_scale, dnll, weight, dmu, &partial[tile]);
    }
  });
  double total = 0, slopes[kWidth] = {};
  for (int tile = 0; tile < tiles; ++tile) {
    total += partial[tile].loss;
    for (int j = 0; j < width; ++j) slopes[j % K] += partial[tile].slopes[j];
  }
  for (int c = 0; dlog_scale && c < K; ++c) write(dlog_scale.data[c], slopes[c], dlog_scale.mode);
  return total;
}

}  // namespace

void discretized_logistic_forward(const Context& ctx, const DiscretizedLogisticShape& s, const float* mu,
                                  const float* x, const float* log_scale, float* nll) {
  check_discretized_logistic(s);
  parallel_for(ctx, s.N, [&](int64_t n) {
    double sum = 0;
    for (int first = 0; first < s.D; first += kWidth) {
      const int count = std::min(kWidth, s.D - first);
      Columns columns;
      prepare(count, first, s.log_scale_count, log_scale, &columns);
      sum += row_loss(count, columns, mu + n * s.D + first, x + n / s.draws * s.D + first);
    }
    nll[n] = static_cast<float>(sum);
  });
}

void discretized_logistic_backward(const Context& ctx, const DiscretizedLogisticShape& s, const float* mu,
                                   const float* x, const float* log_scale, const float* dnll, Grad<float> dmu,
                                   Grad<float> dlog_scale) {
  check_discretized_logistic(s);
  if (s.log_scale_count > kWidth) {
    return discretized_logistic_backward<float>(ctx, s, mu, x, log_scale, dnll, dmu, dlog_scale);
  }
  all_terms(ctx, s, mu, x, log_scale, dnll, 0, dmu, dlog_scale);
}

void discretized_logistic_loss(const Context& ctx, const DiscretizedLogisticShape& s, const float* mu, const float* x,
                               const float* log_scale, Weight weight, Grad<float> value, Grad<float> dmu,
                               Grad<float> dlog_scale) {
  check_discretized_logistic(s);
  check_mean("discretized_logistic", s.N);
  if (s.log_scale_count > kWidth) {
    return discretized_logistic_loss<float>(ctx, s, mu, x, log_scale, weight, value, dmu, dlog_scale);
  }
  const float each = static_cast<float>(weight.value() / s.N);
  const double total = all_terms(ctx, s, mu, x, log_scale, nullptr, each, dmu, dlog_scale);
  if (value) write(*value.data, total / s.N, value.mode);
}

}  // namespace hourglass::cpu
