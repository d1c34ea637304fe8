// SPDX-License-Identifier: Apache-2.0
// The lettering of the plots: our own small stroke font. A glyph is a few lines and arcs, so it is drawn with the same
// antialiased pen as the curves, at any size, and no font file is needed.
#pragma once

#include <string_view>
#include <vector>

namespace hourglass {

struct Point {
  double x = 0, y = 0;
};

/// A connected pen stroke; one point is a dot.
using Stroke = std::vector<Point>;

/// Strokes of one line of text of cap height 0.7 * size: x to the right from 0, y *up* from the base line.
/// Covers printable ASCII; any other UTF-8 character is drawn as an empty box.
std::vector<Stroke> text_strokes(std::string_view text, double size);

/// Width of that line, without the space after the last letter.
double text_width(std::string_view text, double size);

}  // namespace hourglass
