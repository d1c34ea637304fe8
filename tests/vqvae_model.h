// SPDX-License-Identifier: Apache-2.0
// A small VQ-VAE for tests: 8 x 8 images, a 4 x 4 grid of 8 codes of 3 dimensions.
#pragma once

#include "models/vqvae.h"
#include "tests/small_data.h"

namespace hourglass::test {

inline ModelConfig small_vqvae() {
  ModelConfig c;
  c.kind = ModelKind::kVqVae;
  c.height = c.width = 8;
  c.encoder = "conv 4 4 2; residual 3";
  c.likelihood = LikelihoodKind::kGaussian;
  c.spatial_code = true;
  c.latent = 4 * 4 * 3;
  c.quantizer.codes = 8;
  c.quantizer.dim = 3;
  return c;
}

/// Codes with a gradient, uniform at the start.
inline ModelConfig plain(ModelConfig c) {
  c.quantizer.ema = c.quantizer.kmeans = false;
  c.quantizer.restart_threshold = 0;
  return c;
}

inline TrainerOptions vqvae_trainer_options(const ModelConfig& model = small_vqvae()) {
  TrainerOptions options;
  options.model = model;
  options.batch.batch = 16;
  return options;
}

}  // namespace hourglass::test
