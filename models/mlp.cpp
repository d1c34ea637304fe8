// SPDX-License-Identifier: Apache-2.0
#include "models/mlp.h"

#include <cmath>

namespace hourglass {
namespace {
Init fan_in(int inputs) { return Init::uniform(1 / std::sqrt(static_cast<double>(inputs))); }
}  // namespace

Linear::Linear(Parameters& parameters, const std::string& name, int in, int out, Activation a, Groups group)
    : weight(&parameters.add(name + ".weight", {out, in}, fan_in(in), group)),
      bias(&parameters.add(name + ".bias", {out}, fan_in(in), group)),
      activation(a),
      transposed(false) {}

Linear::Linear(Parameters& parameters, const std::string& name, const Linear& encoder, Activation a, Groups group)
    : weight(encoder.weight),
      bias(&parameters.add(name + ".bias", {encoder.weight->shape[1]}, fan_in(encoder.weight->shape[0]), group)),
      activation(a),
      transposed(true) {}

Var Linear::operator()(Tape& tape, const Var& x) const {
  return linear(tape, x, *weight, *bias, activation, transposed);
}

Mlp::Mlp(Parameters& parameters, const std::string& name, const std::vector<int>& sizes, Activation hidden,
         Activation last, Groups group) {
  for (size_t i = 0; i + 1 < sizes.size(); ++i) {
    const Activation a = i + 2 == sizes.size() ? last : hidden;
    layers.emplace_back(parameters, name + "." + std::to_string(i), sizes[i], sizes[i + 1], a, group);
  }
}

Mlp::Mlp(Parameters& parameters, const std::string& name, const std::vector<const Linear*>& encoder_layers,
         Activation hidden, Activation last, Groups group) {
  for (size_t i = 0; i < encoder_layers.size(); ++i) {
    const Activation a = i + 1 == encoder_layers.size() ? last : hidden;
    layers.emplace_back(parameters, name + "." + std::to_string(i), *encoder_layers[encoder_layers.size() - 1 - i], a,
                        group);
  }
}

Var Mlp::operator()(Tape& tape, Var x) const {
  for (const Linear& layer : layers) x = layer(tape, x);
  return x;
}

std::vector<const Linear*> Mlp::pointers() const {
  std::vector<const Linear*> list;
  for (const Linear& layer : layers) list.push_back(&layer);
  return list;
}

}  // namespace hourglass
