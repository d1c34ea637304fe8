// SPDX-License-Identifier: Apache-2.0
// The tape's look at every value, on request: which op made the first one that is not finite.
#include <cmath>
#include <string>

#include "engine/host_values.h"
#include "engine/tape.h"
#include "kernels/base/error.h"

namespace hourglass {

void Tape::check_finite(const char* op, const char* what, const void* data, const Shape& shape, Dtype dtype) const {
  if (!data || ctx().measuring) return;
  Var view;
  view.data = const_cast<void*>(data);
  view.shape = shape;
  view.dtype = dtype;
  if (dtype == Dtype::kI32 || dtype == Dtype::kU8) return;
  const std::vector<double> values = host_values(ctx(), view);
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    throw Error(Exit::kNotFinite, std::string(op) + ": " + what + " " + to_string(shape) + " has " +
                                      (std::isnan(values[i]) ? "nan" : std::to_string(values[i])) + " at element " +
                                      std::to_string(i) + ", expected finite values");
  }
}

void Tape::check_outputs(const Record& r) const {
  for (uint32_t k = 0; k < r.nodes; ++k) {
    const Node& node = nodes_[static_cast<size_t>(output_nodes_[r.first_node + k])];
    check_finite(r.name, "output", node.data, node.shape, node.dtype);
  }
}

void Tape::check_gradients(const Record& r) const {
  for (uint32_t k = 0; k < r.nodes; ++k) {
    const Node& output = nodes_[static_cast<size_t>(output_nodes_[r.first_node + k])];
    for (uint32_t i = 0; i < output.inputs; ++i) {
      const Var& v = inputs_[output.first_input + i];
      const bool wanted = v.groups & wanted_;
      if (wanted && v.leaf)
        check_finite(r.name, "gradient of a parameter", v.leaf->grad, v.shape, accumulator_of(v.dtype));
      if (wanted && !v.leaf) {
        check_finite(r.name, "gradient of an input", nodes_[static_cast<size_t>(v.node)].grad, v.shape, v.dtype);
      }
    }
  }
}

}  // namespace hourglass
