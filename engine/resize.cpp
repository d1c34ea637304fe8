// SPDX-License-Identifier: Apache-2.0
#include "engine/resize.h"

#include <algorithm>
#include <charconv>
#include <type_traits>
#include <vector>

namespace hourglass {
namespace {

// Weights of the source pixels of each target pixel along one axis: the central `cropped` of `extent` source pixels
// onto `size` target pixels.
struct Coverage {
  int first;
  std::vector<float> weights;
};

std::vector<Coverage> coverage(int extent, int cropped, int size) {
  std::vector<Coverage> result;
  const double step = static_cast<double>(cropped) / size, offset = (extent - cropped) / 2;
  for (int i = 0; i < size; ++i) {
    const double from = offset + i * step, to = from + step;
    Coverage c{std::min(static_cast<int>(from), extent - 1), {}};
    for (int j = c.first; j < extent && (j < to || c.weights.empty()); ++j) {
      const double covered = std::min(to, j + 1.0) - std::max(from, static_cast<double>(j));
      c.weights.push_back(static_cast<float>(std::max(covered, 0.0) / step));
    }
    result.push_back(std::move(c));
  }
  return result;
}

// The largest part of an image of `height` x `width` with the proportions of `size`.
ImageSize cropped_size(int height, int width, ImageSize size) {
  const int64_t fitting_width = std::max<int64_t>(1, int64_t{height} * size.width / size.height);
  if (fitting_width <= width) return {height, static_cast<int>(fitting_width)};
  return {static_cast<int>(std::clamp<int64_t>(int64_t{width} * size.height / size.width, 1, height)), width};
}

// Contiguous, so that the compiler vectorizes it: the weighted sum of the rows of one target row.
template <class T>
void sum_rows(const T* source, int64_t row, const Coverage& rows, float* sum) {
  std::fill_n(sum, row, 0.0f);
  for (size_t i = 0; i < rows.weights.size(); ++i) {
    const T* const line = source + (rows.first + static_cast<int64_t>(i)) * row;
    const float weight = rows.weights[i];
    for (int64_t j = 0; j < row; ++j) sum[j] += weight * static_cast<float>(line[j]);
  }
}

template <class T>
T rounded(float value) {
  if constexpr (std::is_same_v<T, uint8_t>) return static_cast<uint8_t>(std::min(value + 0.5f, 255.f));
  return static_cast<T>(value);
}

bool parse_side(const char* first, const char* last, int& side) {
  const auto [end, code] = std::from_chars(first, last, side);
  return code == std::errc() && end == last;
}

}  // namespace

std::string to_text(ImageSize size) {
  const std::string height = std::to_string(size.height);
  return size.height == size.width ? height : height + "x" + std::to_string(size.width);
}

bool parse_image_size(const std::string& text, ImageSize& size) {
  const char *const first = text.data(), *const last = first + text.size();
  const size_t x = text.find('x');
  if (x == std::string::npos) {
    size.width = 0;
    if (!parse_side(first, last, size.height)) return false;
    size.width = size.height;
    return true;
  }
  return parse_side(first, first + x, size.height) && parse_side(first + x + 1, last, size.width);
}

template <class T>
void crop_and_resize(const T* source, int height, int width, int channels, ImageSize size, T* target, Crop crop) {
  const ImageSize part = crop == Crop::kNone ? ImageSize{height, width} : cropped_size(height, width, size);
  const std::vector<Coverage> rows = coverage(height, part.height, size.height);
  const std::vector<Coverage> columns = coverage(width, part.width, size.width);
  std::vector<float> line(static_cast<size_t>(width) * static_cast<size_t>(channels));
  for (const Coverage& row : rows) {
    sum_rows(source, static_cast<int64_t>(line.size()), row, line.data());
    for (const Coverage& column : columns) {
      const float* const from = line.data() + int64_t{column.first} * channels;
      for (int c = 0; c < channels; ++c) {
        float sum = 0;
        for (size_t j = 0; j < column.weights.size(); ++j) {
          sum += column.weights[j] * from[static_cast<int64_t>(j) * channels + c];
        }
        *target++ = rounded<T>(sum);
      }
    }
  }
}
template void crop_and_resize(const uint8_t*, int, int, int, ImageSize, uint8_t*, Crop);
template void crop_and_resize(const float*, int, int, int, ImageSize, float*, Crop);

template <class T>
void convert_channels(const T* source, int64_t pixels, int from, int to, T* target) {
  if (from == to) {
    std::copy_n(source, pixels * from, target);
    return;
  }
  for (int64_t p = 0; p < pixels; ++p) {
    if (to == 3) {
      std::fill_n(target + 3 * p, 3, source[p]);
    } else if constexpr (std::is_same_v<T, uint8_t>) {
      const uint8_t* const rgb = source + 3 * p;
      target[p] = static_cast<uint8_t>((299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2] + 500) / 1000);
    } else {
      const T* const rgb = source + 3 * p;
      target[p] = (T{299} * rgb[0] + T{587} * rgb[1] + T{114} * rgb[2]) / T{1000};
    }
  }
}
template void convert_channels(const uint8_t*, int64_t, int, int, uint8_t*);
template void convert_channels(const float*, int64_t, int, int, float*);

}  // namespace hourglass
