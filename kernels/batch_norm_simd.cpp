// SPDX-License-Identifier: Apache-2.0
// The rows are cut into shares, and wide rows into bands of columns; each share of a band sums its columns in blocks
// that stay in the cache, and shares combine in order. Rows of few channels are taken several at a time as one wide
// row, whose sums are folded. The moments of a block are about its own mean (two passes over cached memory), and two
// sets of moments combine as Chan, Golub and LeVeque have it, so that x is read from memory once.
#include <algorithm>
#include <cmath>

#include "kernels/base/batch_norm_check.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::cpu {
namespace {

constexpr int kWide = 64;        // values of a wide row, at least, where channels are few
constexpr int kBand = 256;       // columns of a band, at most
constexpr int kBlockRows = 128;  // wide rows summed before their sums join the total

/// Rows [begin, begin + rows + one of `rest` values) of columns that repeat after `channels`.
struct Piece {
  int64_t at, rows;  // `at`: the first value; wide rows
  int rest, columns, channels;
  int64_t stride;
  int64_t first_channel;

  int width(int64_t row) const { return row < rows ? columns : rest; }
};

struct Cut {
  explicit Cut(const BatchNormShape& shape)
      : s(shape),
        fold(std::max(1, kWide / std::max(s.C, 1))),
        bands(fold > 1 ? 1 : (s.C + kBand - 1) / kBand),
        shares(batch_norm_shares(s)) {}

  Piece piece(int64_t share, int64_t band) const {
    const int64_t begin = share * s.rows / shares, rows = (share + 1) * s.rows / shares - begin;
    const int64_t first = band * kBand;
    const int channels = static_cast<int>(std::min<int64_t>(kBand, s.C - first));
    return {begin * s.C + first, rows / fold, static_cast<int>(rows % fold) * s.C, channels * fold, channels,
            int64_t{s.C} * fold, first};
  }
  /// Calls f(piece, share) for all pieces, and finish(band's first channel, channels) for all bands after that.
  template <class F>
  void for_each_piece(const Context& ctx, F&& f) const {
    parallel_for(ctx, shares * bands, [&](int64_t i) { f(piece(i / bands, i % bands), i / bands); });
  }
  template <class F>
  void for_each_channel(const Context& ctx, F&& f) const {
    parallel_for(ctx, bands, [&](int64_t band) {
      const int64_t last = std::min<int64_t>(s.C, (band + 1) * kBand);
      for (int64_t c = band * kBand; c < last; ++c) f(c);
    });
  }

