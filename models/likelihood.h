// SPDX-License-Identifier: Apache-2.0
// p(x | y): how a decoder's output is scored against the data.
#pragma once

#include "engine/ops.h"
#include "engine/parameters.h"
#include "models/config.h"
#include "models/network.h"

namespace hourglass {

/// Bernoulli: y are logits, the mean is sigmoid(y). Gaussian: y is the mean; sigma is given, learned ("log_sigma") or
/// the best for the data that are scored together. Discretized logistic, of 8-bit pixels: y is the location, of
/// any size where a pixel is surely black or white; clipped to 0..1 it is the most probable value, which stands for the
/// mean. The scale is learned, one a channel ("log_scale").
class Likelihood {
 public:
  Likelihood(Parameters& parameters, const ModelConfig& config, Groups group);

  Loss nll(Tape& tape, const Var& y, const Var& x) const;
  /// nll of decoder(z), fused with the decoder's last layer where there is an op for it: then y is never stored.
  Loss nll(Tape& tape, const Network& decoder, const Var& z, const Var& x) const;
  /// With an optimal sigma the squared error, of which `nll` below makes the nll once all of it is known.
  Var nll_per_sample(Tape& tape, const Var& y, const Var& x) const;
  Var mean(Tape& tape, const Var& y) const;

  bool optimal_sigma() const { return optimal_sigma_; }
  /// The best variance for images of `pixels` values whose squared error is `squared_error` in the mean.
  static double best_variance(double squared_error, double pixels);
  /// -log N(x | y, variance) of an image of this squared error.
  static double nll(double squared_error, double pixels, double variance);

 private:
  Var log_sigma(Tape& tape, Dtype dtype) const;

  LikelihoodKind kind_;
  double fixed_log_sigma_;
  bool optimal_sigma_;
  const Parameter* learned_ = nullptr;  // log sigma, or the logistic log scale
};

}  // namespace hourglass
