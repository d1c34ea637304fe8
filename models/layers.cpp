// SPDX-License-Identifier: Apache-2.0
#include "models/layers.h"

#include <cmath>

namespace hourglass {
namespace {
Init fan_in(double inputs) { return Init::uniform(1 / std::sqrt(inputs)); }
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

}  // namespace hourglass
