// SPDX-License-Identifier: Apache-2.0
// The float products of conv2d_simd.cpp, one panel at a time on one thread (conv2d_blocked.cpp).
#pragma once

#include <cstdint>
#include <vector>

namespace hourglass::cpu {

inline constexpr int kConvDepth = 576;  ///< most terms of a panel: 3 x 3 taps of 64 channels
inline constexpr int kConvPanel = 48;   ///< most columns of a panel
inline constexpr int kConvNarrow = 4;   ///< most columns of the narrow forms

/// c[i][j] (+)= sum_k a[row_at[i] + depth_at[k]] panel[k][j] for `rows` rows and `columns` columns. Row i of c begins
/// at c + c_at[i]. The operand a is never copied to a matrix: that a window's element lies at the sum of where its
/// pixel and where its tap lie is what makes a convolution.
struct ConvPanel {
  int rows = 0, depth = 0, columns = 0;
  const float* a = nullptr;
  const int32_t* row_at = nullptr;
  const int32_t* depth_at = nullptr;
  const float* panel = nullptr;  ///< rows as wide as the vectors that hold `columns`
  float* c = nullptr;
  const int64_t* c_at = nullptr;
  bool add = false;
};

/// The instruction-set levels that this machine has, best first.
struct ConvLevel {
  const char* name;
  int lanes;  ///< panels are padded to a multiple
  void (*multiply)(const ConvPanel&);
  /// panel[k][j] = from[j stride + k] for `depth` rows, padded with zeros to `width`, a multiple of `lanes`.
  void (*pack)(const float* from, int64_t stride, int depth, int columns, int width, float* panel);
  /// multiply for 1 to kConvNarrow columns, vectors along the depth: the panel is transposed, panel[j][k], the depth a
  /// multiple of `lanes`, and depth_at rises by ones inside each group of `lanes`.
  void (*dot)(const ConvPanel&);
  /// multiply for 1 to kConvNarrow columns, vectors along the rows: the rows of the panel are `columns` wide, `rows` is
  /// a multiple of `lanes`, and row_at rises by ones inside each group of `lanes`.
  void (*outer)(const ConvPanel&);
};
const std::vector<ConvLevel>& conv_levels();

}  // namespace hourglass::cpu