  BatchNormShape s;
  int fold;
  int64_t bands, shares;
};

/// sums[c] += the columns of channel c, for all columns.
HOURGLASS_INLINE void fold_columns(const Piece& p, const float* columns, float* sums) {
  for (int first = 0; first < p.columns; first += p.channels) {
    for (int c = 0; c < p.channels; ++c) sums[c] += columns[first + c];
  }
}
/// The value of each channel in all of its columns.
HOURGLASS_INLINE void spread(const Piece& p, const float* channels, float* columns) {
  for (int first = 0; first < p.columns; first += p.channels) std::copy_n(channels, p.channels, columns + first);
}

/// Mean and sum of squared differences to it, of each channel of a piece.
HOURGLASS_SIMD void moments_of(const Piece& p, const float* __restrict x, float* __restrict mean,
                               float* __restrict squares) {
  float columns[kBand], center[kBand], sums[kBand];
  std::fill_n(mean, p.channels, 0.0f);
  std::fill_n(squares, p.channels, 0.0f);
  const int fold = p.columns / p.channels;
  const int64_t all = p.rows + (p.rest > 0);
  float before = 0;  // rows that are in mean and squares
  for (int64_t first = 0; first < all; first += kBlockRows) {
    const int64_t last = std::min(all, first + kBlockRows), whole = std::min(last, p.rows) - first;
    const float rows = static_cast<float>(whole * fold + (last > p.rows ? p.rest / p.channels : 0));
    std::fill_n(columns, p.columns, 0.0f);
    for (int64_t r = first; r < last; ++r) {
      const float* const row = x + r * p.stride;
      for (int j = 0, n = p.width(r); j < n; ++j) columns[j] += row[j];
    }
    std::fill_n(sums, p.channels, 0.0f);
    fold_columns(p, columns, sums);
    for (int c = 0; c < p.channels; ++c) sums[c] /= rows;
    spread(p, sums, center);
    std::fill_n(columns, p.columns, 0.0f);
    for (int64_t r = first; r < last; ++r) {
      const float* const row = x + r * p.stride;
      for (int j = 0, n = p.width(r); j < n; ++j) columns[j] += (row[j] - center[j]) * (row[j] - center[j]);
    }
    fold_columns(p, columns, squares);
    const float share = rows / (before + rows);
    for (int c = 0; c < p.channels; ++c) {
      const float difference = sums[c] - mean[c];
      mean[c] += difference * share;
      squares[c] += difference * difference * before * share;
    }
    before += rows;
  }
}

/// The constants of a band, spread over its columns.
struct Constants {
  template <class F>
  Constants(const Piece& p, F&& value_of_channel) {
    float channels[kBand];
    for (int c = 0; c < p.channels; ++c) channels[c] = value_of_channel(p.first_channel + c);
    spread(p, channels, values);
  }
  float values[kBand];
};

HOURGLASS_SIMD void normalize(const Piece& p, const float* __restrict x, const float* __restrict center,
                              const float* __restrict scale, const float* __restrict shift, float* __restrict y) {
  for (int64_t r = 0; r <= p.rows; ++r) {
    const float* const row = x + r * p.stride;
    float* const out = y + r * p.stride;
    for (int j = 0, n = p.width(r); j < n; ++j) out[j] = (row[j] - center[j]) * scale[j] + shift[j];
  }
}

/// y of all pieces, from mean(c) and rstd(c).
template <class Mean, class Rstd>
void normalize_all(const Context& ctx, const Cut& cut, const float* x, const float* gamma, const float* beta, float* y,
                   Mean mean, Rstd rstd) {
  cut.for_each_piece(ctx, [&](const Piece& p, int64_t) {
    const Constants center(p, mean), shift(p, [&](int64_t c) { return beta ? beta[c] : 0.0f; });
    const Constants scale(p, [&](int64_t c) { return gamma ? gamma[c] * rstd(c) : rstd(c); });
    normalize(p, x + p.at, center.values, scale.values, shift.values, y + p.at);
  });
}

/// Sums of dy and of dy h over the rows of a piece, for each channel.
HOURGLASS_SIMD void gradient_sums(const Piece& p, const float* __restrict x, const float* __restrict dy,
                                  const float* __restrict center, const float* __restrict rstd, float* __restrict sums,
                                  float* __restrict sums_h) {
  float columns[kBand], columns_h[kBand];
  std::fill_n(sums, p.channels, 0.0f);
  std::fill_n(sums_h, p.channels, 0.0f);
  const int64_t all = p.rows + (p.rest > 0);
  for (int64_t first = 0; first < all; first += kBlockRows) {
    std::fill_n(columns, p.columns, 0.0f);
    std::fill_n(columns_h, p.columns, 0.0f);
    for (int64_t r = first; r < std::min(all, first + kBlockRows); ++r) {
      const float *const row = x + r * p.stride, *const d = dy + r * p.stride;
      for (int j = 0, n = p.width(r); j < n; ++j) {
        columns[j] += d[j];
        columns_h[j] += d[j] * ((row[j] - center[j]) * rstd[j]);
      }
    }
    fold_columns(p, columns, sums);
    fold_columns(p, columns_h, sums_h);
  }
}

/// dx = slope (dy - average - (x - center) average_h), average_h with a factor rstd.
HOURGLASS_SIMD void input_gradient(const Piece& p, const float* __restrict x, const float* __restrict dy,
                                   const float* __restrict center, const float* __restrict slope,
                                   const float* __restrict average, const float* __restrict average_h,
                                   float* __restrict dx) {
  for (int64_t r = 0; r <= p.rows; ++r) {
    const float *const row = x + r * p.stride, *const d = dy + r * p.stride;
    float* const out = dx + r * p.stride;
    for (int j = 0, n = p.width(r); j < n; ++j) {
      out[j] = slope[j] * (d[j] - average[j] - (row[j] - center[j]) * average_h[j]);
    }
  }
}
HOURGLASS_SIMD void input_gradient_add(const Piece& p, const float* __restrict x, const float* __restrict dy,
                                       const float* __restrict center, const float* __restrict slope,
                                       const float* __restrict average, const float* __restrict average_h,
                                       float* __restrict dx) {
  for (int64_t r = 0; r <= p.rows; ++r) {
    const float *const row = x + r * p.stride, *const d = dy + r * p.stride;
    float* const out = dx + r * p.stride;
    for (int j = 0, n = p.width(r); j < n; ++j) {
      out[j] += slope[j] * (d[j] - average[j] - (row[j] - center[j]) * average_h[j]);
    }
  }
}

}  // namespace

