// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace hourglass {

/// Extents of one image, or of a row of values: 1 x 1 x values.
struct ImageShape {
  int height = 1, width = 1, channels = 1;
  int64_t elements() const { return int64_t{height} * width * channels; }
  bool operator==(const ImageShape&) const = default;
};

/// "28 x 28 x 1".
inline std::string to_string(const ImageShape& s) {
  return std::to_string(s.height) + " x " + std::to_string(s.width) + " x " + std::to_string(s.channels);
}

}  // namespace hourglass
