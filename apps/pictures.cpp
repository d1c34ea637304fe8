// SPDX-License-Identifier: Apache-2.0
#include "apps/pictures.h"

#include <algorithm>

#include "engine/figure.h"
#include "engine/io/png.h"
#include "engine/plot.h"
#include "kernels/base/philox.h"

namespace hourglass {
namespace {

ImageShape image_shape(const ModelConfig& c) { return {c.height, c.width, c.channels}; }

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

}  // namespace

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
  const FigureRow rows[] = {{"input", images.values.data()}, {"output", reconstructions.values.data()}};
  write_png(path, draw_comparison(rows, static_cast<int>(images.rows), image_shape(config)));
}

void write_grid(const std::filesystem::path& path, const Matrix& images, const ModelConfig& config, int columns,
                int gap) {
  FigureOptions options;
  options.columns = columns;
  options.gap = gap;
  write_png(path, draw_image_grid(images.values.data(), static_cast<int>(images.rows), image_shape(config), options));
}

void write_curves(const std::filesystem::path& path, const std::vector<Json>& metrics, const std::string& title) {
  std::vector<LinePlot> plots{plot(metrics, title + ": objective", "objective", "nats per image"),
                              plot(metrics, "Reconstruction", "reconstruction", "nats per image")};
  const bool has_kl =
      std::any_of(metrics.begin(), metrics.end(), [](const Json& p) { return p.find("kl") != nullptr; });
  if (has_kl) plots.push_back(plot(metrics, "KL", "kl", "nats per image"));
  std::erase_if(plots, [](const LinePlot& p) { return p.series.empty(); });
  if (!plots.empty()) write_png(path, draw_line_plots(plots));
}

}  // namespace hourglass