void batch_norm_forward(const Context& ctx, const BatchNormShape& s, const float* x, const float* gamma,
                        const float* beta, void* scratch, float* y, float* mean, float* rstd, Grad<float> moments) {
  if (s.rows == 0) return batch_norm_forward<float>(ctx, s, x, gamma, beta, scratch, y, mean, rstd, moments);
  check_batch_norm_training(s);
  if (s.C == 0) return;
  const Cut cut(s);
  float* const of_shares = static_cast<float*>(scratch);  // (shares, 2, C): means, squares
  cut.for_each_piece(ctx, [&](const Piece& p, int64_t share) {
    float* const out = of_shares + 2 * share * s.C + p.first_channel;
    moments_of(p, x + p.at, out, out + s.C);
  });
  cut.for_each_channel(ctx, [&](int64_t c) {
    double center = 0, squares = 0, before = 0;
    for (int64_t share = 0; share < cut.shares; ++share) {
      const float* const of_share = of_shares + 2 * share * s.C + c;
      const auto rows = static_cast<double>((share + 1) * s.rows / cut.shares - share * s.rows / cut.shares);
      const double difference = of_share[0] - center;
      center += difference * rows / (before + rows);
      squares += of_share[s.C] + difference * difference * before * rows / (before + rows);
      before += rows;
    }
    mean[c] = static_cast<float>(center);
    rstd[c] = static_cast<float>(1 / std::sqrt(squares / before + s.eps));
    if (!moments) return;
    write(moments.data[c], center, moments.mode);
    write(moments.data[s.C + c], squares / (before - 1), moments.mode);
    write(moments.data[2 * int64_t{s.C} + c], 1, moments.mode);
  });
  normalize_all(
      ctx, cut, x, gamma, beta, y, [&](int64_t c) { return mean[c]; }, [&](int64_t c) { return rstd[c]; });
}

void batch_norm_inference(const Context& ctx, const BatchNormShape& s, const float* x, const float* gamma,
                          const float* beta, const float* running_mean, const float* running_var, float* y) {
  check_batch_norm(s);
  if (s.C == 0) return;
  const auto rstd = [&](int64_t c) { return static_cast<float>(1 / std::sqrt(running_var[c] + s.eps)); };
  normalize_all(
      ctx, Cut(s), x, gamma, beta, y, [&](int64_t c) { return running_mean[c]; }, rstd);
}

void batch_norm_backward(const Context& ctx, const BatchNormShape& s, const float* x, const float* gamma,
                         const float* mean, const float* rstd, const float* dy, void* scratch, Grad<float> dx,
                         Grad<float> dgamma, Grad<float> dbeta) {
  check_batch_norm_training(s);
  if (s.C == 0 || (!dx && !dgamma && !dbeta)) return;
  const Cut cut(s);
  float* const of_shares = static_cast<float*>(scratch);  // (shares, 2, C): of dy, of dy h
  const auto center = [&](int64_t c) { return mean[c]; };
  cut.for_each_piece(ctx, [&](const Piece& p, int64_t share) {
    float* const out = of_shares + 2 * share * s.C + p.first_channel;
    const Constants centers(p, center), scales(p, [&](int64_t c) { return rstd[c]; });
    gradient_sums(p, x + p.at, dy + p.at, centers.values, scales.values, out, out + s.C);
  });
  cut.for_each_channel(ctx, [&](int64_t c) {
    double sum = 0, sum_h = 0;
    for (int64_t share = 0; share < cut.shares; ++share) {
      sum += of_shares[2 * share * s.C + c];
      sum_h += of_shares[(2 * share + 1) * s.C + c];
    }
    if (dgamma) write(dgamma.data[c], sum_h, dgamma.mode);
    if (dbeta) write(dbeta.data[c], sum, dbeta.mode);
    of_shares[c] = static_cast<float>(sum / static_cast<double>(s.rows));
    of_shares[s.C + c] = static_cast<float>(sum_h / static_cast<double>(s.rows)) * rstd[c];
  });
  if (!dx) return;
  const auto gradient = dx.mode == Write::kSet ? input_gradient : input_gradient_add;
  cut.for_each_piece(ctx, [&](const Piece& p, int64_t) {
    const Constants centers(p, center), averages(p, [&](int64_t c) { return of_shares[c]; });
    const Constants averages_h(p, [&](int64_t c) { return of_shares[s.C + c]; });
    const Constants slopes(p, [&](int64_t c) { return gamma ? gamma[c] * rstd[c] : rstd[c]; });
    gradient(p, x + p.at, dy + p.at, centers.values, slopes.values, averages.values, averages_h.values, dx.data + p.at);
  });
}

}  // namespace hourglass::cpu
