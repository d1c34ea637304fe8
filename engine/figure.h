// SPDX-License-Identifier: Apache-2.0
// Pictures of pictures: samples and reconstructions laid out on white, scaled by a whole number so that every pixel of
// a small image stays a crisp square. 3 channels are red, green, blue; of any other number the first is drawn, in gray.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "engine/image_shape.h"
#include "engine/io/png.h"

namespace hourglass {

struct FigureOptions {
  int columns = 0;                        ///< images a row; 0: about as wide as high
  int gap = 6;                            ///< white pixels between images, after scaling; 0 for a decoded manifold
  int margin = 14;                        ///< white pixels around
  int minimum_width = 600;                ///< the scale is the least whole number that makes the figure this wide
  int64_t most_pixels = kMaxImagePixels;  ///< the scale is smaller where this is passed
};

// A figure of more pixels than a PNG may have is Error(kUsage), before it is allocated; no image at all is kInternal.

/// `count` images (count, H, W, C) in [0, 1], row by row. Values outside are clamped; NaN is black.
Image draw_image_grid(const float* images, int count, ImageShape shape, const FigureOptions& options = {});

/// One row of a comparison: what it shows, and as many images as the other rows.
struct FigureRow {
  std::string label;
  const float* images = nullptr;
};

/// Rows above one another, image n of each in the same column: input and reconstruction. More images than
/// `options.columns` (0: ten at most) continue in a further block of rows. Labels stand at the left.
Image draw_comparison(std::span<const FigureRow> rows, int count, ImageShape shape, const FigureOptions& options = {});

/// How many images of this shape, `count` at most, make a figure of no more than options.most_pixels; 0: not even one.
int fitting_grid(int64_t count, ImageShape shape, const FigureOptions& options = {});
/// The same of draw_comparison, each row with so many images; their values are not looked at.
int fitting_comparison(std::span<const FigureRow> rows, int64_t count, ImageShape shape,
                       const FigureOptions& options = {});

/// Finished pictures as a page of `columns`, row by row, on white; each at the top left of a cell as wide as its column
/// and as high as its row need. RGB if any of them is.
Image join_images(std::span<const Image> images, int columns, int gap = 24);

/// 0..1 to 0..255, to nearest; NaN is 0.
uint8_t pixel_of(float value);

}  // namespace hourglass
