// SPDX-License-Identifier: Apache-2.0
// hourglass interpolate RUN: from the code of one image to that of another, decoded on the way; a row each pair. The
// first and the last picture of a row are the reconstructions of the two images.
//
//   straight   z(t) = (1 - t) a + t b
//   spherical  z(t) = (sin((1 - t) w) a + sin(t w) b) / sin w,  w the angle between a and b (Shoemake, SIGGRAPH 1985):
//              keeps the norm of codes of one norm, where the straight line dips to the origin
#include <algorithm>
#include <cmath>

#include "apps/commands.h"
#include "apps/pictures.h"
#include "apps/run_source.h"
#include "apps/terminal.h"
#include "kernels/base/error.h"
#include "kernels/base/permutation.h"

namespace hourglass {
namespace {

double angle_between(const float* a, const float* b, int d) {
  double ab = 0, aa = 0, bb = 0;
  for (int i = 0; i < d; ++i) {
    ab += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return aa > 0 && bb > 0 ? std::acos(std::clamp(ab / std::sqrt(aa * bb), -1.0, 1.0)) : 0;
}

/// `steps` codes from a to b, both included, into consecutive rows of z.
void walk(const float* a, const float* b, int steps, bool spherical, int d, float* z) {
  const double w = spherical ? angle_between(a, b, d) : 0, sine = std::sin(w);
  for (int s = 0; s < steps; ++s) {
    const double t = static_cast<double>(s) / (steps - 1);
    // Codes in one direction, or in opposite ones, name no great circle: the line it is.
    const bool arc = sine > 1e-6;
    const double of_a = arc ? std::sin((1 - t) * w) / sine : 1 - t, of_b = arc ? std::sin(t * w) / sine : t;
    for (int i = 0; i < d; ++i) z[int64_t{s} * d + i] = static_cast<float>(of_a * a[i] + of_b * b[i]);
  }
}

/// Two rows of the store a pair, all different, the same for a seed; fewer pairs where the split is small.
std::vector<int32_t> drawn_rows(const std::vector<int32_t>& split, const InterpolateOptions& options) {
  const uint32_t size = static_cast<uint32_t>(split.size());
  if (size < 2) throw Error(Exit::kData, "the " + options.split + " split has one image, and a pair takes two");
  const uint32_t pairs = std::min(static_cast<uint32_t>(options.pairs), size / 2);
  if (static_cast<int>(pairs) < options.pairs) {
    notice("--pairs " + std::to_string(options.pairs) + ": the " + options.split + " split has images for " +
           std::to_string(pairs));
  }
  std::vector<int32_t> rows;
  for (uint32_t i = 0; i < 2 * pairs; ++i) {
    rows.push_back(split[permute(i, size, static_cast<uint32_t>(options.seed), 0)]);
  }
  return rows;
}

}  // namespace

int run_interpolate(const InterpolateOptions& options) {
  RunSource source(options);
  const Dataset data = source.load_data();
  const std::vector<int32_t> rows = drawn_rows(data.split(options.split), options);
  const int64_t pairs = std::ssize(rows) / 2;
  const ModelConfig& config = source.config();
  const int64_t cells = pairs * options.steps;
  expect_fitting("--pairs times --steps", cells, fitting_images(cells, config, options.steps), config);
  const Matrix codes = source.model().encode(first_images(data, rows, static_cast<int64_t>(rows.size())));
  const int d = codes.cols;
  Matrix z(pairs * options.steps, d);
  for (int64_t pair = 0; pair < pairs; ++pair) {
    walk(codes.row(2 * pair), codes.row(2 * pair + 1), options.steps, options.spherical, d,
         z.row(pair * options.steps));
  }
  const std::filesystem::path path = source.picture("interpolations.png");
  write_grid(path, source.model().decode(z), config, options.steps);
  Json facts = source.facts(data, codes.rows);
  facts.set("pairs", pairs).set("steps", options.steps).set("spherical", options.spherical);
  facts.set("seed", options.seed).set("figures", Json::array({path.string()}));
  if (options.json) {
    Json images = Json::array();
    for (const int32_t row : rows) images.push_back(row);
    facts.set("images", images);
  }
  show_facts(options, facts);
  return 0;
}

}  // namespace hourglass
