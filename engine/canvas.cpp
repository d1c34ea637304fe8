// SPDX-License-Identifier: Apache-2.0
#include "engine/canvas.h"

#include <algorithm>
#include <cmath>

namespace hourglass {
namespace {

// How much of the pixel [at, at + 1) the interval [from, to) covers.
double overlap(int at, double from, double to) {
  return std::clamp(std::min(at + 1.0, to) - std::max(static_cast<double>(at), from), 0.0, 1.0);
}

// Coverage of a pixel whose center lies `distance` outside (negative: inside) a smooth edge.
double edge(double distance) { return std::clamp(0.5 - distance, 0.0, 1.0); }

double distance_to_segment(double x, double y, Point a, Point b) {
  const double dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy;
  const double t = length2 > 0 ? std::clamp(((x - a.x) * dx + (y - a.y) * dy) / length2, 0.0, 1.0) : 0.0;
  return std::hypot(x - a.x - t * dx, y - a.y - t * dy);
}

}  // namespace

Canvas::Canvas(int width, int height, Color background)
    : width_(width),
      height_(height),
      rgb_(static_cast<size_t>(width) * static_cast<size_t>(height) * 3),
      coverage_(static_cast<size_t>(width) * static_cast<size_t>(height)),
      clip_{0, 0, width, height} {
  for (size_t i = 0; i < rgb_.size(); i += 3) {
    rgb_[i] = background.r, rgb_[i + 1] = background.g, rgb_[i + 2] = background.b;
  }
}

void Canvas::clip() { clip_ = {0, 0, width_, height_}; }

void Canvas::clip(double x0, double y0, double x1, double y1) {
  clip();
  clip_ = box(x0, y0, x1, y1);
}

Canvas::Box Canvas::box(double x0, double y0, double x1, double y1) const {
  const auto low = [](double v, int from, int to) {
    return static_cast<int>(std::floor(std::clamp(v, static_cast<double>(from), static_cast<double>(to))));
  };
  const auto high = [](double v, int from, int to) {
    return static_cast<int>(std::ceil(std::clamp(v, static_cast<double>(from), static_cast<double>(to))));
  };
  return {low(x0, clip_.x0, clip_.x1), low(y0, clip_.y0, clip_.y1), high(x1, clip_.x0, clip_.x1),
          high(y1, clip_.y0, clip_.y1)};
}

void Canvas::blend(int x, int y, Color color, double alpha) {
  float* p = &rgb_[(static_cast<size_t>(y) * static_cast<size_t>(width_) + static_cast<size_t>(x)) * 3];
  const float a = static_cast<float>(alpha);
  p[0] += a * (static_cast<float>(color.r) - p[0]);
  p[1] += a * (static_cast<float>(color.g) - p[1]);
  p[2] += a * (static_cast<float>(color.b) - p[2]);
}

void Canvas::fill(double x0, double y0, double x1, double y1, Color color, double alpha) {
  const Box b = box(x0, y0, x1, y1);
  for (int y = b.y0; y < b.y1; ++y) {
    for (int x = b.x0; x < b.x1; ++x) blend(x, y, color, alpha * overlap(x, x0, x1) * overlap(y, y0, y1));
  }
}

void Canvas::disc(Point center, double radius, Color color, double alpha) {
  const double reach = radius + 1;
  const Box b = box(center.x - reach, center.y - reach, center.x + reach, center.y + reach);
  for (int y = b.y0; y < b.y1; ++y) {
    for (int x = b.x0; x < b.x1; ++x) {
      blend(x, y, color, alpha * edge(std::hypot(x + 0.5 - center.x, y + 0.5 - center.y) - radius));
    }
  }
}

void Canvas::cover_segment(Point a, Point b, double pen, Box& touched) {
  const double reach = pen / 2 + 1;
  const Box area = box(std::min(a.x, b.x) - reach, std::min(a.y, b.y) - reach, std::max(a.x, b.x) + reach,
                       std::max(a.y, b.y) + reach);
  // A pen thinner than a pixel fades instead of vanishing between pixel centers.
  const double radius = std::max(pen, 1.0) / 2, strength = std::min(pen, 1.0);
  for (int y = area.y0; y < area.y1; ++y) {
    float* row = &coverage_[static_cast<size_t>(y) * static_cast<size_t>(width_)];
    for (int x = area.x0; x < area.x1; ++x) {
      const double cover = strength * edge(distance_to_segment(x + 0.5, y + 0.5, a, b) - radius);
      row[x] = std::max(row[x], static_cast<float>(cover));
    }
  }
  touched = {std::min(touched.x0, area.x0), std::min(touched.y0, area.y0), std::max(touched.x1, area.x1),
             std::max(touched.y1, area.y1)};
}

void Canvas::stroke(const std::vector<Stroke>& strokes, double pen, Color color, double alpha) {
  Box touched = {width_, height_, 0, 0};
  for (const Stroke& s : strokes) {
    if (s.size() == 1) cover_segment(s[0], s[0], pen, touched);
    for (size_t i = 1; i < s.size(); ++i) cover_segment(s[i - 1], s[i], pen, touched);
  }
  for (int y = touched.y0; y < touched.y1; ++y) {
    float* row = &coverage_[static_cast<size_t>(y) * static_cast<size_t>(width_)];
    for (int x = touched.x0; x < touched.x1; ++x) {
      if (row[x] > 0) blend(x, y, color, alpha * static_cast<double>(row[x]));
      row[x] = 0;
    }
  }
}

void Canvas::text(double x, double y, std::string_view text, double size, Color color, Align align, bool bold) {
  const double width = text_width(text, size);
  if (align == Align::kCenter) x -= width / 2;
  if (align == Align::kRight) x -= width;
  std::vector<Stroke> strokes = text_strokes(text, size);
  for (Stroke& s : strokes) {
    for (Point& p : s) p = {x + p.x, y - p.y};
  }
  stroke(strokes, size * (bold ? 0.115 : 0.085), color);
}

Image Canvas::image() const {
  Image image{height_, width_, 3, std::vector<uint8_t>(rgb_.size())};
  for (size_t i = 0; i < rgb_.size(); ++i)
    image.pixels[i] = static_cast<uint8_t>(std::clamp(rgb_[i] + 0.5f, 0.f, 255.f));
  return image;
}

std::vector<Stroke> dashes(const Stroke& stroke, double on, double off) {
  std::vector<Stroke> result;
  double left = on;  // of the current dash or gap
  bool drawing = true;
  for (size_t i = 1; i < stroke.size(); ++i) {
    Point a = stroke[i - 1];
    const Point b = stroke[i];
    if (drawing && result.empty()) result.push_back({a});
    double length = std::hypot(b.x - a.x, b.y - a.y);
    while (length > left) {
      a = {a.x + (b.x - a.x) * left / length, a.y + (b.y - a.y) * left / length};
      length -= left;
      if (drawing) result.back().push_back(a);
      drawing = !drawing;
      if (drawing) result.push_back({a});
      left = drawing ? on : off;
    }
    left -= length;
    if (drawing) result.back().push_back(b);
  }
  return result;
}

}  // namespace hourglass
