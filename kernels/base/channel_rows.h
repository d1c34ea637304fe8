// SPDX-License-Identifier: Apache-2.0
// Sums over rows of channels, and maps of them with constants of each channel: what the timed float forms of the norms
// are made of. Rows of few channels are taken several at a time as one wide row, whose sums are folded in the end.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/base/types.h"

namespace hourglass::cpu {

/// Neighbouring channels of consecutive rows of x (rows, C), at most kMostChannels of them.
struct ChannelRows {
  static constexpr int kMostChannels = 256;

  int64_t at;             ///< the first value
  int64_t rows;           ///< whole wide rows
  int rest;               ///< values of one more that is not whole
  int columns, channels;  ///< of a wide row: `channels` repeat
  int64_t stride;         ///< from a wide row to the next
  int64_t first_channel;

  int width(int64_t row) const { return row < rows ? columns : rest; }
};

/// Channels [first, first + channels) of rows [begin, begin + rows).
inline ChannelRows channel_rows(int C, int64_t begin, int64_t rows, int64_t first, int channels) {
  constexpr int kWide = 64;
  const int fold = channels == C ? std::max(1, kWide / C) : 1;
  return {begin * C + first, rows / fold, static_cast<int>(rows % fold) * C, channels * fold, channels,
          int64_t{C} * fold, first};
}

/// A constant of each channel, in all of its columns: f(channel of x).
struct ChannelConstants {
  template <class F>
  ChannelConstants(const ChannelRows& p, F&& f) {
    for (int c = 0; c < p.channels; ++c) values[c] = f(p.first_channel + c);
    for (int first = p.channels; first < p.columns; first += p.channels) {
      std::copy_n(values, p.channels, values + first);
    }
  }
  float values[ChannelRows::kMostChannels];
};

// In the following x, y, dy and dx are those of the first value, p.at.

/// Mean, and sum of squared differences to it, of each channel. They are taken of blocks that stay in the cache, about
/// the block's own mean, and combined as Chan, Golub and LeVeque have it: x is read from memory once.
void channel_moments(const ChannelRows& p, const float* x, float* mean, float* squares);

/// y = (x - center) scale + shift.
void normalize_channels(const ChannelRows& p, const float* x, const ChannelConstants& center,
                        const ChannelConstants& scale, const ChannelConstants& shift, float* y);

/// Sums of dy, and of dy h with h = (x - center) scale, of each channel.
void channel_gradient_sums(const ChannelRows& p, const float* x, const float* dy, const ChannelConstants& center,
                           const ChannelConstants& scale, float* sums, float* sums_h);

/// dx = slope dy - shift - (x - center) factor.
void channel_input_gradient(const ChannelRows& p, const float* x, const float* dy, const ChannelConstants& center,
                            const ChannelConstants& slope, const ChannelConstants& shift,
                            const ChannelConstants& factor, Grad<float> dx);

}  // namespace hourglass::cpu
