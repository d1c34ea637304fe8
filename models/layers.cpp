// SPDX-License-Identifier: Apache-2.0
#include "models/layers.h"

#include <cmath>

namespace hourglass {
namespace {
Init fan_in(double inputs) { return Init::uniform(1 / std::sqrt(inputs)); }

/// Empty where there is none.
Var beside(const Parameter* p, Dtype dtype) { return p ? p->beside(dtype) : Var{}; }
}  // namespace

Linear::Linear(Parameters& parameters, const std::string& name, int in, int out, Activation a, Groups group,
               bool with_bias)
    : weight(&parameters.add(name + ".weight", {out, in}, fan_in(in), group)),
      bias(with_bias ? &parameters.add(name + ".bias", {out}, fan_in(in), group) : nullptr),
      activation(a),
      transposed(false) {}

Linear::Linear(Parameters& parameters, const std::string& name, const Linear& encoder, Activation a, Groups group)
    : weight(encoder.weight),
      bias(&parameters.add(name + ".bias", {encoder.weight->shape[1]}, fan_in(encoder.weight->shape[0]), group)),
      activation(a),
      transposed(true) {}

Var Linear::operator()(Tape& tape, const Var& x) const {
  return linear(tape, x, weight->beside(x.dtype), beside(bias, x.dtype), activation, transposed);
}

namespace {

/// The mirror of a layer without padding restores the rows and columns that its window lost.
Conv2dOptions options_of(const LayerSpec& l) {
  Conv2dOptions o;
  o.stride = l.stride;
  o.same = !l.valid;
  if (l.kind != LayerKind::kConvTranspose) return o;
  if (o.same) {
    o.output_size = {l.out.height, l.out.width};
  } else {
    o.output_padding = {l.out.height - (l.in.height - 1) * l.stride - l.window,
                        l.out.width - (l.in.width - 1) * l.stride - l.window};
  }
  return o;
}

/// PyTorch counts a transposed convolution's inputs by the second axis of its (in, out, R, S) weight.
double fan_in_of(const LayerSpec& l) {
  const int channels = l.kind == LayerKind::kConvTranspose ? l.out.channels : l.in.channels;
  return static_cast<double>(channels) * l.window * l.window;
}

Shape weight_shape(const LayerSpec& l) {
  const bool transposed = l.kind == LayerKind::kConvTranspose;
  const int in = l.in.channels, out = l.out.channels;
  return {transposed ? in : out, l.window, l.window, transposed ? out : in};
}

/// A convolution within a residual block, from and to the same grid.
LayerSpec within(const LayerSpec& block, int in, int out, int window) {
  LayerSpec l;
  l.kind = LayerKind::kConv;
  l.window = window;
  l.in = l.out = block.in;
  l.in.channels = in;
  l.out.channels = l.units = out;
  return l;
}

}  // namespace

Convolution::Convolution(Parameters& parameters, const std::string& name, const LayerSpec& l, Activation a,
                         Groups group)
    : weight(&parameters.add(name + ".weight", weight_shape(l), fan_in(fan_in_of(l)), group)),
      bias(l.norm == NormKind::kNone ? &parameters.add(name + ".bias", {l.out.channels}, fan_in(fan_in_of(l)), group)
                                     : nullptr),
      options(options_of(l)),
      activation(a),
      transposed(l.kind == LayerKind::kConvTranspose) {}

Var Convolution::operator()(Tape& tape, const Var& x, const Var& residual) const {
  const Var w = weight->beside(x.dtype), b = beside(bias, x.dtype);
  if (transposed) return conv_transpose2d(tape, x, w, b, options, activation, residual);
  return conv2d(tape, x, w, b, options, activation, residual);
}

Normalization::Normalization(Parameters& parameters, const std::string& name, const LayerSpec& l, Activation a,
                             Groups group)
    : gamma(&parameters.add(name + ".weight", {l.units}, Init::constant(1), group)),
      beta(&parameters.add(name + ".bias", {l.units}, Init::zeros(), group)),
      groups(l.groups),
      activation(a) {
  if (l.norm == NormKind::kBatch) running.emplace(parameters, name, l.units);
}

Var Normalization::operator()(Tape& tape, const Var& x) const {
  const Var scale = gamma->beside(x.dtype), shift = beta->beside(x.dtype);
  const Var y = running ? batch_norm(tape, x, scale, shift, *running) : group_norm(tape, x, scale, shift, groups);
  return activation == Activation::kNone ? y : hourglass::activation(tape, y, activation);
}

Var Pooling::operator()(Tape& tape, const Var& x) const {
  return maximum ? max_pool2d(tape, x, pool) : average_pool2d(tape, x, pool);
}

ResidualBlock::ResidualBlock(Parameters& parameters, const std::string& name, const LayerSpec& l, Activation a,
                             Groups group)
    : activation(a),
      window(parameters, name + ".0", within(l, l.in.channels, l.units, 3), a, group),
      mix(parameters, name + ".1", within(l, l.units, l.in.channels, 1), Activation::kNone, group) {}

Var ResidualBlock::operator()(Tape& tape, const Var& x) const {
  return mix(tape, window(tape, hourglass::activation(tape, x, activation)), x);
}

}  // namespace hourglass
