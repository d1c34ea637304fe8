// SPDX-License-Identifier: Apache-2.0
#include "models/network.h"

#include "kernels/base/error.h"

namespace hourglass {
namespace {

using Op = std::variant<Linear, Convolution, Pooling, Upsampling, ResidualBlock>;

std::string layer_name(const std::string& name, size_t i) { return name + "." + std::to_string(i); }

Pooling pooling(const LayerSpec& l) {
  Pool2d pool;
  pool.window_h = pool.window_w = l.window;
  pool.stride_h = pool.stride_w = l.stride;
  pool.same = !l.valid;
  return {l.kind == LayerKind::kMaxPool, pool};
}

Activation activation_of(const LayerSpec& l, Activation hidden) { return l.own_activation ? l.activation : hidden; }

/// A layer, without its norm, which has the activation then.
Op make_layer(Parameters& parameters, const std::string& name, const LayerSpec& l, Activation hidden, Groups group) {
  const bool norm = l.norm != NormKind::kNone;
  const Activation activation = norm ? Activation::kNone : activation_of(l, hidden);
  switch (l.kind) {
    case LayerKind::kDense:
      return Linear(parameters, name, static_cast<int>(l.in.elements()), l.units, activation, group, !norm);
    case LayerKind::kConv:
    case LayerKind::kConvTranspose:
      return Convolution(parameters, name, l, activation, group);
    case LayerKind::kMaxPool:
    case LayerKind::kAvgPool:
      return pooling(l);
    case LayerKind::kUpsample:
      return Upsampling{l.stride};
    case LayerKind::kResidual:
      return ResidualBlock(parameters, name, l, hidden, group);
  }
  throw Error(Exit::kInternal, "network: a layer of an unknown kind");
}

/// Linear layers take rows, the others images.
Shape input_shape(const Op& op, const ImageShape& in, int rows) {
  if (std::holds_alternative<Linear>(op)) return {rows, in.elements()};
  return {rows, in.height, in.width, in.channels};
}

}  // namespace

Network::Network(Parameters& parameters, const std::string& name, const Architecture& layers, Activation hidden,
                 Groups group) {
  for (const LayerSpec& l : layers) {
    const std::string layer = layer_name(name, layers_.size());
    layers_.push_back({make_layer(parameters, layer, l, hidden, group), std::nullopt, l.in});
    if (l.norm == NormKind::kNone) continue;
    layers_.back().norm.emplace(parameters, layer + ".norm", l, activation_of(l, hidden), group);
  }
}

Network::Network(Parameters& parameters, const std::string& name, const std::vector<const Linear*>& encoder,
                 Activation hidden, Activation last, Groups group) {
  for (auto layer = encoder.rbegin(); layer != encoder.rend(); ++layer) {
    const Activation activation = layer + 1 == encoder.rend() ? last : hidden;
    const ImageShape in{1, 1, (*layer)->weight->shape[0]};
    layers_.push_back(
        {Linear(parameters, layer_name(name, layers_.size()), **layer, activation, group), std::nullopt, in});
  }
}

Var Network::run(Tape& tape, const Var& x, size_t layers) const {
  Var y = x;
  for (size_t i = 0; i < layers; ++i) {
    const Layer& layer = layers_[i];
    const Var in = reshape(y, input_shape(layer.op, layer.in, x.shape[0]));
    y = std::visit([&](const auto& op) { return op(tape, in); }, layer.op);
    if (layer.norm) y = (*layer.norm)(tape, y);
  }
  return reshape(y, {y.shape[0], y.shape.row_elements()});
}

Var Network::operator()(Tape& tape, const Var& x) const { return run(tape, x, layers_.size()); }

Var Network::without_last(Tape& tape, const Var& x) const { return run(tape, x, layers_.size() - 1); }

const Linear* Network::linear_end() const {
  const Linear* last = layers_.empty() || layers_.back().norm ? nullptr : std::get_if<Linear>(&layers_.back().op);
  return last && last->activation == Activation::kNone ? last : nullptr;
}

std::vector<const Linear*> Network::linear_layers() const {
  std::vector<const Linear*> list;
  for (const Layer& layer : layers_) list.push_back(&std::get<Linear>(layer.op));
  return list;
}

}  // namespace hourglass
