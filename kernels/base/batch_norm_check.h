// SPDX-License-Identifier: Apache-2.0
// The refusals of kernels/batch_norm.h, shared by its CPU and CUDA forms.
#pragma once

#include <string>

#include "kernels/base/error.h"
#include "kernels/batch_norm.h"

namespace hourglass {

inline void check_batch_norm(const BatchNormShape& s) {
  if (s.rows < 0 || s.C < 0) {
    throw Error(Exit::kUsage, "batch_norm: expected no negative extent, got rows = " + std::to_string(s.rows) +
                                  ", C = " + std::to_string(s.C));
  }
  if (!(s.eps > 0)) throw Error(Exit::kUsage, "batch_norm: expected eps above 0, got " + std::to_string(s.eps));
}

inline void check_batch_norm_training(const BatchNormShape& s) {
  check_batch_norm(s);
  if (s.rows == 1) {
    throw Error(Exit::kUsage, "batch_norm: expected more than one value a channel in training, got rows = N H W = 1");
  }
}

inline void check_batch_norm_update(int C, double momentum) {
  if (C < 0 || !(momentum >= 0 && momentum <= 1)) {
    throw Error(Exit::kUsage, "batch_norm: expected no negative extent and a momentum in [0, 1], got C = " +
                                  std::to_string(C) + ", momentum = " + std::to_string(momentum));
  }
}

}  // namespace hourglass
