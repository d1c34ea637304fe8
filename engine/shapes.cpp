// SPDX-License-Identifier: Apache-2.0
#include "engine/shapes.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/base/math.h"
#include "kernels/base/philox.h"

namespace hourglass {
namespace {

enum Shape : int { kDisc, kRing, kSquare, kTriangle, kCross, kStar, kHeart, kCrescent };

struct Vertex {
  float x, y;
};
using Polygon = std::vector<Vertex>;

// Corners at angles (k + 1/4) / count turns, at alternating radii.
Polygon star_polygon(int count, float even_radius, float odd_radius) {
  Polygon polygon;
  for (int k = 0; k < count; ++k) {
    float sine, cosine;
    math::sincospi(2 * static_cast<float>(k) / static_cast<float>(count) + 0.5f, &sine, &cosine);
    const float radius = k % 2 ? odd_radius : even_radius;
    polygon.push_back({radius * cosine, radius * sine});
  }
  return polygon;
}

Polygon cross_polygon() {
  constexpr float a = 0.33f, b = 0.94f;
  return {{a, b}, {-a, b}, {-a, a}, {-b, a}, {-b, -a}, {-a, -a}, {-a, -b}, {a, -b}, {a, -a}, {b, -a}, {b, a}, {a, a}};
}

// The curve x = 16 sin^3 t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t, shifted and scaled into the unit disc.
Polygon heart_polygon() {
  constexpr int kCorners = 28;
  Polygon polygon;
  for (int k = 0; k < kCorners; ++k) {
    const float turn = 2 * static_cast<float>(k) / kCorners;
    float sine[4], cosine[4];
    for (int i = 0; i < 4; ++i) math::sincospi(turn * static_cast<float>(i + 1), &sine[i], &cosine[i]);
    const float x = 16 * sine[0] * sine[0] * sine[0];
    const float y = 13 * cosine[0] - 5 * cosine[1] - 2 * cosine[2] - cosine[3];
    polygon.push_back({x / 18, (y + 2.5f) / 18});
  }
  return polygon;
}

const Polygon& polygon_of(int shape) {
  static const Polygon square = star_polygon(4, 1, 1), triangle = star_polygon(3, 1, 1), cross = cross_polygon(),
                       star = star_polygon(10, 1, 0.45f), heart = heart_polygon();
  return shape == kSquare     ? square
         : shape == kTriangle ? triangle
         : shape == kCross    ? cross
         : shape == kStar     ? star
                              : heart;
}

// Distance from (x, y) to the edge of a polygon, negative inside: nearest edge, sign by the parity of crossings.
float polygon_distance(const Polygon& polygon, float x, float y) {
  float nearest2 = 1e30f;
  bool inside = false;
  for (size_t i = 0, j = polygon.size() - 1; i < polygon.size(); j = i++) {
    const Vertex a = polygon[j], b = polygon[i];
    const float dx = b.x - a.x, dy = b.y - a.y;
    const float t = std::clamp(((x - a.x) * dx + (y - a.y) * dy) / (dx * dx + dy * dy), 0.f, 1.f);
    const float ex = x - a.x - t * dx, ey = y - a.y - t * dy;
    nearest2 = std::min(nearest2, ex * ex + ey * ey);
    if ((a.y > y) != (b.y > y) && x < a.x + dx * (y - a.y) / dy) inside = !inside;
  }
  return inside ? -std::sqrt(nearest2) : std::sqrt(nearest2);
}

// Signed distance of shape `shape` of radius 1 around the origin.
float distance(int shape, float x, float y) {
  const float radius = std::sqrt(x * x + y * y);
  if (shape == kDisc) return radius - 1;
  if (shape == kRing) return std::abs(radius - 0.78f) - 0.22f;
  if (shape == kCrescent) {
    const float u = x - 0.48f;
    return std::max(radius - 1, 0.8f - std::sqrt(u * u + y * y));
  }
  return polygon_distance(polygon_of(shape), x, y);
}

}  // namespace

const std::vector<std::string>& shape_names() {
  static const std::vector<std::string> names = {"disc",  "ring", "square", "triangle",
                                                 "cross", "star", "heart",  "crescent"};
  return names;
}

ShapeFactors shape_factors(uint32_t seed, int32_t index) {
  constexpr uint32_t kStream = stream_id("data/shapes");
  const PhiloxWords a = philox(seed, kStream, 0, 0, static_cast<uint32_t>(index), 0);
  const PhiloxWords b = philox(seed, kStream, 1, 0, static_cast<uint32_t>(index), 0);
  const auto between = [](uint32_t word, float low, float high) {
    return low + (high - low) * uniform_of_word<float>(word);
  };
  ShapeFactors f;
  f.shape = static_cast<int>(static_cast<uint64_t>(a.w[0]) * kShapeClasses >> 32);
  f.scale = between(a.w[1], 0.14f, 0.34f);
  f.rotation = between(a.w[2], 0, 1);
  f.brightness = between(a.w[3], 0.5f, 1);
  const float room = f.scale + 0.02f;
  f.x = between(b.w[0], room, 1 - room);
  f.y = between(b.w[1], room, 1 - room);
  return f;
}

void draw_shape(const ShapeFactors& f, int size, uint8_t* image) {
  const float side = static_cast<float>(size), radius = f.scale * side, cx = f.x * side, cy = f.y * side;
  float sine, cosine;
  math::sincospi(2 * f.rotation, &sine, &cosine);
  std::memset(image, 0, static_cast<size_t>(size) * static_cast<size_t>(size));
  const auto pixel = [&](float v) { return std::clamp(static_cast<int>(std::floor(v)), 0, size); };
  for (int i = pixel(cy - radius - 1); i < pixel(cy + radius + 2); ++i) {
    for (int j = pixel(cx - radius - 1); j < pixel(cx + radius + 2); ++j) {
      const float u = (static_cast<float>(j) + 0.5f - cx) / radius, v = (cy - static_cast<float>(i) - 0.5f) / radius;
      const float d = distance(f.shape, cosine * u + sine * v, cosine * v - sine * u) * radius;
      const float covered = std::clamp(0.5f - d, 0.f, 1.f);
      image[static_cast<size_t>(i) * static_cast<size_t>(size) + static_cast<size_t>(j)] =
          static_cast<uint8_t>(255 * f.brightness * covered + 0.5f);
    }
  }
}

}  // namespace hourglass
