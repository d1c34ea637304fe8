// SPDX-License-Identifier: Apache-2.0
// How conv2d_wgmma.cu cuts a forward convolution, and which ones it takes: functions of shapes alone.
//
// A block computes 128 output pixels, a box of n images, p rows and q columns, each a power of two, so that for every
// tap of the window and every 64 channels one copy of a box of x brings what the sums need: the copy engine steps by
// the stride, and fills in zeros for the padding. Pixels of a box that lie outside of y are computed and not stored.
#pragma once

#include <algorithm>

#include "kernels/base/conv2d_gather.h"
#include "kernels/base/gemm_cut.h"
#include "kernels/gemm.h"

namespace hourglass {

inline constexpr int kBoxPixels = 128, kBoxChannels = 64;

/// The copy engine wants runs of 16 bytes and steps of at most 8; how far an image is from the next in bytes has 40
/// bits.
inline bool conv2d_wgmma_accepts(const Conv2dShape& s) {
  const bool empty = std::min({s.N, s.H, s.W, s.C, s.P, s.Q, s.K, s.R, s.S}) < 1;
  return !empty && s.C % 8 == 0 && std::max(s.stride_h, s.stride_w) <= 8 && 2.0 * s.H * s.W * s.C < 0x1p40 &&
         2.0 * s.R * s.S * s.C < 0x1p40;
}

/// c = a b^T is a convolution of one row of M pixels with a window of one.
inline bool gemm_is_conv2d(const GemmShape& s) { return !s.transpose_a && s.transpose_b; }
inline Conv2dShape conv2d_of_gemm(const GemmShape& s) {
  Conv2dShape conv;
  conv.N = conv.H = conv.P = conv.R = conv.S = 1;
  conv.W = conv.Q = s.M;
  conv.C = s.K;
  conv.K = s.N;
  return conv;
}

/// Output pixels of a block.
struct PixelBox {
  int q = 1, p = 1, n = kBoxPixels;
  int64_t boxes(const Conv2dShape& s) const {
    using gpu::detail::divide_up;
    return int64_t{divide_up(s.Q, q)} * divide_up(s.P, p) * divide_up(s.N, n);
  }
};

/// The fewest boxes; among equals the widest. A box may pass over 256 elements of x along an axis.
inline PixelBox pixel_box(const Conv2dShape& s) {
  constexpr int kMostPassed = 256;
  PixelBox best;
  for (int q = 1; q <= kBoxPixels && q * s.stride_w <= kMostPassed; q *= 2) {
    for (int p = 1; p * q <= kBoxPixels && p * s.stride_h <= kMostPassed; p *= 2) {
      const PixelBox box{q, p, kBoxPixels / (p * q)};
      if (box.boxes(s) < best.boxes(s) || (box.boxes(s) == best.boxes(s) && q >= best.q)) best = box;
    }
  }
  return best;
}

/// Columns of a block.
inline int wgmma_columns(gpu::TileSize tile) {
  return tile == gpu::TileSize::kSmall ? 64 : tile == gpu::TileSize::kMedium ? 128 : 256;
}
/// The widest tile reads each operand least often, but is alone on its multiprocessor: for two rounds of them or more.
inline gpu::TileSize conv2d_wgmma_tile(const Conv2dShape& s) {
  if (s.K <= 64) return gpu::TileSize::kSmall;
  const int64_t wide = pixel_box(s).boxes(s) * gpu::detail::divide_up(s.K, 256);
  const bool fills = s.K % 256 == 0 && wide >= 2 * gpu::detail::kMultiprocessors;
  return fills ? gpu::TileSize::kLarge : gpu::TileSize::kMedium;
}
/// Whether the tiles are enough for half of a card, and no more is computed in vain, in channels, columns and pixels
/// beyond the last, than the faster instruction makes up for: up to as much again. A guess until a card has timed it.
inline bool conv2d_wgmma_pays(const Conv2dShape& s) {
  using gpu::detail::divide_up;
  const int columns = wgmma_columns(conv2d_wgmma_tile(s));
  const int64_t blocks = pixel_box(s).boxes(s) * divide_up(s.K, columns);
  const double done =
      1.0 * static_cast<double>(blocks) * kBoxPixels * columns * divide_up(s.C, kBoxChannels) * kBoxChannels;
  return blocks >= gpu::detail::kMultiprocessors / 2 && done <= 2.0 * s.N * s.P * s.Q * s.K * s.C;
}

/// The blocks of one launch. Bands of kBand boxes take all their columns before the next band begins, so that what runs
/// at a time shares both operands in the cache.
struct Conv2dBoxCut {
  static constexpr int kBand = 16;
  int down = 0, across = 0;  ///< boxes; tiles of columns
  int q = 1, p = 1, n = 1;   ///< of a box; powers of two
  int q_shift = 0, p_shift = 0;
  int channel_blocks = 0;
  Divisor by_q, by_p, by_band, by_channels, by_window;

  Conv2dBoxCut() = default;
  Conv2dBoxCut(const Conv2dShape& s, int columns) {
    using gpu::detail::divide_up;
    const PixelBox box = pixel_box(s);
    q = box.q, p = box.p, n = box.n;
    while (1 << q_shift < q) ++q_shift;
    while (1 << p_shift < p) ++p_shift;
    down = static_cast<int>(box.boxes(s));
    across = divide_up(s.K, columns);
    channel_blocks = divide_up(s.C, kBoxChannels);
    by_q = Divisor(divide_up(s.Q, q));
    by_p = Divisor(divide_up(s.P, p));
    by_band = Divisor(kBand * across);
    by_channels = Divisor(channel_blocks);
    by_window = Divisor(s.S);
  }
  int64_t blocks() const { return int64_t{down} * across; }

  struct Place {
    int n, p, q;  ///< the box's first pixel
    int column;   ///< tile of columns
  };
  HOURGLASS_HD Place place(int block) const {
    int inside, column_tile;
    const int band = by_band.divide(block, &inside), first = band * kBand;
    const int rows = down - first < kBand ? down - first : kBand;
    column_tile = inside / rows;
    int rest = first + inside % rows, at_q, at_p;
    rest = by_q.divide(rest, &at_q);
    rest = by_p.divide(rest, &at_p);
    return {rest * n, at_p * p, at_q * q, column_tile};
  }
};

}  // namespace hourglass
