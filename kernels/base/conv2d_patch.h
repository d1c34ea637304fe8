// SPDX-License-Identifier: Apache-2.0
// The geometry of the float convolution (conv2d_simd.cpp). Forward, and each phase of the gradient of the input, is a
// correlation: position (i, j) of a grid reads a source image at (i step + shift_h, j step + shift_w) for each tap, and
// writes an output image at (i out_step + phase_h, j out_step + phase_w). The work is cut into blocks of the grid; the
// part of the source that a block reads is copied to a patch, with zeros where it lies outside the image, so that the
// inner loops know no borders.
#pragma once

#include <cstdint>

#include "kernels/base/conv2d_tile.h"
#include "kernels/conv2d.h"

namespace hourglass::cpu {

inline constexpr int kConvTaps = 64;        ///< most taps in one direction
inline constexpr int kConvPatch = 1 << 16;  ///< floats of a patch: a quarter of a second-level cache of 1 MiB
inline constexpr int kConvPixels = 2048;    ///< most positions of a block

/// The taps of one direction that a phase meets, by rising shift.
struct ConvTaps {
  int count = 0;
  int index[kConvTaps];  ///< row (or column) of the weight
  int shift[kConvTaps];
};

/// One direction of a correlation.
struct ConvSide {
  int source = 0, out = 0;  ///< extents of the images
  int step = 1, out_step = 1;
  int window = 1, dilation = 1, pad = 0;
  bool transposed = false;
  /// Over all phases: the least shift, the extent from it to the greatest, and the most taps. Set by `measure`.
  int low = 0, reach = 1, most_taps = 1;

  bool measure();
  ConvTaps taps(int phase) const;
  /// Positions of a phase.
  int grid(int phase) const { return out <= phase ? 0 : (out - phase - 1) / out_step + 1; }
};

/// A block of the grid, the same in every phase.
struct ConvBlock {
  int n, images, row, rows, column, columns;
};

struct Correlation {
  ConvSide h, w;
  int N = 0, in = 0, out = 0;  ///< samples; channels of the source and of the output
  const float* source = nullptr;
  const float* weight = nullptr;
  int64_t weight_in = 0, weight_out = 0, weight_tap = 0;  ///< strides of the weight
  /// Of a block, and the channels of the source that a patch holds at a time; 0: too large a window.
  int images = 0, rows = 0, columns = 0, channels = 0;

  static Correlation forward(const Conv2dShape& s, const float* x, const float* w);
  static Correlation backward_input(const Conv2dShape& s, const float* y, const float* w);

  bool fits() const { return channels > 0; }
  int blocks() const;
  ConvBlock block(int index) const;

 private:
  void cut();
  int64_t patch_floats(int n, int i, int j) const;
};

/// Memory of one block, on the stack of its thread.
struct ConvPatch {
  alignas(64) float source[kConvPatch];
  alignas(64) float panel[kConvDepth * kConvPanel];
  int32_t pixel_at[kConvPixels];  ///< of a position in `source`
  int64_t out_at[kConvPixels];    ///< of a position in the output image
  int32_t tap_at[kConvDepth];     ///< of (tap, channel), relative to a position
  int pixels = 0, depth = 0;
  int height = 0, row_floats = 0;  ///< rows of an image in `source`, floats of a row

  /// Copies `count` channels from `first` of all that the block reads, in any phase.
  void gather(const Correlation& c, const ConvBlock& block, int first, int count);
  /// Says where the positions and taps of a phase lie in a patch of `count` channels.
  void place(const Correlation& c, const ConvBlock& block, int phase_h, int phase_w, const ConvTaps& rows,
             const ConvTaps& columns, int count);
};

}  // namespace hourglass::cpu
