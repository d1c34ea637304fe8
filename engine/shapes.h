// SPDX-License-Identifier: Apache-2.0
// The data set that needs no files: one light shape on black, drawn from known factors of variation. Image `index` of a
// seed is a function of the two (Philox), so any image can be drawn alone, in any order, on any machine.
//
//   shape       one of kShapeClasses, uniform; the label
//   scale       radius as a share of the image's side, uniform in [0.14, 0.34]
//   rotation    turns, uniform in [0, 1)
//   x, y        center as a share of the side, uniform where the shape stays inside the image
//   brightness  gray value of the shape, uniform in [0.5, 1]
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hourglass {

inline constexpr int kShapeClasses = 8;

/// "disc", "ring", "square", "triangle", "cross", "star", "heart", "crescent".
const std::vector<std::string>& shape_names();

struct ShapeFactors {
  int shape = 0;
  float scale = 0, rotation = 0, x = 0, y = 0, brightness = 1;
};

ShapeFactors shape_factors(uint32_t seed, int32_t index);

/// Draws into `image` (size, size), antialiased: a pixel's value is brightness times the share of it that is covered.
void draw_shape(const ShapeFactors& factors, int size, uint8_t* image);

}  // namespace hourglass
