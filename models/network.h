// SPDX-License-Identifier: Apache-2.0
// A stack of layers, built from an architecture.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "models/architecture.h"
#include "models/layers.h"

namespace hourglass {

/// Layers `<name>.0`, `<name>.1`, ... of an architecture whose shapes are inferred, with norms `<name>.0.norm`, ....
/// Activation `hidden` of those that do not name their own.
class Network {
 public:
  Network(Parameters& parameters, const std::string& name, const Architecture& layers, Activation hidden, Groups group);
  /// The mirror of `encoder`'s fully connected layers, last first, with their weights transposed and `last` as the
  /// activation of the last.
  Network(Parameters& parameters, const std::string& name, const std::vector<const Linear*>& encoder, Activation hidden,
          Activation last, Groups group);

  /// x (N, ...), rows of as many values as the first layer takes, to (N, values of the last).
  Var operator()(Tape& tape, const Var& x) const;

  /// All layers but the last, for an op that is fused with that one: (N, values of its input).
  Var without_last(Tape& tape, const Var& x) const;
  /// The last layer, if it is fully connected and nothing follows its sum; else null.
  const Linear* linear_end() const;

  /// Its layers, for a mirror with tied weights. All are fully connected.
  std::vector<const Linear*> linear_layers() const;

 private:
  Var run(Tape& tape, const Var& x, size_t layers) const;

  struct Layer {
    std::variant<Linear, Convolution, Pooling, Upsampling, ResidualBlock> op;
    std::optional<Normalization> norm;
    ImageShape in;  ///< of an image
  };
  std::vector<Layer> layers_;
};

}  // namespace hourglass
