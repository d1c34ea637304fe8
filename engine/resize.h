// SPDX-License-Identifier: Apache-2.0
// Images of any size and 1 or 3 channels into images of one size and number of channels.
#pragma once

#include <cstdint>
#include <string>

namespace hourglass {

/// Of an image, in pixels. A number stands for a square; 0 means as stored.
struct ImageSize {
  int height = 0, width = 0;
  constexpr ImageSize() = default;
  constexpr ImageSize(int side) : height(side), width(side) {}
  constexpr ImageSize(int h, int w) : height(h), width(w) {}
  explicit operator bool() const { return height != 0; }
  bool operator==(const ImageSize&) const = default;
};

/// "64" of a square, else "48x64", height first; parse_image_size reads it back, and false is anything else.
std::string to_text(ImageSize size);
bool parse_image_size(const std::string& text, ImageSize& size);

/// What of an image is resized: the largest central part of the target's proportions, or all of it, distorted.
enum class Crop { kCenter, kNone };

/// (height, width, channels) image to (size.height, size.width, channels). Each target pixel is the mean of the area it
/// covers: shrinking does not alias, enlarging repeats pixels, and the mean of the image is kept. T = uint8_t (rounded
/// to nearest) or float.
template <class T>
void crop_and_resize(const T* source, int height, int width, int channels, ImageSize size, T* target,
                     Crop crop = Crop::kCenter);

/// Gray to RGB repeats the value; RGB to gray is luma, (299 R + 587 G + 114 B) / 1000 (ITU-R BT.601), rounded to
/// nearest for uint8_t. Equal numbers of channels: a copy.
template <class T>
void convert_channels(const T* source, int64_t pixels, int from, int to, T* target);

}  // namespace hourglass
