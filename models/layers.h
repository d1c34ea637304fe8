// SPDX-License-Identifier: Apache-2.0
// Layers with parameters. Initial values are drawn as PyTorch's layers do: weights and biases uniform within
// 1 / sqrt(fan in).
#pragma once

#include <optional>
#include <string>

#include "engine/ops.h"
#include "engine/parameters.h"
#include "models/architecture.h"

namespace hourglass {

/// y = activation(x w^T + b), w (K, C), b (K): x (N, C) to y (N, K).
struct Linear {
  Linear(Parameters& parameters, const std::string& name, int in, int out, Activation activation, Groups group,
         bool with_bias = true);
  /// Tied: uses `encoder`'s weight (C, K) transposed, with its own bias.
  Linear(Parameters& parameters, const std::string& name, const Linear& encoder, Activation activation, Groups group);

  Var operator()(Tape& tape, const Var& x) const;

  const Parameter* weight;
  const Parameter* bias;  ///< null: none
  Activation activation;
  bool transposed;
};

/// Convolution or transposed convolution: x (N, H, W, C) to y (N, P, Q, K), weight (K, R, S, C); transposed: weight
/// (in, R, S, out).
struct Convolution {
  /// Without a bias where the layer has a norm.
  Convolution(Parameters& parameters, const std::string& name, const LayerSpec& layer, Activation activation,
              Groups group);

  Var operator()(Tape& tape, const Var& x, const Var& residual = {}) const;

  const Parameter* weight;
  const Parameter* bias;  ///< null: none
  Conv2dOptions options;
  Activation activation;
  bool transposed;
};

/// What stands between a layer's sum and its activation: y = gamma h + beta, h the normalized sum. The layer has no
/// bias then: batch-norm would take it away again, and beta stands for it. Parameters "<name>.weight" (gamma, ones) and
/// "<name>.bias" (beta, zeros), and of batch-norm the states "<name>.running_mean" and "<name>.running_var".
struct Normalization {
  Normalization(Parameters& parameters, const std::string& name, const LayerSpec& layer, Activation activation,
                Groups group);

  Var operator()(Tape& tape, const Var& x) const;

  const Parameter *gamma, *beta;
  int groups;                             ///< of group-norm
  std::optional<RunningMoments> running;  ///< of batch-norm
  Activation activation;                  ///< after it
};

struct Pooling {
  Var operator()(Tape& tape, const Var& x) const;

  bool maximum;
  Pool2d pool;
};

struct Upsampling {
  Var operator()(Tape& tape, const Var& x) const { return upsample2d(tape, x, factor, factor); }

  int factor;
};

/// y = x + conv1x1(f(conv3x3(f(x)))), as in van den Oord et al., arXiv 1711.00937. Parameters "<name>.0.*" and
/// "<name>.1.*".
struct ResidualBlock {
  ResidualBlock(Parameters& parameters, const std::string& name, const LayerSpec& layer, Activation activation,
                Groups group);

  Var operator()(Tape& tape, const Var& x) const;

  Activation activation;
  Convolution window, mix;
};

}  // namespace hourglass
