// SPDX-License-Identifier: Apache-2.0
// What an optimizer computes once a step, in double, for all elements: shared by its reference, its timed form
// and its CUDA form.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/base/error.h"
#include "kernels/optimizer.h"

namespace hourglass {

inline void check_optimizer(const OptimizerStep& step) {
  if (!step.lr) throw Error(Exit::kUsage, "optimizer: expected a learning rate, got a null pointer");
}
/// Reads the fault: on the device where that is.
HOURGLASS_HD inline bool optimizer_refuses(const OptimizerStep& step) { return step.fault && step.fault->code != 0; }

/// The scalars of one range in the type of its elements.
template <class T>
struct RangeScalars {
  T lr, weight_decay;
  T grad_scale;
  T bound;  ///< of a gradient element; infinity: none

  HOURGLASS_HD RangeScalars(const OptimizerStep& step, const OptimizerRange& range, double decay)
      : lr(static_cast<T>(*step.lr * range.lr_scale)),
        weight_decay(static_cast<T>(decay * range.weight_decay_scale)),
        grad_scale(static_cast<T>(step.grad_scale ? *step.grad_scale : 1.0)),
        bound(step.clip_value > 0 ? static_cast<T>(step.clip_value) : std::numeric_limits<T>::infinity()) {}
};

HOURGLASS_HD inline void advance(AdamState& state, const AdamOptions& options) {
  const bool fresh = state.steps == 0;
  ++state.steps;
  state.beta1_power = (fresh ? 1 : state.beta1_power) * options.beta1;
  state.beta2_power = (fresh ? 1 : state.beta2_power) * options.beta2;
}

}  // namespace hourglass
