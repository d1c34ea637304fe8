// SPDX-License-Identifier: Apache-2.0
// Vector-quantised autoencoder: each position of the encoder's grid becomes the nearest of K codes.
//
//   z (H', W', D) = encoder(x),  index = argmin_k |z - c[k]|^2,  y = decoder(c[index])
//   objective = mean (y - x)^2 + commitment_weight mean (z - sg[c])^2 [+ mean (sg[z] - c)^2]
//
// Means over pixels, over positions and dimensions, and over images: neither their number nor the image's size changes
// what a weight means. The gradient at c[index] is handed to z unchanged. The last term is there when the codebook is a
// parameter; else it is a moving average of the vectors that chose each code (kernels/codebook_ema.h), whose dead codes
// restart. Sources: van den Oord, Vinyals, Kavukcuoglu, arXiv 1711.00937; restart: Dhariwal et al., arXiv 2005.00341.
#pragma once

#include <optional>
#include <string>

#include "models/inference.h"
#include "models/model.h"
#include "models/network.h"

namespace hourglass {

/// Layers encoder - projection to `code_dim` channels - codes - decoder, as the config says. Parameters
/// "encoder.<i>.*", "decoder.<i>.*"; the codebook (K, D) is the state "codebook" with "codebook_counts" and
/// "codebook_sums", or the parameter "codebook".
class VqVae : public Model {
 public:
  VqVae(Parameters& parameters, const ModelConfig& config);

  /// A trained VQ-VAE, ready for codes without a tape: from a run folder or a checkpoint.
  static Inference load(const std::string& path, const RuntimeOptions& options = {});

  struct Output {
    Var z;                ///< (N, H', W', D), before the quantiser, which computes in f32 beside bf16
    Quantized quantized;  ///< its codes are what the decoder takes
    Var y;                ///< (N, pixels): the mean
  };
  /// In training the tape's commit updates a moving-average codebook.
  Output forward(Tape& tape, const Batch& batch) const;

  LossTerms train(Tape& tape, const Batch& batch, int samples) const override;
  EvaluationTerms evaluate(Tape& tape, const Batch& batch) const override;
  /// The codes' vectors: (N, H' W' D).
  Posterior posterior(Tape& tape, const Var& x) const override;
  Var decode(Tape& tape, const Var& z) const override { return decoder_(tape, z); }

  /// What the quantiser reads: (N, H', W', D).
  Var vectors(Tape& tape, const Var& x) const;
  /// x (N, pixels) to the index (N, H', W'), i32; -1 where a vector is not finite.
  Var codes(Tape& tape, const Var& x) const;
  /// The index (N, H', W') to the decoder's output (N, pixels): that of decode(posterior), bit for bit.
  Var decode_codes(Tape& tape, const Var& index) const;

  Var codebook() const;
  /// (H', W', D).
  ImageShape grid() const { return grid_; }
  /// Once the codebook is filled (by the slabs' allocation, or by k-means): moving averages begin at it.
  void start(const Context& ctx) const;
  /// The statistic of a training step: how often each code was chosen.
  const Leaf* code_counts() const;

 private:
  Quantized quantize(Tape& tape, const Var& z, const Batch& batch) const;

  ImageShape grid_;
  Network encoder_, decoder_;
  std::optional<EmaCodebook> average_;
  const Parameter* learned_ = nullptr;  // where there is no average
  Leaf* learned_counts_ = nullptr;
};

}  // namespace hourglass
