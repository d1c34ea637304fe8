// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "engine/figure.h"
#include "tests/file_checks.h"

namespace hourglass {
namespace {

using test::expect_error;

uint8_t at(const Image& image, int y, int x, int c = 0) {
  return image.pixels[(static_cast<size_t>(y) * static_cast<size_t>(image.width) + static_cast<size_t>(x)) *
                          static_cast<size_t>(image.channels) +
                      static_cast<size_t>(c)];
}

TEST(Figure, ValuesBecomePixels) {
  EXPECT_EQ(pixel_of(0), 0);
  EXPECT_EQ(pixel_of(1), 255);
  EXPECT_EQ(pixel_of(0.5f), 128);
  EXPECT_EQ(pixel_of(-3), 0);
  EXPECT_EQ(pixel_of(1e30f), 255);
  EXPECT_EQ(pixel_of(std::numeric_limits<float>::quiet_NaN()), 0);
  EXPECT_EQ(pixel_of(std::numeric_limits<float>::infinity()), 255);
}

TEST(Figure, EachPixelIsASquareOfTheLeastSufficientScale) {
  const std::vector<float> images = {0, 0.2f, 0.4f, 0.6f, 0.1f, 0.3f, 0.5f, 0.7f};  // two of 2 x 2
  const Image page =
      draw_image_grid(images.data(), 2, {2, 2, 1}, {.columns = 2, .gap = 3, .margin = 5, .minimum_width = 50});
  // 2 * 5 + 3 + 4 * scale >= 50 first at 10.
  ASSERT_EQ(page.width, 10 + 3 + 40);
  ASSERT_EQ(page.height, 10 + 20);
  ASSERT_EQ(page.channels, 1);
  for (int y = 0; y < page.height; ++y) {
    for (int x = 0; x < page.width; ++x) {
      const bool in_rows = y >= 5 && y < 25, first = x >= 5 && x < 25, second = x >= 28 && x < 48;
      uint8_t expected = 255;
      if (in_rows && (first || second)) {
        const int left = first ? 5 : 28;
        expected = pixel_of(images[static_cast<size_t>((second ? 4 : 0) + (y - 5) / 10 * 2 + (x - left) / 10)]);
      }
      ASSERT_EQ(at(page, y, x), expected) << y << ", " << x;
    }
  }
}

TEST(Figure, IsAtLeast600WideAndNearlySquareByDefault) {
  const std::vector<float> images(64 * 28 * 28, 0.5f);
  const Image page = draw_image_grid(images.data(), 64, {28, 28, 1});
  EXPECT_GE(page.width, 600);
  EXPECT_LT(page.width, 600 + 8 * 28);
  EXPECT_EQ(page.width, page.height);
  for (const int count : {1, 2, 3, 7})
    EXPECT_GE(draw_image_grid(images.data(), count, {28, 28, 1}).width, 600) << count;
}

TEST(Figure, ThreeChannelsAreColorAndOthersShowTheFirst) {
  const std::vector<float> color = {1, 0, 0};
  const Image rgb = draw_image_grid(color.data(), 1, {1, 1, 3}, {.margin = 0, .minimum_width = 1});
  ASSERT_EQ(rgb.channels, 3);
  EXPECT_EQ(rgb.pixels, (std::vector<uint8_t>{255, 0, 0}));
  const Image first = draw_image_grid(color.data(), 1, {1, 1, 2}, {.margin = 0, .minimum_width = 1});
  ASSERT_EQ(first.channels, 1);
  EXPECT_EQ(first.pixels, (std::vector<uint8_t>{255}));
}

TEST(Figure, ComparisonPutsImageNOfEachRowInOneColumn) {
  const std::vector<float> black(12, 0.f), gray(12, 0.5f);  // twelve images of one pixel
  const std::vector<FigureRow> rows = {{"", black.data()}, {"", gray.data()}};
  const Image page = draw_comparison(rows, 12, {1, 1, 1}, {.columns = 8, .gap = 2, .margin = 1, .minimum_width = 1});
  ASSERT_EQ(page.width, 2 + 8 + 7 * 2);
  ASSERT_EQ(page.height, 2 + 2 * (2 * 3 - 2) + 6);  // two blocks of two rows
  for (int block = 0; block < 2; ++block) {
    for (int j = 0; j < 8; ++j) {
      const bool there = block * 8 + j < 12;
      EXPECT_EQ(at(page, 1 + block * 10, 1 + 3 * j), there ? 0 : 255);
      EXPECT_EQ(at(page, 1 + block * 10 + 3, 1 + 3 * j), there ? 128 : 255);
    }
  }
}

TEST(Figure, LabelsStandLeftOfTheImages) {
  const std::vector<float> white(10 * 28 * 28, 1.f);
  const std::vector<FigureRow> rows = {{"input", white.data()}, {"reconstruction", white.data()}};
  const Image page = draw_comparison(rows, 10, {28, 28, 1});
  EXPECT_GE(page.width, 600);
  int dark = 0, rightmost = 0;
  for (int y = 0; y < page.height; ++y) {
    for (int x = 0; x < page.width; ++x) {
      if (at(page, y, x) < 128) ++dark, rightmost = std::max(rightmost, x);
    }
  }
  EXPECT_GT(dark, 100);
  EXPECT_LT(rightmost, page.width - 10 * 28);
}

TEST(Figure, JoinedPicturesStandInCellsOfTheirRowsAndColumns) {
  const Image gray{2, 3, 1, std::vector<uint8_t>(6, 7)}, red{1, 2, 3, {250, 1, 2, 250, 1, 2}};
  const Image page = join_images(std::vector<Image>{gray, red, red}, 2, 4);
  ASSERT_EQ(page.width, 3 + 4 + 2);
  ASSERT_EQ(page.height, 2 + 4 + 1);
  ASSERT_EQ(page.channels, 3);
  for (int y = 0; y < page.height; ++y) {
    for (int x = 0; x < page.width; ++x) {
      const bool is_gray = y < 2 && x < 3, is_red = (y == 0 && x >= 7) || (y == 6 && x < 2);
      EXPECT_EQ(at(page, y, x, 0), is_gray ? 7 : is_red ? 250 : 255) << y << ", " << x;
      EXPECT_EQ(at(page, y, x, 2), is_gray ? 7 : is_red ? 2 : 255) << y << ", " << x;
    }
  }
  EXPECT_EQ(join_images(std::vector<Image>{gray}, 5).channels, 1);
}

TEST(Figure, AsManyImagesAsAPageHolds) {
  for (const ImageShape shape : {ImageShape{1, 150000, 1}, {300, 200, 1}, {7, 9, 3}, {150000, 1, 1}}) {
    SCOPED_TRACE(to_string(shape));
    const FigureOptions few{.most_pixels = int64_t{8} << 20};
    const int n = fitting_grid(1 << 20, shape, few);
    ASSERT_GT(n, 0);
    EXPECT_EQ(fitting_grid(1, shape, few), 1);
    const std::vector<float> images(static_cast<size_t>((n + 1) * shape.elements()));
    const Image page = draw_image_grid(images.data(), n, shape, few);
    EXPECT_LE(int64_t{page.width} * page.height, few.most_pixels);
    const Image more = draw_image_grid(images.data(), n + 1, shape, few);
    EXPECT_GT(int64_t{more.width} * more.height, few.most_pixels);
  }
  const FigureRow rows[] = {{"input"}, {"output"}};
  const std::vector<float> images(200 * 28 * 28);
  const FigureOptions few{.most_pixels = int64_t{1} << 19};
  const int n = fitting_comparison(rows, 200, {28, 28, 1}, few);
  ASSERT_LT(n, 200);
  const auto pixels = [&](int count) {
    const FigureRow drawn[] = {{"input", images.data()}, {"output", images.data()}};
    const Image page = draw_comparison(drawn, count, {28, 28, 1}, few);
    return int64_t{page.width} * page.height;
  };
  EXPECT_LE(pixels(n), few.most_pixels);
  EXPECT_GT(pixels(n + 1), few.most_pixels);
  EXPECT_EQ(fitting_comparison(rows, 20, {28, 28, 1}), 20);
  EXPECT_EQ(fitting_grid(64, {1, 150000, 1}), 60);
  EXPECT_EQ(fitting_grid(64, {10000, 10000, 1}), 0);
  EXPECT_EQ(fitting_comparison(rows, 20, {10000, 10000, 1}), 0);
  EXPECT_EQ(fitting_grid(int64_t{1} << 33, {8, 8, 1}, {.columns = 1 << 16}),
            fitting_grid(1 << 22, {8, 8, 1}, {.columns = 1 << 16}));
}

TEST(Figure, RefusesWhatIsTooLargeBeforeItIsDrawn) {
  expect_error(
      [] {
        draw_image_grid(nullptr, 64, {1, 150000, 1});
      },
      Exit::kUsage, {"figure", "470 x 150028", "67108864"});
  expect_error([] { draw_image_grid(nullptr, 1 << 20, {2000000000, 1, 1}); }, Exit::kUsage, {"figure"});
  const FigureRow rows[] = {{"input"}, {"output"}};
  expect_error([&] { draw_comparison(rows, 1, {10000, 10000, 1}); }, Exit::kUsage, {"figure"});
}

TEST(Figure, RefusesNothingToDraw) {
  expect_error([] { join_images({}, 2); }, Exit::kInternal, {"figure"});
  expect_error([] { draw_image_grid(nullptr, 0, {28, 28, 1}); }, Exit::kInternal, {"figure", "at least one image"});
  expect_error([] { draw_image_grid(nullptr, 1, {0, 28, 1}); }, Exit::kInternal, {"figure", "0 x 28"});
  expect_error([] { draw_comparison({}, 4, {28, 28, 1}); }, Exit::kInternal, {"figure"});
}

}  // namespace
}  // namespace hourglass
