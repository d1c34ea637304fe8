// SPDX-License-Identifier: Apache-2.0
// Layers with parameters. Initial values are drawn as PyTorch's layers do: weights and biases uniform within
// 1 / sqrt(fan in).
#pragma once

#include <string>

#include "engine/ops.h"
#include "engine/parameters.h"

namespace hourglass {

/// y = activation(x w^T + b), w (K, C), b (K): x (N, C) to y (N, K).
struct Linear {
  Linear(Parameters& parameters, const std::string& name, int in, int out, Activation activation, Groups group);
  /// Tied: uses `encoder`'s weight (C, K) transposed, with its own bias.
  Linear(Parameters& parameters, const std::string& name, const Linear& encoder, Activation activation, Groups group);

  Var operator()(Tape& tape, const Var& x) const;

  const Parameter* weight;
  const Parameter* bias;
  Activation activation;
  bool transposed;
};

}  // namespace hourglass
