// SPDX-License-Identifier: Apache-2.0
// The two plots of the program: curves over the steps of training, and points of a plane colored by class.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/canvas.h"

namespace hourglass {

/// One curve. x and y have equal length (Error kInternal otherwise); a non-finite point is left out and breaks the
/// line.
struct Series {
  std::string name;  ///< in the legend; an empty name has no entry
  std::vector<double> x, y;
  bool dashed = false;
  bool markers = false;  ///< a dot at each point, for curves of few points
  int color = -1;        ///< index for class_color; -1: the position in the plot
};

struct LinePlot {
  std::string title;
  std::string x_label, y_label;
  std::vector<Series> series;
  double y_trim =
      0;  ///< share of the highest values that may leave the frame: losses begin high and would flatten the rest
};

/// Draws the plots as panels of one picture, `columns` side by side (0: up to two), each panel_width x panel_height.
Image draw_line_plots(const std::vector<LinePlot>& plots, int columns = 0, int panel_width = 900,
                      int panel_height = 560);

struct ScatterPlot {
  std::string title;
  std::string x_label, y_label;
  std::vector<float> points;             ///< (N, 2), row-major; a non-finite point is left out
  std::vector<int32_t> labels;           ///< (N) class of each point, or empty: one color. A negative label is grey
  std::vector<std::string> label_names;  ///< by class; a class without a name shows its number
};

/// A square frame with the legend at its right. The few points far away from the others (beyond the middle 99.8 %,
/// and a margin) lie outside the frame and are counted below it.
Image draw_scatter(const ScatterPlot& plot, int frame_size = 900);

/// Ten hand-picked colors, then computed ones; negative: grey.
Color class_color(int index);

/// About `count` round tick positions (1, 2 or 5 times a power of ten apart) inside [low, high].
std::vector<double> round_ticks(double low, double high, int count);

/// The shortest text of a tick position given their distance: "0.25", "20,000", "1e-07".
std::string tick_text(double value, double spacing);

}  // namespace hourglass
