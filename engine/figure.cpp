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
  Page(int64_t width, int64_t height, int channels)
      : image_{static_cast<int>(height), static_cast<int>(width), channels, {}} {
    if (width > kMaxImagePixels / height) {
      throw Error(Exit::kUsage, "figure: a page of " + std::to_string(height) + " x " + std::to_string(width) +
                                    ": expected at most " + std::to_string(kMaxImagePixels) + " pixels");
    }
    image_.pixels.assign(static_cast<size_t>(width * height * channels), 255);
  }

  // Copies one image, each of its pixels as a square of side `scale`.
  void place(const float* source, ImageShape shape, int64_t x0, int64_t y0, int64_t scale) {
    for (int64_t y = 0; y < shape.height * scale; ++y) {
      for (int64_t x = 0; x < shape.width * scale; ++x) {
        const float* from = source + (y / scale * shape.width + x / scale) * shape.channels;
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

  // Darkens the left of the page where a drawing made on white has ink.
  void overlay(const Image& ink) {
    for (int y = 0; y < ink.height; ++y) {
      for (int x = 0; x < ink.width; ++x) {
        const uint8_t* from = &ink.pixels[3 * (static_cast<size_t>(y) * ink.width + x)];
        uint8_t* to = &image_.pixels[(static_cast<size_t>(y) * image_.width + x) * image_.channels];
        for (int c = 0; c < image_.channels; ++c) to[c] = std::min(to[c], from[c]);
      }
    }
  }

  Image take() { return std::move(image_); }
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
int64_t scale_for(int64_t columns, int64_t image_width, int64_t gap, int64_t fixed, int64_t minimum) {
  const int64_t wanted = minimum - fixed - (columns - 1) * gap, natural = columns * image_width;
  return std::max<int64_t>(1, (wanted + natural - 1) / natural);
}

// Where cells are, in 64 bits: it is asked for pages that are too large, too.
struct Layout {
  int64_t columns = 1, left = 0, scale = 1, step_x = 0, step_y = 0, width = 0, height = 0;
  bool fits(const FigureOptions& options) const { return width <= options.most_pixels / height; }
};

// `blocks` blocks of `lines` rows of images, two more gaps between them; a smaller scale where the page is too large.
Layout layout_of(int64_t columns, int64_t blocks, int64_t lines, int64_t left, ImageShape shape,
                 const FigureOptions& options) {
  Layout l{.columns = columns, .left = left};
  l.scale = scale_for(columns, shape.width, options.gap, left + options.margin, options.minimum_width);
  for (;; --l.scale) {
    l.step_x = shape.width * l.scale + options.gap;
    l.step_y = shape.height * l.scale + options.gap;
    l.width = left + columns * l.step_x - options.gap + options.margin;
    l.height = 2 * options.margin + blocks * (lines * l.step_y + 2 * options.gap) - 3 * options.gap;
    if (l.scale == 1 || l.fits(options)) return l;
  }
}

Layout grid_layout(int count, ImageShape shape, const FigureOptions& options) {
  const double near_square = std::ceil(std::sqrt(static_cast<double>(count) * shape.height / shape.width));
  const int columns =
      static_cast<int>(std::clamp<double>(options.columns > 0 ? options.columns : near_square, 1, count));
  return layout_of(columns, 1, (count + columns - 1) / columns, options.margin, shape, options);
}

Layout comparison_layout(int64_t lines, double label_width, int count, ImageShape shape, const FigureOptions& options) {
  const int columns = std::min(count, options.columns > 0 ? options.columns : 10);
  const int left = options.margin + (label_width > 0 ? static_cast<int>(label_width + kLabelGap) : 0);
  return layout_of(columns, (count + columns - 1) / columns, lines, left, shape, options);
}

double label_width(std::span<const FigureRow> rows) {
  double width = 0;
  for (const FigureRow& row : rows) width = std::max(width, text_width(row.label, kLabelSize));
  return width;
}

// The largest n up to `count` whose layout(n) fits.
template <class F>
int most_that_fit(int64_t count, ImageShape shape, const FigureOptions& options, F&& layout) {
  const int64_t pixels = int64_t{shape.height} * shape.width;
  int n = static_cast<int>(std::min(count, options.most_pixels / pixels));
  while (n > 0 && !layout(n).fits(options)) --n;
  return n;
}

}  // namespace

uint8_t pixel_of(float value) {
  return value > 0 ? static_cast<uint8_t>(std::min(value, 1.f) * 255 + 0.5f) : uint8_t{0};
}

int fitting_grid(int64_t count, ImageShape shape, const FigureOptions& options) {
  return most_that_fit(count, shape, options, [&](int n) { return grid_layout(n, shape, options); });
}

int fitting_comparison(std::span<const FigureRow> rows, int64_t count, ImageShape shape, const FigureOptions& options) {
  const double labels = label_width(rows);
  return most_that_fit(count, shape, options,
                       [&](int n) { return comparison_layout(std::ssize(rows), labels, n, shape, options); });
}

Image draw_image_grid(const float* images, int count, ImageShape shape, const FigureOptions& options) {
  check(count, shape);
  const Layout l = grid_layout(count, shape, options);
  Page page(l.width, l.height, shape.channels == 3 ? 3 : 1);
  for (int i = 0; i < count; ++i) {
    page.place(images + i * shape.elements(), shape, l.left + i % l.columns * l.step_x,
               options.margin + i / l.columns * l.step_y, l.scale);
  }
  return page.take();
}

Image draw_comparison(std::span<const FigureRow> rows, int count, ImageShape shape, const FigureOptions& options) {
  check(rows.empty() ? 0 : count, shape);
  const int64_t lines = std::ssize(rows);
  const Layout l = comparison_layout(lines, label_width(rows), count, shape, options);
  Page page(l.width, l.height, shape.channels == 3 ? 3 : 1);
  Canvas ink(static_cast<int>(std::max<int64_t>(1, l.left)), page.height());
  const int64_t block_height = lines * l.step_y + 2 * options.gap;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t x = l.left + i % l.columns * l.step_x, top = options.margin + i / l.columns * block_height;
    for (int64_t line = 0; line < lines; ++line) {
      const FigureRow& row = rows[static_cast<size_t>(line)];
      const int64_t y = top + line * l.step_y;
      page.place(row.images + i * shape.elements(), shape, x, y, l.scale);
      if (i % l.columns > 0) continue;
      const double middle = static_cast<double>(y) + static_cast<double>(shape.height * l.scale) / 2;
      ink.text(static_cast<double>(l.left) - kLabelGap, middle + kLabelSize * 0.32, row.label, kLabelSize, kInk,
               Align::kRight);
    }
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
