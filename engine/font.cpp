// SPDX-License-Identifier: Apache-2.0
#include "engine/font.h"

#include <charconv>
#include <cmath>
#include <numbers>

namespace hourglass {
namespace {

// Units: cap height 14, height of a small x 10, descender -4, em 20.
// Pen language: M x y moves, L x y draws a line, Q cx cy x y a quadratic curve,
// A cx cy rx ry from to an elliptic arc in degrees (joined to the stroke so far), O cx cy rx ry a whole ellipse.
struct Glyph {
  double width;
  const char* pen;
};

constexpr double kUnitsPerEm = 20;
constexpr double kLetterSpace = 3.1;

constexpr Glyph kGlyphs[] = {
    {2.6, ""},                                                                                       // space
    {0, "M0 14L0 4.6M0 0.3L0 0"},                                                                    // !
    {3, "M0 14L0 10M3 14L3 10"},                                                                     // "
    {9, "M3.4 14L1.6 0M7.4 14L5.6 0M0.6 9.4L9 9.4M0 4.6L8.4 4.6"},                                   // #
    {8, "A4.1 10 3.5 2.9 35 270A4.1 3.8 3.9 3.3 90 -150M4.1 15.4L4.1 -1.4"},                         // $
    {12, "O2.6 11 2.6 3O9.4 3 2.6 3M10 14L2 0"},                                                     // %
    {10.4, "M10.2 0L3 8.8A4.6 11.2 2.5 2.8 215 -45L2.2 6.7A3.8 3.6 3.8 3.6 115 300L10 6.4"},         // &
    {0, "M0 14L0 10"},                                                                               // '
    {3.4, "M3.4 15.5Q0 11.5 0 6Q0 0.5 3.4 -3.5"},                                                    // (
    {3.4, "M0 15.5Q3.4 11.5 3.4 6Q3.4 0.5 0 -3.5"},                                                  // )
    {6, "M3 14L3 8M0.4 12.5L5.6 9.5M5.6 12.5L0.4 9.5"},                                              // *
    {8, "M4 10.4L4 2.4M0 6.4L8 6.4"},                                                                // +
    {0.6, "M0.6 0.3L0 -2.4"},                                                                        // ,
    {5, "M0 5.4L5 5.4"},                                                                             // -
    {0, "M0 0.3L0 0"},                                                                               // .
    {6, "M6 14.6L0 -1.6"},                                                                           // /
    {8, "A4 9.5 4 4.5 180 0A4 4.5 4 4.5 0 -180L0 9.5"},                                              // 0
    {8, "M1.2 11.2L5 14L5 0"},                                                                       // 1
    {8, "A4 10 4 4 165 -43L0 0L8 0"},                                                                // 2
    {8, "A3.8 10.6 3.5 3.4 155 -90L2.6 7.2M3.8 7.2A3.8 3.6 4.2 3.6 90 -160"},                        // 3
    {8, "M6 0L6 14L0 4.2L8.2 4.2"},                                                                  // 4
    {8, "M7.2 14L1.5 14L0.9 7.5A3.9 4.5 4.1 4.5 137 -158"},                                          // 5
    {8, "M6.8 14Q0 10.6 0 4.4O4 4.4 4 4.4"},                                                         // 6
    {8, "M0 14L8 14L3 0"},                                                                           // 7
    {8, "O4 10.6 3.4 3.4O4 3.6 4 3.6"},                                                              // 8
    {8, "M1.2 0Q8 3.4 8 9.6O4 9.6 4 4.4"},                                                           // 9
    {0, "M0 8.3L0 8M0 0.3L0 0"},                                                                     // :
    {0.6, "M0.6 8.3L0.6 8M0.6 0.3L0 -2.4"},                                                          // ;
    {7, "M7 10.4L0 6.4L7 2.4"},                                                                      // <
    {8, "M0 8.4L8 8.4M0 4.4L8 4.4"},                                                                 // =
    {7, "M0 10.4L7 6.4L0 2.4"},                                                                      // >
    {7, "A3.5 10.5 3.5 3.5 170 -40Q3.5 6.4 3.5 4M3.5 0.3L3.5 0"},                                    // ?
    {13, "O6.5 5.2 2.7 3M9.2 8.2L9.2 4Q9.4 2.2 11 2.4Q13 3 13 6A6.5 6 6.5 7.4 0 300"},               // @
    {10, "M0 0L5 14L10 0M1.8 5L8.2 5"},                                                              // A
    {8.5, "M4.6 7.2L0 7.2M0 0L0 14L4.6 14A4.6 10.6 3.4 3.4 90 -90A4.6 3.6 3.9 3.6 90 -90L0 0"},      // B
    {9.6, "A5.6 7 5.6 7 45 315"},                                                                    // C
    {9.6, "M0 0L0 14L3 14A3 7 6.6 7 90 -90L0 0"},                                                    // D
    {7.4, "M7.4 14L0 14L0 0L7.4 0M0 7.2L6.5 7.2"},                                                   // E
    {7.2, "M7.2 14L0 14L0 0M0 7L6.2 7"},                                                             // F
    {10.3, "A5.6 7 5.6 7 45 325L10.2 6.8L6.2 6.8"},                                                  // G
    {9, "M0 0L0 14M9 0L9 14M0 7.2L9 7.2"},                                                           // H
    {0, "M0 0L0 14"},                                                                                // I
    {5.6, "M5.6 14L5.6 4A2.6 3.8 3 3.8 0 -150"},                                                     // J
    {8.6, "M0 0L0 14M8.2 14L0 5.4M2.9 8.4L8.6 0"},                                                   // K
    {7, "M0 14L0 0L7 0"},                                                                            // L
    {11, "M0 0L0 14L5.5 3L11 14L11 0"},                                                              // M
    {9, "M0 0L0 14L9 0L9 14"},                                                                       // N
    {11.2, "O5.6 7 5.6 7"},                                                                          // O
    {8.2, "M0 0L0 14L4.4 14A4.4 10.2 3.8 3.8 90 -90L0 6.4"},                                         // P
    {11.2, "O5.6 7 5.6 7M7 3.6L10.8 -0.8"},                                                          // Q
    {8.6, "M0 0L0 14L4.4 14A4.4 10.4 3.8 3.6 90 -90L0 6.8M4.5 6.8L8.6 0"},                           // R
    {8.2, "A4.1 10.5 3.7 3.5 35 270A4.1 3.5 4.1 3.5 90 -150"},                                       // S
    {9.6, "M0 14L9.6 14M4.8 14L4.8 0"},                                                              // T
    {9, "M0 14L0 4.8A4.5 4.8 4.5 4.8 180 360L9 14"},                                                 // U
    {10, "M0 14L5 0L10 14"},                                                                         // V
    {14, "M0 14L3.5 0L7 13L10.5 0L14 14"},                                                           // W
    {9, "M0 14L9 0M9 14L0 0"},                                                                       // X
    {9.6, "M0 14L4.8 6.6L9.6 14M4.8 6.6L4.8 0"},                                                     // Y
    {8.8, "M0.4 14L8.5 14L0 0L8.8 0"},                                                               // Z
    {3, "M3 15.5L0 15.5L0 -3.5L3 -3.5"},                                                             // [
    {6, "M0 14.6L6 -1.6"},                                                                           // backslash
    {3, "M0 15.5L3 15.5L3 -3.5L0 -3.5"},                                                             // ]
    {7, "M0 8.6L3.5 14L7 8.6"},                                                                      // ^
    {8, "M0 -3L8 -3"},                                                                               // _
    {2, "M0 14.4L2 11.8"},                                                                           // `
    {7.5, "O3.75 5 3.75 5M7.5 10L7.5 0"},                                                            // a
    {7.5, "M0 14.5L0 0O3.75 5 3.75 5"},                                                              // b
    {6.7, "A4 5 4 5 48 312"},                                                                        // c
    {7.5, "O3.75 5 3.75 5M7.5 14.5L7.5 0"},                                                          // d
    {7.6, "M0.1 5.1L7.6 5.1A3.8 5 3.8 5 2 318"},                                                     // e
    {4.6, "M1.6 0L1.6 11.4A4.4 11.4 2.8 3.1 180 85M0 10L4.4 10"},                                    // f
    {7.5, "O3.75 5 3.75 5M7.5 10L7.5 -0.2A3.75 -0.2 3.75 3.8 0 -150"},                               // g
    {7, "M0 14.5L0 0M0 6.2A3.5 6.2 3.5 3.8 180 0L7 0"},                                              // h
    {0, "M0 10L0 0M0 13.9L0 14.2"},                                                                  // i
    {2.2, "M2.2 10L2.2 -1.4A-0.2 -1.4 2.4 2.6 0 -85M2.2 13.9L2.2 14.2"},                             // j
    {6.9, "M0 14.5L0 0M6.5 10L0 3.8M2.5 6.2L6.9 0"},                                                 // k
    {0, "M0 14.5L0 0"},                                                                              // l
    {11.4, "M0 10L0 0M0 6.6A2.85 6.6 2.85 3.4 180 0L5.7 0M5.7 6.6A8.55 6.6 2.85 3.4 180 0L11.4 0"},  // m
    {7, "M0 10L0 0M0 6.2A3.5 6.2 3.5 3.8 180 0L7 0"},                                                // n
    {7.8, "O3.9 5 3.9 5"},                                                                           // o
    {7.5, "M0 10L0 -4O3.75 5 3.75 5"},                                                               // p
    {7.5, "O3.75 5 3.75 5M7.5 10L7.5 -4"},                                                           // q
    {4, "M0 10L0 0M0 6A3.4 6.2 3.4 3.8 180 78"},                                                     // r
    {6.3, "A3.2 7.5 2.8 2.5 30 270A3.1 2.5 3.1 2.5 90 -150"},                                        // s
    {4.5, "M1.6 13L1.6 2.8A4.2 2.8 2.6 2.8 180 275M0 10L4.4 10"},                                    // t
    {7, "M0 10L0 3.8A3.5 3.8 3.5 3.8 180 360M7 10L7 0"},                                             // u
    {7.4, "M0 10L3.7 0L7.4 10"},                                                                     // v
    {11, "M0 10L2.75 0L5.5 9.4L8.25 0L11 10"},                                                       // w
    {7, "M0 10L7 0M7 10L0 0"},                                                                       // x
    {7.4, "M0 10L3.8 0M7.4 10L3.2 -1.7Q2.3 -4 0.4 -4"},                                              // y
    {6.8, "M0.3 10L6.6 10L0 0L6.8 0"},                                                               // z
    {4, "M4 15.5Q1.8 15.5 1.8 12.8L1.8 9Q1.8 6 0 6Q1.8 6 1.8 3L1.8 -0.8Q1.8 -3.5 4 -3.5"},           // {
    {0, "M0 15.5L0 -3.5"},                                                                           // |
    {4, "M0 15.5Q2.2 15.5 2.2 12.8L2.2 9Q2.2 6 4 6Q2.2 6 2.2 3L2.2 -0.8Q2.2 -3.5 0 -3.5"},           // }
    {8, "M0 5.2Q1.8 9 4 6.4Q6.2 3.8 8 7.6"},                                                         // ~
};
static_assert(sizeof(kGlyphs) / sizeof(kGlyphs[0]) == '~' - ' ' + 1);

constexpr Glyph kBox = {7, "M0 0L0 10L7 10L7 0L0 0"};

const Glyph& glyph_of(unsigned char c) { return c >= ' ' && c <= '~' ? kGlyphs[c - ' '] : kBox; }

// A character of several bytes is one box: its continuation bytes are skipped.
bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

class Pen {
 public:
  Pen(double x, double scale, std::vector<Stroke>& strokes) : x_(x), scale_(scale), strokes_(strokes) {}

