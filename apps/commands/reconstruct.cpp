// SPDX-License-Identifier: Apache-2.0
// hourglass reconstruct RUN: the first images of a split above what the model makes of them, decode(encode(x));
// of a denoising run: with noise on them, denoised, and clean.
#include <algorithm>

#include "apps/commands.h"
#include "apps/pictures.h"
#include "apps/run_source.h"
#include "apps/terminal.h"
#include "models/evaluation.h"

namespace hourglass {
int run_reconstruct(const ReconstructOptions& options) {
  RunSource source(options);
  const Dataset data = source.load_data();
  const Corruption corruption = source.corruption();
  const bool denoising = corruption.amount > 0;
  const std::vector<int32_t> split = data.split(options.split);
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
  facts.set("mse", distortion(images, outputs).mse);
  if (denoising) {
    write_denoised(path, inputs, outputs, images, source.config());
    facts.set("noisy_mse", distortion(images, inputs).mse);
  } else {
    write_reconstructions(path, images, outputs, source.config());
  }
  facts.set("figures", Json::array({path.string()}));
  show_facts(options, facts);
  return 0;
}

}  // namespace hourglass
