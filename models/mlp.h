// SPDX-License-Identifier: Apache-2.0
// A stack of fully connected layers.
#pragma once

#include <string>
#include <vector>

#include "engine/ops.h"
#include "engine/parameters.h"

namespace hourglass {

/// y = activation(x w^T + b), w (K, C), b (K), drawn as PyTorch's nn.Linear does: uniform(1 / sqrt(C)).
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

/// Layers `<name>.0`, `<name>.1`, ... of widths sizes[0] -> sizes[1] -> ...; the last one has `last` as activation.
struct Mlp {
  Mlp(Parameters& parameters, const std::string& name, const std::vector<int>& sizes, Activation hidden,
      Activation last, Groups group);
  /// The mirror of `encoder_layers`, with their weights transposed.
  Mlp(Parameters& parameters, const std::string& name, const std::vector<const Linear*>& encoder_layers,
      Activation hidden, Activation last, Groups group);

  Var operator()(Tape& tape, Var x) const;
  /// For a mirror of this stack.
  std::vector<const Linear*> pointers() const;

  std::vector<Linear> layers;
};

}  // namespace hourglass