  void draw(std::string_view pen) {
    joined_ = false;
    const char* at = pen.data();
    const char* const end = at + pen.size();
    while (at != end) {
      const char command = *at++;
      double v[6] = {};
      const int count = command == 'A' ? 6 : command == 'M' || command == 'L' ? 2 : 4;
      for (int i = 0; i < count; ++i) {
        if (*at == ' ') ++at;
        at = std::from_chars(at, end, v[i]).ptr;
      }
      if (command == 'M') joined_ = false, to(v[0], v[1]);
      if (command == 'L') to(v[0], v[1]);
      if (command == 'Q') curve(v);
      if (command == 'A') arc(v[0], v[1], v[2], v[3], v[4], v[5]);
      if (command == 'O') {
        joined_ = false;
        arc(v[0], v[1], v[2], v[3], 0, 360);
        joined_ = false;
      }
    }
  }

 private:
  void to(double x, double y) {
    if (!joined_) strokes_.emplace_back();
    joined_ = true;
    strokes_.back().push_back({x_ + x * scale_, y * scale_});
    last_ = {x, y};
  }

  void curve(const double* v) {
    const Point from = last_;
    for (int i = 1; i <= 8; ++i) {
      const double t = i / 8.0, a = (1 - t) * (1 - t), b = 2 * t * (1 - t), c = t * t;
      to(a * from.x + b * v[0] + c * v[2], a * from.y + b * v[1] + c * v[3]);
    }
  }

