// SPDX-License-Identifier: Apache-2.0
// The refusals of kernels/group_norm.h, shared by its CPU and CUDA forms.
#pragma once

#include <string>

#include "kernels/base/error.h"
#include "kernels/group_norm.h"

namespace hourglass {

inline void check_group_norm(const GroupNormShape& s) {
  if (s.N < 0 || s.pixels < 0 || s.C < 0 || s.G < 1 || s.C % s.G != 0) {
    throw Error(Exit::kUsage, "group_norm: expected no negative extent and groups that divide C, got N = " +
                                  std::to_string(s.N) + ", pixels = " + std::to_string(s.pixels) +
                                  ", C = " + std::to_string(s.C) + ", G = " + std::to_string(s.G));
  }
  if (!(s.eps > 0)) throw Error(Exit::kUsage, "group_norm: expected eps above 0, got " + std::to_string(s.eps));
}

}  // namespace hourglass
