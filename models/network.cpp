// SPDX-License-Identifier: Apache-2.0
#include "models/network.h"

namespace hourglass {
namespace {

std::string layer_name(const std::string& name, size_t i) { return name + "." + std::to_string(i); }

}  // namespace

Network::Network(Parameters& parameters, const std::string& name, const Architecture& layers, Activation hidden,
                 Groups group) {
  for (size_t i = 0; i < layers.size(); ++i) {
    const LayerSpec& l = layers[i];
    const Activation activation = l.own_activation ? l.activation : hidden;
    layers_.push_back(
        Linear(parameters, layer_name(name, i), static_cast<int>(l.in.elements()), l.units, activation, group));
  }
}

Network::Network(Parameters& parameters, const std::string& name, const std::vector<const Linear*>& encoder,
                 Activation hidden, Activation last, Groups group) {
  for (size_t i = 0; i < encoder.size(); ++i) {
    const Activation activation = i + 1 == encoder.size() ? last : hidden;
    layers_.push_back(Linear(parameters, layer_name(name, i), *encoder[encoder.size() - 1 - i], activation, group));
  }
}

Var Network::operator()(Tape& tape, const Var& x) const {
  Var y = x;
  for (const Layer& layer : layers_) {
    y = std::visit([&](const auto& l) { return l(tape, y); }, layer);
  }
  return y;
}

std::vector<const Linear*> Network::linear_layers() const {
  std::vector<const Linear*> list;
  for (const Layer& layer : layers_) list.push_back(&std::get<Linear>(layer));
  return list;
}

}  // namespace hourglass
