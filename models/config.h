// SPDX-License-Identifier: Apache-2.0
// What a model is made of. A checkpoint carries it, so that any later command can build the model again.
#pragma once

#include <string>
#include <vector>

#include "engine/io/json.h"
#include "kernels/activation.h"
#include "models/architecture.h"

namespace hourglass {

enum class ModelKind { kAutoencoder, kVae, kVqVae };
enum class LikelihoodKind { kBernoulli, kGaussian, kLogistic };

/// The quantiser of a VQ-VAE.
struct QuantizerConfig {
  int codes = 512;  ///< K
  int dim = 64;     ///< of a code: the encoder ends with a 1 x 1 convolution to so many channels
  double commitment_weight = 0.25;
  bool ema = true;               ///< the codebook is a moving average; else a parameter with a gradient
  double decay = 0.99;           ///< of the moving average
  bool kmeans = true;            ///< start at the k-means of the first batch; else uniform in (-1/K, 1/K)
  double restart_threshold = 1;  ///< a code chosen less often a step, in the moving average, restarts; 0: none does
};

struct ModelConfig {
  ModelKind kind = ModelKind::kVae;
  int height = 28, width = 28, channels = 1;
  std::vector<int> hidden{400};  ///< fully connected encoder layers; the decoder mirrors them; empty: none
  std::string encoder{};         ///< instead of `hidden`: "conv 32 4 2; dense 256" (architecture.h); empty: none
  std::string decoder{};         ///< empty: the mirror of the encoder
  int latent = 20;               ///< size of the code
  bool spatial_code = false;     ///< the code is the encoder's output, and `latent` its size; not for a VAE
  Activation activation = Activation::kRelu;
  Activation code_activation = Activation::kNone;  ///< of the code; autoencoder only
  LikelihoodKind likelihood = LikelihoodKind::kBernoulli;
  double sigma = 1;             ///< standard deviation of the Gaussian likelihood
  bool learned_sigma = false;   ///< learn it, one scalar, from `sigma` on
  bool optimal_sigma = false;   ///< the one that suits each batch best
  bool tied_weights = false;    ///< the decoder uses the encoder's weights, transposed
  QuantizerConfig quantizer{};  ///< VQ-VAE only

  int pixels() const { return height * width * channels; }
  ImageShape image() const { return {height, width, channels}; }
  /// The encoder below its code, or a VAE's head, shapes inferred. Throws as check() if they do not fit, or if there
  /// are none and `spatial_code` wants some.
  Architecture trunk_layers() const;
  int trunk_size() const;  ///< values of the trunk's output
  /// The encoder: the trunk, and an autoencoder's code, or a VQ-VAE's projection to the positions' vectors.
  Architecture encoder_layers() const;
  /// Positions and dimensions of a VQ-VAE's code: (H', W', D).
  ImageShape code_grid() const { return encoder_layers().back().out; }
  /// From the code to the image.
  Architecture decoder_layers() const;
  /// Throws Error(kUsage) naming the field, what was expected and what was given.
  void check() const;
};

const char* name_of(ModelKind kind);             ///< "ae", "vae", "vqvae"
const char* name_of(LikelihoodKind likelihood);  ///< "bernoulli", "gaussian", "logistic"

Json to_json(const ModelConfig& config);
/// Throws as `json` was read: Error(kCheckpoint) for a checkpoint.
ModelConfig model_config_from_json(const Json& json);

}  // namespace hourglass
