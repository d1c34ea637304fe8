// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>

#include "engine/shapes.h"

namespace hourglass {
namespace {

std::vector<uint8_t> drawn(const ShapeFactors& factors, int size) {
  std::vector<uint8_t> image(static_cast<size_t>(size) * static_cast<size_t>(size), 77);
  draw_shape(factors, size, image.data());
  return image;
}

double sum(const std::vector<uint8_t>& image) {
  double total = 0;
  for (const uint8_t v : image) total += v;
  return total;
}

TEST(Shapes, FactorsCoverTheirRanges) {
  constexpr int kCount = 8000;
  std::vector<int> counts(kShapeClasses);
  double x = 0, rotation = 0, scale = 0, low = 1, high = 0;
  for (int i = 0; i < kCount; ++i) {
    const ShapeFactors f = shape_factors(0, i);
    ASSERT_GE(f.shape, 0);
    ASSERT_LT(f.shape, kShapeClasses);
    ++counts[static_cast<size_t>(f.shape)];
    ASSERT_GE(f.x - f.scale, 0);
    ASSERT_LE(f.y + f.scale, 1);
    x += f.x, rotation += f.rotation, scale += f.scale;
    low = std::min(low, static_cast<double>(f.brightness)), high = std::max(high, static_cast<double>(f.brightness));
  }
  // Five standard deviations of a mean of uniform numbers, and of a binomial count.
  EXPECT_NEAR(x / kCount, 0.5, 5 * 0.2 / std::sqrt(kCount));
  EXPECT_NEAR(rotation / kCount, 0.5, 5 * 0.29 / std::sqrt(kCount));
  EXPECT_NEAR(scale / kCount, 0.24, 5 * 0.06 / std::sqrt(kCount));
  EXPECT_GE(low, 0.5);
  EXPECT_LT(low, 0.51);
  EXPECT_GT(high, 0.99);
  for (const int count : counts) EXPECT_NEAR(count, kCount / kShapeClasses, 5 * std::sqrt(kCount / 8.0));
}

TEST(Shapes, AnImageIsAFunctionOfSeedAndIndex) {
  EXPECT_EQ(drawn(shape_factors(3, 17), 28), drawn(shape_factors(3, 17), 28));
  std::set<std::string> different;
  for (int i = 0; i < 200; ++i) {
    const std::vector<uint8_t> image = drawn(shape_factors(3, i), 28);
    different.emplace(image.begin(), image.end());
  }
  EXPECT_EQ(different.size(), 200u);
  EXPECT_NE(drawn(shape_factors(3, 17), 28), drawn(shape_factors(4, 17), 28));
}

TEST(Shapes, CoveredAreaIsThatOfTheShape) {
  constexpr int kSize = 200;
  constexpr double kRadius = 0.3 * kSize, kPi = std::numbers::pi;
  const auto area = [](int shape) {
    return sum(drawn({shape, 0.3f, 0.1f, 0.5f, 0.5f, 1.f}, kSize)) / 255 / (kRadius * kRadius);
  };
  EXPECT_NEAR(area(0), kPi, 0.01);                                  // disc
  EXPECT_NEAR(area(1), kPi * (1 - 0.56 * 0.56), 0.01);              // ring
  EXPECT_NEAR(area(2), 2, 0.01);                                    // square
  EXPECT_NEAR(area(3), 3 * std::sqrt(3) / 4, 0.01);                 // triangle
  EXPECT_NEAR(area(5), 10 * 0.5 * 0.45 * std::sin(kPi / 5), 0.01);  // star
}

TEST(Shapes, EveryShapeStaysInItsDiscAndFollowsItsFactors) {
  constexpr int kSize = 96;
  for (int shape = 0; shape < kShapeClasses; ++shape) {
    const ShapeFactors f = {shape, 0.25f, 0.05f, 0.4f, 0.6f, 0.8f};
    const std::vector<uint8_t> image = drawn(f, kSize);
    EXPECT_EQ(*std::max_element(image.begin(), image.end()), 204) << shape;
    for (int i = 0; i < kSize; ++i) {
      for (int j = 0; j < kSize; ++j) {
        const double distance = std::hypot(j + 0.5 - 0.4 * kSize, i + 0.5 - 0.6 * kSize);
        if (distance > 0.25 * kSize + 1.5) {
          ASSERT_EQ(image[static_cast<size_t>(i * kSize + j)], 0) << shape << " at " << i << ", " << j;
        }
      }
    }
    ShapeFactors turned = f;
    turned.rotation = 0.17f;
    EXPECT_NEAR(sum(drawn(turned, kSize)), sum(image), 0.01 * sum(image)) << shape;
    // A fifth of a quarter turn: no shape but disc and ring looks the same.
    EXPECT_EQ(drawn(turned, kSize) == image, shape < 2) << shape;
  }
}

TEST(Shapes, HasANameForEveryClass) {
  EXPECT_EQ(std::set<std::string>(shape_names().begin(), shape_names().end()).size(),
            static_cast<size_t>(kShapeClasses));
}

}  // namespace
}  // namespace hourglass
