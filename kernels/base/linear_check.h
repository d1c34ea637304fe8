// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "kernels/base/error.h"
#include "kernels/linear.h"

namespace hourglass {

inline void check_linear(const LinearShape& s) {
  if (s.N < 0 || s.C < 0 || s.K < 0) {
    throw Error(Exit::kUsage, "linear: expected N, C, K >= 0, got N = " + std::to_string(s.N) +
                                  ", C = " + std::to_string(s.C) + ", K = " + std::to_string(s.K));
  }
  if (s.activation == Activation::kGelu) {
    throw Error(Exit::kUsage,
                "linear: gelu is not fused, because its derivative needs the input of the activation; "
                "expected none, relu, leaky-relu, tanh, sigmoid or softplus");
  }
}

}  // namespace hourglass
