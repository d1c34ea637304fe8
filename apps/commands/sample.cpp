// SPDX-License-Identifier: Apache-2.0
// hourglass sample RUN: codes drawn from the prior N(0, I), decoded.
#include "apps/commands.h"
#include "apps/pictures.h"
#include "apps/run_source.h"
#include "kernels/base/error.h"

namespace hourglass {

int run_sample(const SampleOptions& options) {
  RunSource source(options);
  if (source.config().kind == ModelKind::kVqVae) {
    throw Error(Exit::kUsage, "sample: " + options.run +
                                  " is a vqvae without a prior over its codes, so there is nothing to draw them from; "
                                  "expected a vae (reconstruct and interpolate take both)");
  }
  if (!source.is_vae()) {
    throw Error(Exit::kUsage, "sample: " + options.run +
                                  " is an autoencoder, which has no prior to draw codes from; expected a vae "
                                  "(reconstruct and interpolate take both)");
  }
  expect_fitting("--n", options.n, fitting_images(options.n, source.config()), source.config());
  const Matrix z = standard_normals(options.n, source.config().latent, static_cast<uint32_t>(options.seed));
  const Matrix images = source.model().decode(z);
  const std::filesystem::path path = source.picture("samples-seed-" + std::to_string(options.seed) + ".png");
  write_grid(path, images, source.config());
  Json facts = source.facts();
  facts.set("n", options.n).set("seed", options.seed).set("figures", Json::array({path.string()}));
  show_facts(options, facts);
  return 0;
}

}  // namespace hourglass
