// SPDX-License-Identifier: Apache-2.0
// An antialiased drawing surface for the plots: filled rectangles, discs, round-capped strokes and text.
// Coordinates are pixels, x to the right and y *down*; pixel (i, j) covers [j, j + 1) x [i, i + 1).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/font.h"
#include "engine/io/png.h"

namespace hourglass {

/// sRGB, each component 0..255.
struct Color {
  uint8_t r = 0, g = 0, b = 0;
  friend bool operator==(const Color&, const Color&) = default;
};

inline constexpr Color kWhite = {255, 255, 255};
inline constexpr Color kInk = {45, 48, 56};          ///< text and frames
inline constexpr Color kFaintInk = {118, 124, 136};  ///< secondary text
inline constexpr Color kHairline = {229, 231, 235};  ///< grid lines

enum class Align : uint8_t { kLeft, kCenter, kRight };

class Canvas {
 public:
  Canvas(int width, int height, Color background = kWhite);

  int width() const { return width_; }
  int height() const { return height_; }

  /// Restricts what follows to a rectangle, until the next call; without arguments, to nothing but the canvas.
  void clip(double x0, double y0, double x1, double y1);
  void clip();

  void fill(double x0, double y0, double x1, double y1, Color color, double alpha = 1);
  void disc(Point center, double radius, Color color, double alpha = 1);

  /// Draws the strokes with a round pen. They count as one shape: where they overlap, alpha acts once.
  void stroke(const std::vector<Stroke>& strokes, double pen, Color color, double alpha = 1);

  /// One line of text whose base line is at y; x is its left end, middle or right end.
  void text(double x, double y, std::string_view text, double size, Color color = kInk, Align align = Align::kLeft,
            bool bold = false);

  /// The picture, RGB.
  Image image() const;

 private:
  struct Box {
    int x0, y0, x1, y1;
  };
  Box box(double x0, double y0, double x1, double y1) const;
  void blend(int x, int y, Color color, double alpha);
  void cover_segment(Point a, Point b, double pen, Box& touched);

  int width_, height_;
  std::vector<float> rgb_;
  std::vector<float> coverage_;  ///< of the shape being drawn; all zero between calls
  Box clip_;
};

/// Cuts a stroke into dashes of length `on` with gaps of length `off`.
std::vector<Stroke> dashes(const Stroke& stroke, double on, double off);

}  // namespace hourglass
