// SPDX-License-Identifier: Apache-2.0
// hourglass reconstruct RUN: the first images of a split above what the model makes of them, decode(encode(x));
// of a denoising run: with noise on them, denoised, and clean.
#include <algorithm>

#include "apps/commands.h"
#include "apps/pictures.h"
#include "apps/run_source.h"
#include "apps/terminal.h"

namespace hourglass {
namespace {

/// Mean over pixels and images, on the 0..1 scale.
double mean_squared_error(const Matrix& x, const Matrix& y) {
  double sum = 0;
  for (size_t i = 0; i < x.values.size(); ++i) {
    const double difference = double{y.values[i]} - double{x.values[i]};
    sum += difference * difference;
  }
  return sum / static_cast<double>(x.values.size());
}

}  // namespace

int run_reconstruct(const ReconstructOptions& options) {
  RunSource source(options);
  const Dataset data = source.load_data();
  const Corruption corruption = source.corruption();
  const bool denoising = corruption.amount > 0;
  const std::vector<int32_t>& split = data.split(options.split);
  const int64_t shown = std::min(std::ssize(split), std::ptrdiff_t{options.n});
  expect_fitting("--n", shown, fitting_reconstructions(shown, source.config(), denoising), source.config());
  const Matrix images = first_images(data, split, shown);
  if (images.rows < options.n) {
    notice("--n " + std::to_string(options.n) + ": the " + options.split + " split has " + count_text(images.rows) +
           " images; all of them are shown");
  }
  Inference& model = source.model();
  const Matrix inputs = denoising ? Corruptor(model.runtime(), source.config().pixels(), corruption,
                                              static_cast<uint32_t>(options.seed))(images)
                                  : images;
  const Matrix outputs = model.reconstruct(inputs);
  const std::filesystem::path path = source.picture("reconstructions-" + options.split + ".png");
  Json facts = source.facts(data, images.rows);
  facts.set("mse", mean_squared_error(images, outputs));
  if (denoising) {
    write_denoised(path, inputs, outputs, images, source.config());
    facts.set("noisy_mse", mean_squared_error(images, inputs));
  } else {
    write_reconstructions(path, images, outputs, source.config());
  }
  facts.set("figures", Json::array({path.string()}));
  show_facts(options, facts);
  return 0;
}

}  // namespace hourglass
