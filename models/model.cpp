// SPDX-License-Identifier: Apache-2.0
#include "models/model.h"

#include "models/autoencoder.h"
#include "models/vae.h"
#include "models/vqvae.h"

namespace hourglass {
namespace {
const ModelConfig& checked(const ModelConfig& config) {
  config.check();
  return config;
}
}  // namespace

Model::Model(Parameters& parameters, const ModelConfig& config)
    : config_(checked(config)),
      encoder_group_(parameters.group("encoder")),
      decoder_group_(parameters.group("decoder")),
      likelihood_(parameters, config, decoder_group_) {}

std::unique_ptr<Model> make_model(Parameters& parameters, const ModelConfig& config) {
  if (config.kind == ModelKind::kVae) return std::make_unique<Vae>(parameters, config);
  if (config.kind == ModelKind::kVqVae) return std::make_unique<VqVae>(parameters, config);
  return std::make_unique<Autoencoder>(parameters, config);
}

}  // namespace hourglass
