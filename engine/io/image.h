// SPDX-License-Identifier: Apache-2.0
// A decoded picture, as the readers of PNG and JPEG give it.
#pragma once

#include <cstdint>
#include <vector>

namespace hourglass {

struct Image {
  int height = 0;
  int width = 0;
  int channels = 1;             ///< 1 (grey) or 3 (RGB)
  std::vector<uint8_t> pixels;  ///< (height, width, channels), row-major
};

/// Images of more pixels than this are refused.
inline constexpr int64_t kMaxImagePixels = int64_t{64} << 20;

}  // namespace hourglass
