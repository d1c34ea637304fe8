// SPDX-License-Identifier: Apache-2.0
#include "engine/plot.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <map>

#include "kernels/base/error.h"

namespace hourglass {
namespace {

constexpr double kTextSize = 21, kTitleSize = 27;
constexpr double kCapHeight = 0.7;  // of the text size

struct Range {
  double low = 0, high = 1;
};

struct Frame {
  double x0, y0, x1, y1;
};

// The plot area and the mapping of data into it.
struct Axes {
  Frame frame;
  Range x, y;
  double px(double v) const { return frame.x0 + (v - x.low) / (x.high - x.low) * (frame.x1 - frame.x0); }
  double py(double v) const { return frame.y1 - (v - y.low) / (y.high - y.low) * (frame.y1 - frame.y0); }
};

// Range between two quantiles of the finite values, widened by `margin` of itself; never empty.
Range range_of(std::vector<double> values, double low_share, double high_share, double margin) {
  std::erase_if(values, [](double v) { return !std::isfinite(v); });
  if (values.empty()) return {0, 1};
  std::sort(values.begin(), values.end());
  // Rounded outwards: of few values none is left out.
  const double last = static_cast<double>(values.size() - 1);
  const double low = values[static_cast<size_t>(std::floor(low_share * last))];
  const double high = values[static_cast<size_t>(std::ceil(high_share * last))];
  if (!(high - low > 1e-9 * std::max(std::abs(low), std::abs(high)))) {
    const double half = low == 0 ? 1 : std::abs(low) * 0.05;
    return {low - half, high + half};
  }
  const double extra = margin * (high - low);
  return {low - extra, high + extra};
}

void draw_axes(Canvas& canvas, const Axes& axes, int x_count, int y_count) {
  const Frame& f = axes.frame;
  const std::vector<double> xs = round_ticks(axes.x.low, axes.x.high, x_count);
  const std::vector<double> ys = round_ticks(axes.y.low, axes.y.high, y_count);
  const auto spacing = [](const std::vector<double>& t) { return t.size() > 1 ? t[1] - t[0] : 1; };
  for (const double v : ys) {
    const double y = axes.py(v);
    canvas.fill(f.x0, y - 0.75, f.x1, y + 0.75, kHairline);
    canvas.text(f.x0 - 14, y + kTextSize * kCapHeight / 2, tick_text(v, spacing(ys)), kTextSize, kFaintInk,
                Align::kRight);
  }
  for (const double v : xs) {
    const double x = axes.px(v);
    canvas.fill(x - 0.75, f.y1, x + 0.75, f.y1 + 8, kFaintInk, 0.7);
    canvas.text(x, f.y1 + 18 + kTextSize * kCapHeight, tick_text(v, spacing(xs)), kTextSize, kFaintInk, Align::kCenter);
  }
  canvas.fill(f.x0, f.y1 - 0.75, f.x1, f.y1 + 0.75, kFaintInk);
}

// Width of the widest tick text of an axis.
double tick_width(Range range, int count) {
  const std::vector<double> ticks = round_ticks(range.low, range.high, count);
  double width = 0;
  for (const double v : ticks) {
    width = std::max(width, text_width(tick_text(v, ticks.size() > 1 ? ticks[1] - ticks[0] : 1), kTextSize));
  }
  return width;
}

// The curve in pixels, cut where a point is missing, and thinned where points fall on one another.
std::vector<Stroke> curve_strokes(const Series& s, const Axes& axes) {
  std::vector<Stroke> strokes;
  bool broken = true;
  for (size_t i = 0; i < s.x.size(); ++i) {
    if (!std::isfinite(s.x[i]) || !std::isfinite(s.y[i])) {
      broken = true;
      continue;
    }
    const Point p = {axes.px(s.x[i]), axes.py(s.y[i])};
    if (broken) strokes.emplace_back();
    broken = false;
    Stroke& stroke = strokes.back();
    if (!stroke.empty() && std::hypot(p.x - stroke.back().x, p.y - stroke.back().y) < 0.3) continue;
    stroke.push_back(p);
  }
  return strokes;
}

void draw_series(Canvas& canvas, const Series& s, const Axes& axes, Color color) {
  const std::vector<Stroke> strokes = curve_strokes(s, axes);
  if (s.dashed) {
    for (const Stroke& stroke : strokes) canvas.stroke(dashes(stroke, 11, 9), 2.8, color);
  } else {
    canvas.stroke(strokes, 2.8, color);
  }
  for (const Stroke& stroke : strokes) {
    for (const Point p : stroke) {
      if (!s.markers && stroke.size() > 1) continue;
      canvas.disc(p, 7, kWhite);
      canvas.disc(p, 5.2, color);
    }
  }
}

// Entries from right to left, so that the last one ends at the frame's edge. Returns where the legend begins.
double draw_line_legend(Canvas& canvas, const LinePlot& plot, double right, double y) {
  constexpr double kSample = 34, kGap = 10, kBetween = 30;
  double x = right;
  for (size_t i = plot.series.size(); i-- > 0;) {
    const Series& s = plot.series[i];
    if (s.name.empty()) continue;
    const Color color = class_color(s.color < 0 ? static_cast<int>(i) : s.color);
    x -= text_width(s.name, kTextSize);
    canvas.text(x, y, s.name, kTextSize, kInk);
    const double middle = y - kTextSize * kCapHeight / 2;
    const Stroke sample = {{x - kGap - kSample, middle}, {x - kGap, middle}};
    canvas.stroke(s.dashed ? dashes(sample, 8, 5) : std::vector<Stroke>{sample}, 3.2, color);
    if (s.markers) canvas.disc({x - kGap - kSample / 2, middle}, 5.2, color);
    x -= kGap + kSample + kBetween;
  }
  return x;
}

void draw_panel(Canvas& canvas, const Frame& panel, const LinePlot& plot) {
  std::vector<double> xs, ys;
  for (const Series& s : plot.series) {
    if (s.x.size() != s.y.size()) {
      throw Error(Exit::kInternal, "plot: series '" + s.name + "' has " + std::to_string(s.x.size()) + " x and " +
                                       std::to_string(s.y.size()) + " y");
    }
    xs.insert(xs.end(), s.x.begin(), s.x.end());
    ys.insert(ys.end(), s.y.begin(), s.y.end());
  }
  constexpr int kXTicks = 6, kYTicks = 6;
  Axes axes{panel, range_of(xs, 0, 1, 0), range_of(ys, 0, 1 - plot.y_trim, 0.06)};
  axes.frame = {panel.x0 + 34 + std::max(50.0, tick_width(axes.y, kYTicks)), panel.y0 + 104, panel.x1 - 40,
                panel.y1 - 92};
  const Frame& f = axes.frame;

  canvas.text(panel.x0 + 30, panel.y0 + 48, plot.title, kTitleSize, kInk, Align::kLeft, true);
  canvas.text(panel.x0 + 30, panel.y0 + 83, plot.y_label, kTextSize, kFaintInk);
  draw_line_legend(canvas, plot, f.x1, panel.y0 + 83);
  draw_axes(canvas, axes, kXTicks, kYTicks);
  canvas.text((f.x0 + f.x1) / 2, panel.y1 - 24, plot.x_label, kTextSize, kFaintInk, Align::kCenter);

  canvas.clip(f.x0 - 8, f.y0 - 8, f.x1 + 8, f.y1 + 8);
  for (size_t i = 0; i < plot.series.size(); ++i) {
    const Series& s = plot.series[i];
    draw_series(canvas, s, axes, class_color(s.color < 0 ? static_cast<int>(i) : s.color));
  }
  canvas.clip();
}

std::string class_name(const ScatterPlot& plot, int label) {
  if (label < 0) return "no label";
  const size_t i = static_cast<size_t>(label);
  return i < plot.label_names.size() ? plot.label_names[i] : std::to_string(label);
}

// One legend row per class that occurs, in class order; the last row counts those that found no place.
struct LegendRow {
  Color color;
  std::string name;
};

std::vector<LegendRow> scatter_legend(const ScatterPlot& plot, size_t rows) {
  std::map<int32_t, int> classes;
  for (const int32_t label : plot.labels) ++classes[std::max(label, -1)];
  std::vector<LegendRow> legend;
  for (const auto& [label, count] : classes) {
    if (legend.size() + 1 == rows && classes.size() > rows) {
      legend.push_back({kWhite, "and " + std::to_string(classes.size() - legend.size()) + " more"});
      break;
    }
    legend.push_back({class_color(label), class_name(plot, label)});
  }
  return legend;
}

// Draws the points in a scattered order, so that no class lies on top of all others. Returns how many lie outside.
int64_t draw_points(Canvas& canvas, const ScatterPlot& plot, const Axes& axes) {
  constexpr uint64_t kPrime = 4294967291u;  // larger than any count, therefore coprime to it
  const uint64_t count = plot.points.size() / 2;
  const double radius = std::clamp(9.0 - std::log2(static_cast<double>(count) + 1) * 0.45, 2.6, 7.0);
  const double alpha = count > 2000 ? 0.62 : 0.8;
  int64_t outside = 0;
  for (uint64_t k = 0; k < count; ++k) {
    const size_t i = k * kPrime % count;
    const Point p = {axes.px(plot.points[2 * i]), axes.py(plot.points[2 * i + 1])};
    const Frame& f = axes.frame;
    if (!(p.x >= f.x0 && p.x <= f.x1 && p.y >= f.y0 && p.y <= f.y1)) {
      ++outside;
      continue;
    }
    canvas.disc(p, radius, class_color(plot.labels.empty() ? 0 : plot.labels[i]), alpha);
  }
  return outside;
}

}  // namespace

Color class_color(int index) {
  static constexpr std::array<Color, 10> kColors = {{{46, 102, 165},
                                                     {230, 131, 48},
                                                     {74, 153, 98},
                                                     {198, 66, 79},
                                                     {128, 100, 178},
                                                     {142, 104, 82},
                                                     {224, 136, 180},
                                                     {52, 168, 186},
                                                     {186, 172, 52},
                                                     {92, 99, 112}}};
  if (index < 0) return {176, 180, 188};
  if (index < static_cast<int>(kColors.size())) return kColors[static_cast<size_t>(index)];
  // Hues a golden angle apart, at two lightnesses.
  const double hue = std::fmod(index * 137.508, 360) / 60, chroma = 0.5, light = index % 2 ? 0.38 : 0.58;
  const auto component = [&](double shift) {
    const double k = std::fmod(hue + shift, 6.0);
    const double ramp = std::clamp(std::min(k, 4 - k), 0.0, 1.0);
    return static_cast<uint8_t>(255 * (light + chroma * (ramp - 0.5) * 0.75));
  };
  return {component(2), component(0), component(4)};
}

std::vector<double> round_ticks(double low, double high, int count) {
  if (!(high > low) || count < 1) return {};
  const double wanted = (high - low) / count;
  const double power = std::pow(10, std::floor(std::log10(wanted)));
  const double spacing = power * (wanted <= power ? 1 : wanted <= 2 * power ? 2 : wanted <= 5 * power ? 5 : 10);
  std::vector<double> ticks;
  for (double i = std::ceil(low / spacing - 1e-9); i * spacing <= high + spacing * 1e-9; ++i)
    ticks.push_back(i * spacing);
  return ticks;
}

std::string tick_text(double value, double spacing) {
  const auto text = [&](std::chars_format format, int precision) {
    char buffer[64];  // not printf, whose decimal point depends on the locale
    const double shown = std::abs(value) < spacing * 1e-6 ? 0.0 : value;
    return std::string(buffer, std::to_chars(buffer, std::end(buffer), shown, format, precision).ptr);
  };
  const double magnitude = std::max(std::abs(value), spacing);
  if (!(magnitude < 1e9 && magnitude >= 1e-4)) return text(std::chars_format::general, 3);
  const int decimals = std::max(0, static_cast<int>(std::ceil(-std::log10(spacing) - 1e-9)));
  std::string result = text(std::chars_format::fixed, decimals);
  if (decimals == 0) {
    const int first = result[0] == '-' ? 1 : 0;
    for (int at = static_cast<int>(result.size()) - 3; at > first; at -= 3) result.insert(static_cast<size_t>(at), ",");
  }
  return result;
}

Image draw_line_plots(const std::vector<LinePlot>& plots, int columns, int panel_width, int panel_height) {
  const int count = std::max<int>(1, static_cast<int>(plots.size()));
  if (columns <= 0) columns = std::min(count, 2);
  const int rows = (count + columns - 1) / columns;
  Canvas canvas(columns * panel_width, rows * panel_height);
  for (int i = 0; i < static_cast<int>(plots.size()); ++i) {
    const double x = i % columns * panel_width, y = i / columns * panel_height;
    draw_panel(canvas, {x, y, x + panel_width, y + panel_height}, plots[static_cast<size_t>(i)]);
  }
  return canvas.image();
}

Image draw_scatter(const ScatterPlot& plot, int frame_size) {
  constexpr double kTop = 112, kBottom = 92, kRow = 36, kRight = 44;
  std::vector<double> xs, ys;
  for (size_t i = 0; i + 1 < plot.points.size(); i += 2) {
    xs.push_back(static_cast<double>(plot.points[i]));
    ys.push_back(static_cast<double>(plot.points[i + 1]));
  }
  Axes axes{{}, range_of(xs, 0.001, 0.999, 0.08), range_of(ys, 0.001, 0.999, 0.08)};
  const double left = 34 + std::max(50.0, tick_width(axes.y, 8));
  axes.frame = {left, kTop, left + frame_size, kTop + frame_size};

  const std::vector<LegendRow> legend = scatter_legend(plot, static_cast<size_t>(std::max(1.0, frame_size / kRow)));
  double legend_width = 0;
  for (const LegendRow& row : legend) legend_width = std::max(legend_width, 72 + text_width(row.name, kTextSize));
  Canvas canvas(static_cast<int>(axes.frame.x1 + legend_width + kRight), static_cast<int>(axes.frame.y1 + kBottom));

  canvas.text(30, 48, plot.title, kTitleSize, kInk, Align::kLeft, true);
  canvas.text(30, 83, plot.y_label, kTextSize, kFaintInk);
  draw_axes(canvas, axes, 8, 8);
  const int64_t outside = draw_points(canvas, plot, axes);
  const double caption = axes.frame.y1 + kBottom - 24;
  canvas.text((axes.frame.x0 + axes.frame.x1) / 2, caption, plot.x_label, kTextSize, kFaintInk, Align::kCenter);
  if (outside > 0) {
    canvas.text(axes.frame.x1, caption, std::to_string(outside) + " outside", kTextSize * 0.8, kFaintInk,
                Align::kRight);
  }
  for (size_t i = 0; i < legend.size(); ++i) {
    const double y = axes.frame.y0 + 8 + kRow * (static_cast<double>(i) + 0.5);
    canvas.disc({axes.frame.x1 + 44, y}, 8, legend[i].color);
    canvas.text(axes.frame.x1 + 66, y + kTextSize * kCapHeight / 2, legend[i].name, kTextSize);
  }
  return canvas.image();
}

}  // namespace hourglass
