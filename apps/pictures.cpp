// SPDX-License-Identifier: Apache-2.0
#include "apps/pictures.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <numeric>

#include "engine/figure.h"
#include "engine/io/png.h"
#include "engine/plot.h"
#include "kernels/base/error.h"
#include "kernels/base/philox.h"

namespace hourglass {
namespace {

/// One curve of `key` over the epochs.
Series series(const std::vector<Json>& metrics, const std::string& key, const std::string& name, bool markers) {
  Series s;
  s.name = name;
  s.markers = markers;
  for (const Json& point : metrics) {
    const Json* value = point.find(key);
    if (!value || !value->is_number()) continue;
    s.x.push_back(point.get_number("epoch"));
    s.y.push_back(value->as_number());
  }
  return s;
}

LinePlot plot(const std::vector<Json>& metrics, const std::string& title, const std::string& key,
              const std::string& y_label) {
  LinePlot p;
  p.title = title;
  p.x_label = "epoch";
  p.y_label = y_label;
  p.y_trim = 0.02;
  p.series = {series(metrics, key, "training", false), series(metrics, "test_" + key, "test", true)};
  std::erase_if(p.series, [](const Series& s) { return s.x.empty(); });
  return p;
}

using Coordinates = std::vector<float>;

/// The x with P(Z < x) = p for a standard normal Z, by bisection.
float normal_quantile(double p) {
  double low = -10, high = 10;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (std::erfc(-middle / std::numbers::sqrt2) / 2 < p ? low : high) = middle;
  }
  return static_cast<float>(low);
}

Coordinates central_coordinates(const Matrix& codes, int column, int side) {
  constexpr double kLeftOut = 0.02;  // at each end: far codes are few, and pictures between them mean little
  std::vector<float> values;
  for (int64_t r = 0; r < codes.rows; ++r) values.push_back(codes.row(r)[column]);
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
  };
  const float low = at(kLeftOut), high = at(1 - kLeftOut);
  Coordinates coordinates;
  for (int i = 0; i < side; ++i) {
    coordinates.push_back(low + (high - low) * static_cast<float>(i) / static_cast<float>(std::max(1, side - 1)));
  }
  return coordinates;
}

Matrix grid_of(const Coordinates& horizontal, const Coordinates& vertical) {
  const size_t side = horizontal.size();
  Matrix z(static_cast<int64_t>(side * side), 2);
  for (size_t r = 0; r < side; ++r) {
    for (size_t c = 0; c < side; ++c) {
      float* code = z.row(static_cast<int64_t>(r * side + c));
      code[0] = horizontal[c];
      code[1] = vertical[side - 1 - r];
    }
  }
  return z;
}

std::vector<FigureRow> comparison_rows(const float* inputs, const float* outputs) {
  return {{"input", inputs}, {"output", outputs}};
}

std::vector<FigureRow> denoised_rows(const float* noisy, const float* denoised, const float* clean) {
  return {{"noisy", noisy}, {"denoised", denoised}, {"clean", clean}};
}

}  // namespace

int fitting_reconstructions(int64_t n, const ModelConfig& config, bool denoising) {
  return fitting_comparison(denoising ? denoised_rows(nullptr, nullptr, nullptr) : comparison_rows(nullptr, nullptr), n,
                            config.image());
}

int fitting_images(int64_t n, const ModelConfig& config, int columns) {
  return fitting_grid(n, config.image(), {.columns = columns});
}

int grid_side(const ModelConfig& config) {
  const auto fits = [&](int side) {
    return fitting_grid(side * side, config.image(), {.columns = side, .gap = 0, .most_pixels = kMaxImagePixels / 4}) ==
           side * side;
  };
  int side = kGridSide;
  while (side > 1 && !fits(side)) --side;
  return side;
}

void expect_fitting(const std::string& option, int64_t asked, int64_t fitting, const ModelConfig& config) {
  if (asked <= fitting) return;
  throw Error(Exit::kUsage, option + " expects at most " + std::to_string(fitting) + ", as a picture of " +
                                std::to_string(kMaxImagePixels) + " pixels holds images of " +
                                std::to_string(config.height) + " x " + std::to_string(config.width) + ", given " +
                                std::to_string(asked));
}

Matrix standard_normals(int n, int latent, uint32_t seed) {
  Noise noise;
  noise.seed = seed;
  noise.stream = stream_id("sample/latent");
  Matrix z(n, latent);
  for (int64_t r = 0; r < n; ++r) {
    for (int d = 0; d < latent; ++d) z.row(r)[d] = normal<float>(noise, r, d);
  }
  return z;
}

