// SPDX-License-Identifier: Apache-2.0
// What a model is made of. A checkpoint carries it, so that any later command can build the model again.
#pragma once

#include <string>
#include <vector>

#include "engine/io/json.h"
#include "kernels/activation.h"
#include "models/architecture.h"

namespace hourglass {

enum class ModelKind { kAutoencoder, kVae };
enum class LikelihoodKind { kBernoulli, kGaussian, kLogistic };

struct ModelConfig {
  ModelKind kind = ModelKind::kVae;
  int height = 28, width = 28, channels = 1;
  std::vector<int> hidden{400};  ///< fully connected encoder layers; the decoder mirrors them; empty: none
  std::string encoder{};         ///< instead of `hidden`: "conv 32 4 2; dense 256" (architecture.h); empty: none
  std::string decoder{};         ///< empty: the mirror of the encoder
  int latent = 20;               ///< size of the code
  bool spatial_code = false;     ///< the code is the trunk's output, and `latent` its size; autoencoder only
  Activation activation = Activation::kRelu;
  Activation code_activation = Activation::kNone;  ///< of the code; autoencoder only
  LikelihoodKind likelihood = LikelihoodKind::kBernoulli;
  double sigma = 1;            ///< standard deviation of the Gaussian likelihood
  bool learned_sigma = false;  ///< learn it, one scalar, from `sigma` on
  bool optimal_sigma = false;  ///< the one that suits each batch best
  bool tied_weights = false;   ///< the decoder uses the encoder's weights, transposed

  int pixels() const { return height * width * channels; }
  ImageShape image() const { return {height, width, channels}; }
  /// The encoder below its code, or a VAE's head, shapes inferred.
  Architecture trunk_layers() const;
  int trunk_size() const;  ///< values of the trunk's output
  /// The encoder: the trunk, and an autoencoder's code.
  Architecture encoder_layers() const;
  /// From the code to the image.
  Architecture decoder_layers() const;
  /// Throws Error(kUsage) naming the field, what was expected and what was given.
  void check() const;
};

const char* name_of(ModelKind kind);             ///< "ae", "vae"
const char* name_of(LikelihoodKind likelihood);  ///< "bernoulli", "gaussian", "logistic"

Json to_json(const ModelConfig& config);
/// Throws as `json` was read: Error(kCheckpoint) for a checkpoint.
ModelConfig model_config_from_json(const Json& json);

}  // namespace hourglass
