// SPDX-License-Identifier: Apache-2.0
// Variational autoencoder, fully connected or convolutional.
//
//   q(z | x) = N(mu(x), diag exp(logvar(x))),  p(z) = N(0, I),  p(x | z) Bernoulli or Gaussian
//   objective = E_q[-log p(x | z)] + beta KL(q(z | x) || p(z)), in nats, summed over dimensions, mean over images
//
// Sources: Kingma and Welling, arXiv 1312.6114; Rezende et al., arXiv 1401.4082; beta: Higgins et al., ICLR 2017.
#pragma once

#include <string>

#include "models/inference.h"
#include "models/model.h"
#include "models/network.h"

namespace hourglass {

/// Layers trunk - (mu, logvar) and latent - decoder, as the config says. Parameters "encoder.<i>.*",
/// "head.weight" (2 latent, H) with mu in its first rows, "decoder.<i>.*"; with tied weights the head is two layers,
/// "mu.*" and "logvar.*", and the decoder mirrors the encoder through mu.
class Vae : public Model {
 public:
  Vae(Parameters& parameters, const ModelConfig& config);

  /// A trained VAE, ready for encode and decode without a tape: from a run folder or a checkpoint.
  static Inference load(const std::string& path, const RuntimeOptions& options = {});

  struct Output {
    Var head;               ///< (N, 2 latent): mu, then logvar
    GaussianLatent latent;  ///< z (N draws, latent) and its KL
    Var y;                  ///< (N draws, pixels): logits or mean
  };
  /// x (N, pixels); `noise.draws` rows of z an image.
  Output forward(Tape& tape, const Var& x, const Noise& noise) const;

  LossTerms train(Tape& tape, const Batch& batch, int samples) const override;
  EvaluationTerms evaluate(Tape& tape, const Batch& batch) const override;
  Posterior posterior(Tape& tape, const Var& x) const override;
  Var decode(Tape& tape, const Var& z) const override { return decoder_(tape, z); }

 private:
  Var head(Tape& tape, const Var& x) const;
  /// A draw of z and its KL, fused with the head where it is one layer.
  GaussianLatent latent(Tape& tape, const Var& x, const Noise& noise) const;
  Posterior split(Tape& tape, const Var& head) const;

  Network encoder_;
  std::vector<Linear> head_;  // one, or mu and logvar
  Network decoder_;
};

}  // namespace hourglass
