// SPDX-License-Identifier: Apache-2.0
// Plain arrays at the border of the library.
#pragma once

#include <cstdint>
#include <vector>

namespace hourglass {

/// Rows of numbers on the host, row-major.
struct Matrix {
  int64_t rows = 0;
  int cols = 0;
  std::vector<float> values;  ///< rows * cols

  Matrix() = default;
  Matrix(int64_t r, int c) : rows(r), cols(c), values(static_cast<size_t>(r) * static_cast<size_t>(c)) {}
  float* row(int64_t i) { return values.data() + i * cols; }
  const float* row(int64_t i) const { return values.data() + i * cols; }
};

}  // namespace hourglass
