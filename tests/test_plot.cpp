// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/plot.h"
#include "tests/file_checks.h"

namespace hourglass {
namespace {

using test::expect_error;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Color pixel(const Image& image, int x, int y) {
  const size_t i = (static_cast<size_t>(y) * static_cast<size_t>(image.width) + static_cast<size_t>(x)) * 3;
  return {image.pixels[i], image.pixels[i + 1], image.pixels[i + 2]};
}

int64_t count(const Image& image, Color color) {
  int64_t n = 0;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) n += pixel(image, x, y) == color;
  }
  return n;
}

TEST(Ticks, AreRoundNumbersInsideTheRange) {
  EXPECT_EQ(round_ticks(0, 10, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(round_ticks(237, 262, 5), (std::vector<double>{240, 245, 250, 255, 260}));
  EXPECT_EQ(round_ticks(-1, 1, 4), (std::vector<double>{-1, -0.5, 0, 0.5, 1}));
  for (const double t : round_ticks(0.0123, 0.0347, 6)) EXPECT_NEAR(t / 0.005, std::round(t / 0.005), 1e-9);
  EXPECT_TRUE(round_ticks(1, 1, 5).empty());
  EXPECT_TRUE(round_ticks(0, kNan, 5).empty());
}

TEST(Ticks, TextIsAsShortAsTheSpacingAllows) {
  EXPECT_EQ(tick_text(20000, 5000), "20,000");
  EXPECT_EQ(tick_text(1234567, 1), "1,234,567");
  EXPECT_EQ(tick_text(-4000, 1000), "-4,000");
  EXPECT_EQ(tick_text(-400, 100), "-400");
  EXPECT_EQ(tick_text(0.25, 0.05), "0.25");
  EXPECT_EQ(tick_text(0.30000000000000004, 0.1), "0.3");
  EXPECT_EQ(tick_text(-1e-17, 0.5), "0.0");
  EXPECT_EQ(tick_text(2e-7, 1e-7), "2e-07");
}

TEST(Font, CoversAsciiAndBoxesTheRest) {
  for (char c = '!'; c <= '~'; ++c) EXPECT_FALSE(text_strokes(std::string(1, c), 20).empty()) << c;
  EXPECT_TRUE(text_strokes("   ", 20).empty());
  EXPECT_EQ(text_width("", 20), 0);
  EXPECT_NEAR(text_width("label", 40), 2 * text_width("label", 20), 1e-9);
  EXPECT_NEAR(text_width("\xCE\xB2", 20), text_width("\xE2\x82\xAC", 20), 1e-9);  // one box, of two bytes or of three
  for (const Stroke& stroke : text_strokes("Ag|{}@W", 20)) {
    for (const Point p : stroke) {
      EXPECT_GE(p.x, -1);
      EXPECT_LE(p.x, text_width("Ag|{}@W", 20) + 1);
      EXPECT_GE(p.y, -5);
      EXPECT_LE(p.y, 17);
    }
  }
}

TEST(Canvas, CoverageIsExactForAlignedShapesAndConservesArea) {
  Canvas canvas(20, 20);
  canvas.fill(2, 3, 5, 7.5, {0, 0, 0});
  const Image image = canvas.image();
  EXPECT_EQ(pixel(image, 2, 3), (Color{0, 0, 0}));
  EXPECT_EQ(pixel(image, 5, 3), kWhite);
  EXPECT_EQ(pixel(image, 2, 7).r, 128);
  Canvas disc(40, 40);
  disc.disc({20.3, 19.8}, 10, {0, 0, 0});
  double area = 0;
  const Image round = disc.image();
  for (int y = 0; y < 40; ++y) {
    for (int x = 0; x < 40; ++x) area += (255 - pixel(round, x, y).r) / 255.0;
  }
  EXPECT_NEAR(area, 314.16, 1.5);
}

TEST(Canvas, AStrokeThatCrossesItselfIsBlendedOnce) {
  Canvas canvas(30, 30);
  canvas.stroke({{{5, 15}, {25, 15}}, {{15, 5}, {15, 25}}}, 4, {0, 0, 0}, 0.5);
  const Image image = canvas.image();
  EXPECT_EQ(pixel(image, 15, 15), pixel(image, 8, 15));
  EXPECT_EQ(pixel(image, 15, 15).r, 128);
}

TEST(Canvas, DrawsNothingOutsideItselfOrItsClip) {
  Canvas canvas(20, 20);
  canvas.stroke({{{-1e6, -1e6}, {1e6, 1e6}}}, 2, {0, 0, 0});
  canvas.disc({-50, 300}, 10, {0, 0, 0});
  canvas.clip(0, 0, 10, 20);
  canvas.fill(5, 0, 15, 5, {9, 9, 9});
  const Image image = canvas.image();
  EXPECT_EQ(pixel(image, 9, 1), (Color{9, 9, 9}));
  EXPECT_EQ(pixel(image, 10, 1), kWhite);
}

TEST(Dashes, CutAStrokeAtEqualLengthsAroundCorners) {
  const std::vector<Stroke> cut = dashes({{0, 0}, {10, 0}, {10, 10}}, 4, 2);
  ASSERT_EQ(cut.size(), 4u);
  EXPECT_EQ(cut[0].back().x, 4);
  EXPECT_EQ(cut[1].front().x, 6);
  EXPECT_EQ(cut[2].front().y, 2);
  EXPECT_EQ(cut[2].back().y, 6);
  EXPECT_EQ(cut[3].back().y, 10);
}

TEST(LinePlot, DrawsEachSeriesInItsColor) {
  LinePlot plot{"Loss", "step", "nats", {{"train", {0, 1, 2}, {5, 3, 2}}, {"test", {0, 1, 2}, {6, 4, 3}, true, true}}};
  const Image image = draw_line_plots({plot, plot});
  EXPECT_EQ(image.width, 1800);
  EXPECT_EQ(image.height, 560);
  EXPECT_GT(count(image, class_color(0)), 1000);
  EXPECT_GT(count(image, class_color(1)), 1000);
  EXPECT_EQ(count(image, class_color(2)), 0);
  EXPECT_EQ(pixel(image, 0, 0), kWhite);
}

TEST(LinePlot, SurvivesWhatTrainingCanLog) {
  const double inf = std::numeric_limits<double>::infinity();
  for (const LinePlot& plot :
       {LinePlot{}, LinePlot{"t", "x", "y", {{"empty", {}, {}}}}, LinePlot{"t", "x", "y", {{"one", {3}, {4}}}},
        LinePlot{"t", "x", "y", {{"flat", {0, 1}, {0, 0}}}},
        LinePlot{"t", "x", "y", {{"bad", {0, 1, 2}, {kNan, inf, -inf}}}},
        LinePlot{"t", "x", "y", {{"huge", {0, 1e300}, {-1e300, 1e300}}}}}) {
    EXPECT_EQ(draw_line_plots({plot}).width, 900);
  }
  EXPECT_EQ(draw_line_plots({}).height, 560);
}

TEST(LinePlot, AMissingPointBreaksTheLine) {
  LinePlot whole{"", "", "", {{"", {0, 1, 2, 3}, {1, 1, 1, 1}}}}, broken = whole;
  broken.series[0].y[2] = kNan;
  EXPECT_LT(count(draw_line_plots({broken}), class_color(0)), count(draw_line_plots({whole}), class_color(0)) / 2);
}

TEST(LinePlot, RefusesUnequalLengths) {
  expect_error(
      [] {
        draw_line_plots({LinePlot{"", "", "", {{"train", {0, 1}, {1}}}}});
      },
      Exit::kInternal, {"train", "2 x", "1 y"});
}

TEST(Scatter, ColorsByClassAndNamesThem) {
  ScatterPlot plot{"Codes", "z1", "z2", {}, {}, {"shoe", "bag"}};
  for (int i = 0; i < 200; ++i) {
    plot.points.push_back(static_cast<float>(i % 20));
    plot.points.push_back(static_cast<float>(i / 20));
    plot.labels.push_back(i % 2);
  }
  const Image image = draw_scatter(plot, 400);
  // The legend's discs alone hold the unblended colors.
  EXPECT_GT(count(image, class_color(0)), 100);
  EXPECT_GT(count(image, class_color(1)), 100);
  EXPECT_EQ(count(image, class_color(2)), 0);
  plot.labels.clear();
  EXPECT_EQ(count(draw_scatter(plot, 400), class_color(1)), 0);
}

TEST(Scatter, SurvivesOutliersManyClassesAndNoPoints) {
  EXPECT_GT(draw_scatter({}, 300).height, 300);
  ScatterPlot plot;
  for (int i = 0; i < 3000; ++i) {
    plot.points.push_back(i == 7 ? 1e30f : static_cast<float>(i % 50));
    plot.points.push_back(i == 9 ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(i % 37));
    plot.labels.push_back(i % 100 - 1);
  }
  EXPECT_GT(draw_scatter(plot, 300).height, 300);
}

TEST(ClassColors, AreDistinct) {
  for (int a = -1; a < 24; ++a) {
    for (int b = a + 1; b < 24; ++b) EXPECT_FALSE(class_color(a) == class_color(b)) << a << " and " << b;
  }
}

}  // namespace
}  // namespace hourglass