Matrix first_images(const Dataset& dataset, const std::vector<int32_t>& split, int64_t n) {
  const size_t count = std::min(split.size(), static_cast<size_t>(n));
  Matrix images;
  images.rows = static_cast<int64_t>(count);
  images.cols = dataset.dim();
  images.values = dataset.images({split.data(), count});
  return images;
}

void write_reconstructions(const std::filesystem::path& path, const Matrix& images, const Matrix& reconstructions,
                           const ModelConfig& config) {
  const auto rows = comparison_rows(images.values.data(), reconstructions.values.data());
  write_png(path, draw_comparison(rows, static_cast<int>(images.rows), config.image()));
}

void write_denoised(const std::filesystem::path& path, const Matrix& noisy, const Matrix& denoised, const Matrix& clean,
                    const ModelConfig& config) {
  const auto rows = denoised_rows(noisy.values.data(), denoised.values.data(), clean.values.data());
  write_png(path, draw_comparison(rows, static_cast<int>(clean.rows), config.image()));
}

Image grid_picture(const Matrix& images, const ModelConfig& config, int columns, int gap) {
  FigureOptions options;
  options.columns = columns;
  options.gap = gap;
  return draw_image_grid(images.values.data(), static_cast<int>(images.rows), config.image(), options);
}

void write_grid(const std::filesystem::path& path, const Matrix& images, const ModelConfig& config, int columns,
                int gap) {
  write_png(path, grid_picture(images, config, columns, gap));
}

Image scatter_picture(const Matrix& codes, const std::vector<int32_t>& labels,
                      const std::vector<std::string>& label_names, const std::string& title) {
  ScatterPlot plot;
  plot.title = title;
  plot.x_label = "z0";
  plot.y_label = "z1";
  plot.points = codes.values;
  plot.labels = labels;
  plot.label_names = label_names;
  return draw_scatter(plot);
}

Matrix prior_grid(int side) {
  Coordinates quantiles;
  for (int i = 0; i < side; ++i) quantiles.push_back(normal_quantile((i + 0.5) / side));
  return grid_of(quantiles, quantiles);
}

Matrix central_grid(const Matrix& codes, int side) {
  return grid_of(central_coordinates(codes, 0, side), central_coordinates(codes, 1, side));
}

void write_code_usage(const std::filesystem::path& path, std::vector<int64_t> usage, const std::string& title) {
  std::sort(usage.begin(), usage.end(), std::greater<>());
  const double total = std::max(1.0, static_cast<double>(std::accumulate(usage.begin(), usage.end(), int64_t{0})));
  LinePlot p;
  p.title = title;
  p.x_label = "codes by falling use";
  p.y_label = "% of all positions";
  Series chosen{.name = "chosen", .x = {}, .y = {}}, equal{.name = "all alike", .x = {}, .y = {}, .dashed = true};
  for (size_t k = 0; k < usage.size(); ++k) {
    chosen.x.push_back(static_cast<double>(k + 1));
    chosen.y.push_back(100 * static_cast<double>(usage[k]) / total);
  }
  equal.x = {1, static_cast<double>(usage.size())};
  equal.y = {100.0 / static_cast<double>(usage.size()), 100.0 / static_cast<double>(usage.size())};
  p.series = {chosen, equal};
  write_png(path, draw_line_plots({p}));
}

void write_curves(const std::filesystem::path& path, const std::vector<Json>& metrics, const std::string& title) {
  const auto has = [&metrics](const char* key) {
    return std::any_of(metrics.begin(), metrics.end(), [key](const Json& p) { return p.find(key) != nullptr; });
  };
  std::vector<LinePlot> plots;
  if (has("perplexity")) {
    plots = {plot(metrics, title + ": objective", "objective", "mean"), plot(metrics, "MSE", "mse", "a pixel"),
             plot(metrics, "Perplexity of the codes", "perplexity", "codes"),
             plot(metrics, "Commitment loss", "commitment_loss", "a dimension")};
    plots[2].y_trim = 0;
  } else {
    plots = {plot(metrics, title + ": objective", "objective", "nats per image"),
             plot(metrics, "Reconstruction", "reconstruction", "nats per image")};
  }
  if (has("kl")) plots.push_back(plot(metrics, "KL", "kl", "nats per image"));
  std::erase_if(plots, [](const LinePlot& p) { return p.series.empty(); });
  if (!plots.empty()) write_png(path, draw_line_plots(plots));
}

}  // namespace hourglass
