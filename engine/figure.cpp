// SPDX-License-Identifier: Apache-2.0
#include "engine/figure.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "engine/canvas.h"
#include "kernels/base/error.h"

namespace hourglass {
namespace {

constexpr double kLabelSize = 20, kLabelGap = 16;

// A white page on which images are placed in cells of one size.
class Page {
 public:
  Page(int width, int height, int channels)
      : image_{height, width, channels, std::vector<uint8_t>(static_cast<size_t>(width) * height * channels, 255)} {}

  // Copies one image, each of its pixels as a square of side `scale`.
  void place(const float* source, ImageShape shape, int x0, int y0, int scale) {
    for (int y = 0; y < shape.height * scale; ++y) {
      for (int x = 0; x < shape.width * scale; ++x) {
        const float* from = source + (int64_t{y / scale} * shape.width + x / scale) * shape.channels;
        uint8_t* to = &image_.pixels[(static_cast<size_t>(y0 + y) * image_.width + x0 + x) * image_.channels];
        for (int c = 0; c < image_.channels; ++c) to[c] = pixel_of(from[shape.channels == 3 ? c : 0]);
      }
    }
  }

  // Copies a finished picture, gray to every channel.
  void paste(const Image& picture, int x0, int y0) {
    for (int y = 0; y < picture.height; ++y) {
      for (int x = 0; x < picture.width; ++x) {
        const uint8_t* from = &picture.pixels[(static_cast<size_t>(y) * picture.width + x) * picture.channels];
        uint8_t* to = &image_.pixels[(static_cast<size_t>(y0 + y) * image_.width + x0 + x) * image_.channels];
        for (int c = 0; c < image_.channels; ++c) to[c] = from[picture.channels == 3 ? c : 0];
      }
    }
  }

  // Darkens the page where a drawing made on white has ink.
  void overlay(const Image& ink) {
    for (size_t i = 0; i < static_cast<size_t>(ink.width) * ink.height; ++i) {
      for (int c = 0; c < image_.channels; ++c) {
        uint8_t& pixel = image_.pixels[i * image_.channels + c];
        pixel = std::min(pixel, ink.pixels[3 * i + c]);
      }
    }
  }

  Image take() { return std::move(image_); }
  int width() const { return image_.width; }
  int height() const { return image_.height; }

 private:
  Image image_;
};

void check(int count, ImageShape shape) {
  if (count < 1 || shape.height < 1 || shape.width < 1 || shape.channels < 1) {
    throw Error(Exit::kInternal, "figure: expected at least one image of at least one pixel, got " +
                                     std::to_string(count) + " of " + std::to_string(shape.height) + " x " +
                                     std::to_string(shape.width) + " x " + std::to_string(shape.channels));
  }
}

// Least whole scale at which `columns` images, their gaps and `fixed` pixels make a width of `minimum`.
int scale_for(int columns, int image_width, int gap, int fixed, int minimum) {
  const int wanted = minimum - fixed - (columns - 1) * gap, natural = columns * image_width;
  return std::max(1, (wanted + natural - 1) / natural);
}

}  // namespace

uint8_t pixel_of(float value) {
  return value > 0 ? static_cast<uint8_t>(std::min(value, 1.f) * 255 + 0.5f) : uint8_t{0};
}

Image draw_image_grid(const float* images, int count, ImageShape shape, const FigureOptions& options) {
  check(count, shape);
  const double near_square = std::ceil(std::sqrt(static_cast<double>(count) * shape.height / shape.width));
  const int columns = std::clamp(options.columns > 0 ? options.columns : static_cast<int>(near_square), 1, count);
  const int rows = (count + columns - 1) / columns;
  const int scale = scale_for(columns, shape.width, options.gap, 2 * options.margin, options.minimum_width);
  const int step_x = shape.width * scale + options.gap, step_y = shape.height * scale + options.gap;
  Page page(2 * options.margin + columns * step_x - options.gap, 2 * options.margin + rows * step_y - options.gap,
            shape.channels == 3 ? 3 : 1);
  const int64_t stride = int64_t{shape.height} * shape.width * shape.channels;
  for (int i = 0; i < count; ++i) {
    page.place(images + i * stride, shape, options.margin + i % columns * step_x, options.margin + i / columns * step_y,
               scale);
  }
  return page.take();
}

Image draw_comparison(std::span<const FigureRow> rows, int count, ImageShape shape, const FigureOptions& options) {
  check(rows.empty() ? 0 : count, shape);
  const int columns = std::min(count, options.columns > 0 ? options.columns : 10);
  const int blocks = (count + columns - 1) / columns, lines = static_cast<int>(rows.size());
  double label_width = 0;
  for (const FigureRow& row : rows) label_width = std::max(label_width, text_width(row.label, kLabelSize));
  const int left = options.margin + (label_width > 0 ? static_cast<int>(label_width + kLabelGap) : 0);
  const int scale = scale_for(columns, shape.width, options.gap, left + options.margin, options.minimum_width);
  const int step_x = shape.width * scale + options.gap, step_y = shape.height * scale + options.gap;
  const int block_gap = 3 * options.gap;
  const int block_height = lines * step_y - options.gap;

  Page page(left + columns * step_x - options.gap + options.margin,
            2 * options.margin + blocks * (block_height + block_gap) - block_gap, shape.channels == 3 ? 3 : 1);
  Canvas ink(page.width(), page.height());
  const int64_t stride = int64_t{shape.height} * shape.width * shape.channels;
  for (int line = 0; line < blocks * lines; ++line) {
    const FigureRow& row = rows[static_cast<size_t>(line % lines)];
    const int block = line / lines, y = options.margin + block * (block_height + block_gap) + line % lines * step_y;
    for (int j = 0; j < columns && block * columns + j < count; ++j) {
      page.place(row.images + (block * columns + j) * stride, shape, left + j * step_x, y, scale);
    }
    ink.text(left - kLabelGap, y + shape.height * scale / 2.0 + kLabelSize * 0.32, row.label, kLabelSize, kInk,
             Align::kRight);
  }
  page.overlay(ink.image());
  return page.take();
}

Image join_images(std::span<const Image> images, int columns, int gap) {
  if (images.empty() || columns < 1) throw Error(Exit::kInternal, "figure: no picture to join");
  const size_t across = std::min(static_cast<size_t>(columns), images.size());
  std::vector<int> widths(across), heights((images.size() + across - 1) / across);
  int channels = 1;
  for (size_t i = 0; i < images.size(); ++i) {
    widths[i % across] = std::max(widths[i % across], images[i].width);
    heights[i / across] = std::max(heights[i / across], images[i].height);
    channels = std::max(channels, images[i].channels);
  }
  const auto extent = [&](const std::vector<int>& cells) {
    return std::accumulate(cells.begin(), cells.end(), 0) + gap * (static_cast<int>(cells.size()) - 1);
  };
  Page page(extent(widths), extent(heights), channels);
  int y = 0;
  for (size_t row = 0; row < heights.size(); y += heights[row++] + gap) {
    int x = 0;
    for (size_t column = 0; column < across; x += widths[column++] + gap) {
      if (row * across + column < images.size()) page.paste(images[row * across + column], x, y);
    }
  }
  return page.take();
}

}  // namespace hourglass