  void arc(double cx, double cy, double rx, double ry, double from, double until) {
    const int pieces = 2 + static_cast<int>(std::abs(until - from) / 15);
    for (int i = 0; i <= pieces; ++i) {
      const double angle = (from + (until - from) * i / pieces) * std::numbers::pi / 180;
      to(cx + rx * std::cos(angle), cy + ry * std::sin(angle));
    }
  }

  double x_, scale_;
  std::vector<Stroke>& strokes_;
  bool joined_ = false;
  Point last_;
};

}  // namespace

std::vector<Stroke> text_strokes(std::string_view text, double size) {
  const double scale = size / kUnitsPerEm;
  std::vector<Stroke> strokes;
  double x = 0;
  for (const char c : text) {
    if (is_continuation(c)) continue;
    const Glyph& glyph = glyph_of(static_cast<unsigned char>(c));
    Pen(x, scale, strokes).draw(glyph.pen);
    x += (glyph.width + kLetterSpace) * scale;
  }
  return strokes;
}

double text_width(std::string_view text, double size) {
  double units = 0;
  for (const char c : text) {
    if (!is_continuation(c)) units += glyph_of(static_cast<unsigned char>(c)).width + kLetterSpace;
  }
  return units > 0 ? (units - kLetterSpace) * size / kUnitsPerEm : 0;
}

}  // namespace hourglass
