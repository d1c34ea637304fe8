// SPDX-License-Identifier: Apache-2.0
#include "kernels/base/channel_rows.h"

namespace hourglass::cpu {
namespace {

constexpr int kMost = ChannelRows::kMostChannels;
constexpr int kBlockRows = 128;  // wide rows summed before their sums join the total

/// sums[c] += the columns of channel c, for all columns.
HOURGLASS_INLINE void fold_columns(const ChannelRows& p, const float* columns, float* sums) {
  for (int first = 0; first < p.columns; first += p.channels) {
    for (int c = 0; c < p.channels; ++c) sums[c] += columns[first + c];
  }
}

HOURGLASS_INLINE int64_t rows_with_rest(const ChannelRows& p) { return p.rows + (p.rest > 0); }

HOURGLASS_SIMD void moments(const ChannelRows& p, const float* __restrict x, float* __restrict mean,
                            float* __restrict squares) {
  float columns[kMost], center[kMost], sums[kMost];
  std::fill_n(mean, p.channels, 0.0f);
  std::fill_n(squares, p.channels, 0.0f);
  const int fold = p.columns / p.channels;
  const int64_t all = rows_with_rest(p);
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
    for (int at = 0; at < p.columns; at += p.channels) std::copy_n(sums, p.channels, center + at);
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

HOURGLASS_SIMD void normalize(const ChannelRows& p, const float* __restrict x, const float* __restrict center,
                              const float* __restrict scale, const float* __restrict shift, float* __restrict y) {
  for (int64_t r = 0; r <= p.rows; ++r) {
    const float* const row = x + r * p.stride;
    float* const out = y + r * p.stride;
    for (int j = 0, n = p.width(r); j < n; ++j) out[j] = (row[j] - center[j]) * scale[j] + shift[j];
  }
}

HOURGLASS_SIMD void gradient_sums(const ChannelRows& p, const float* __restrict x, const float* __restrict dy,
                                  const float* __restrict center, const float* __restrict scale, float* __restrict sums,
                                  float* __restrict sums_h) {
  float columns[kMost], columns_h[kMost];
  std::fill_n(sums, p.channels, 0.0f);
  std::fill_n(sums_h, p.channels, 0.0f);
  const int64_t all = rows_with_rest(p);
  for (int64_t first = 0; first < all; first += kBlockRows) {
    std::fill_n(columns, p.columns, 0.0f);
    std::fill_n(columns_h, p.columns, 0.0f);
    for (int64_t r = first; r < std::min(all, first + kBlockRows); ++r) {
      const float *const row = x + r * p.stride, *const d = dy + r * p.stride;
      for (int j = 0, n = p.width(r); j < n; ++j) {
        columns[j] += d[j];
        columns_h[j] += d[j] * ((row[j] - center[j]) * scale[j]);
      }
    }
    fold_columns(p, columns, sums);
    fold_columns(p, columns_h, sums_h);
  }
}

template <bool kAdd>
HOURGLASS_INLINE void gradient_rows(const ChannelRows& p, const float* __restrict x, const float* __restrict dy,
                                    const float* __restrict center, const float* __restrict slope,
                                    const float* __restrict shift, const float* __restrict factor,
                                    float* __restrict dx) {
  for (int64_t r = 0; r <= p.rows; ++r) {
    const float *const row = x + r * p.stride, *const d = dy + r * p.stride;
    float* const out = dx + r * p.stride;
    for (int j = 0, n = p.width(r); j < n; ++j) {
      const float value = slope[j] * d[j] - shift[j] - (row[j] - center[j]) * factor[j];
      out[j] = kAdd ? out[j] + value : value;
    }
  }
}

HOURGLASS_SIMD void input_gradient(const ChannelRows& p, const float* x, const float* dy, const float* center,
                                   const float* slope, const float* shift, const float* factor, Grad<float> dx) {
  if (dx.mode == Write::kSet) {
    gradient_rows<false>(p, x, dy, center, slope, shift, factor, dx.data);
  } else {
    gradient_rows<true>(p, x, dy, center, slope, shift, factor, dx.data);
  }
}

}  // namespace

void channel_moments(const ChannelRows& p, const float* x, float* mean, float* squares) {
  moments(p, x, mean, squares);
}

void normalize_channels(const ChannelRows& p, const float* x, const ChannelConstants& center,
                        const ChannelConstants& scale, const ChannelConstants& shift, float* y) {
  normalize(p, x, center.values, scale.values, shift.values, y);
}

void channel_gradient_sums(const ChannelRows& p, const float* x, const float* dy, const ChannelConstants& center,
                           const ChannelConstants& scale, float* sums, float* sums_h) {
  gradient_sums(p, x, dy, center.values, scale.values, sums, sums_h);
}

void channel_input_gradient(const ChannelRows& p, const float* x, const float* dy, const ChannelConstants& center,
                            const ChannelConstants& slope, const ChannelConstants& shift,
                            const ChannelConstants& factor, Grad<float> dx) {
  input_gradient(p, x, dy, center.values, slope.values, shift.values, factor.values, dx);
}

}  // namespace hourglass::cpu
