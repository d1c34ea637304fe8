// SPDX-License-Identifier: Apache-2.0
// Autoencoder, fully connected or convolutional: code = encoder(x), y = decoder(code), trained on -log p(x | y).
// Source: Hinton and Salakhutdinov, Science 313 (2006). Lecture notes that teach it: docs/lecture-notes.md.
#pragma once

#include "models/model.h"
#include "models/network.h"

namespace hourglass {

/// An encoder to the code and a decoder back, as the config says. Parameters "encoder.<i>.weight|bias",
/// "decoder.<i>.weight|bias".
class Autoencoder : public Model {
 public:
  Autoencoder(Parameters& parameters, const ModelConfig& config);

  struct Output {
    Var code;  ///< (N, latent)
    Var y;     ///< (N, pixels): logits or mean
  };
  /// x (N, pixels).
  Output forward(Tape& tape, const Var& x) const;

  LossTerms train(Tape& tape, const Batch& batch, int samples) const override;
  EvaluationTerms evaluate(Tape& tape, const Batch& batch) const override;
  Posterior posterior(Tape& tape, const Var& x) const override { return {encoder_(tape, x), {}}; }
  Var decode(Tape& tape, const Var& z) const override { return decoder_(tape, z); }

 private:
  Network encoder_, decoder_;
};

}  // namespace hourglass
