// SPDX-License-Identifier: Apache-2.0
// p(x | y): how a decoder's output is scored against the data.
#pragma once

#include "engine/ops.h"
#include "engine/parameters.h"
#include "models/config.h"
#include "models/network.h"

namespace hourglass {

/// Bernoulli: y are logits, the mean is sigmoid(y). Gaussian: y is the mean; sigma is given or learned ("log_sigma").
class Likelihood {
 public:
  Likelihood(Parameters& parameters, const ModelConfig& config, Groups group);

  Loss nll(Tape& tape, const Var& y, const Var& x) const;
  /// nll of decoder(z), fused with the decoder's last layer where there is an op for it: then y is never stored.
  Loss nll(Tape& tape, const Network& decoder, const Var& z, const Var& x) const;
  Var nll_per_sample(Tape& tape, const Var& y, const Var& x) const;
  Var mean(Tape& tape, const Var& y) const;

 private:
  Var log_sigma(Tape& tape, Dtype dtype) const;

  LikelihoodKind kind_;
  double fixed_log_sigma_;
  const Parameter* learned_ = nullptr;
};

}  // namespace hourglass
