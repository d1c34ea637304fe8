// SPDX-License-Identifier: Apache-2.0
// What every autoencoder is to the commands that train, evaluate and use it.
#pragma once

#include <memory>

#include "engine/batch_source.h"
#include "engine/parameters.h"
#include "engine/tape.h"
#include "models/config.h"
#include "models/likelihood.h"

namespace hourglass {

/// Loss terms of a training step; those that a model lacks have node -1. The objective is reconstruction + beta kl, of
/// a VQ-VAE reconstruction / pixels + commitment_weight commitment + codebook.
struct LossTerms {
  Loss reconstruction{};  ///< -log p(x | z), mean over images (and draws), nats; of a VQ-VAE the squared error
  Loss kl{};              ///< KL(q(z | x) || p(z)), mean over images, nats; VAE
  Loss commitment{};      ///< mean over positions and dimensions; VQ-VAE
  Loss codebook{};        ///< the same number; VQ-VAE whose codebook has a gradient
};

/// Diagonal Gaussian q(z | x); of an autoencoder only mu, its code.
struct Posterior {
  Var mu{};      ///< (N, latent)
  Var logvar{};  ///< (N, latent) or empty
};

/// What evaluation needs of a batch; all per sample.
struct EvaluationTerms {
  Posterior posterior;
  Var reconstruction{};  ///< (N) -log p(x | z) of one draw z ~ q(z | x); for an autoencoder z is the code
  Var kl{};              ///< (N) or empty
  Var squared_error{};   ///< (N) of the decoder's mean at z = mu, summed over pixels
  NearestCode codes{};   ///< of all positions, image by image; VQ-VAE only
};

class Model {
 public:
  virtual ~Model() = default;

  const ModelConfig& config() const { return config_; }

  /// `samples` draws of z an image (Monte-Carlo estimate of the reconstruction term); the encoder runs once.
  virtual LossTerms train(Tape& tape, const Batch& batch, int samples) const = 0;
  virtual EvaluationTerms evaluate(Tape& tape, const Batch& batch) const = 0;
  virtual Posterior posterior(Tape& tape, const Var& x) const = 0;

  /// z (N, latent) to the decoder's output y (N, pixels): logits or mean, as the likelihood says.
  virtual Var decode(Tape& tape, const Var& z) const = 0;
  /// The mean of p(x | z), 0..1 for a Bernoulli.
  Var mean(Tape& tape, const Var& y) const { return likelihood_.mean(tape, y); }
  const Likelihood& likelihood() const { return likelihood_; }

 protected:
  Model(Parameters& parameters, const ModelConfig& config);
  Groups encoder_group() const { return encoder_group_; }
  Groups decoder_group() const { return decoder_group_; }

 private:
  ModelConfig config_;
  Groups encoder_group_, decoder_group_;
  Likelihood likelihood_;
};

/// The model that `config` names, its parameters added to `parameters` (to be allocated by the caller).
std::unique_ptr<Model> make_model(Parameters& parameters, const ModelConfig& config);

}  // namespace hourglass
