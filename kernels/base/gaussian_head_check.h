// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>

#include "kernels/base/linear_check.h"
#include "kernels/gaussian_head.h"

namespace hourglass {

inline void check_gaussian_head(const GaussianHeadShape& s, const Noise& noise) {
  if (s.D < 0 || s.D > std::numeric_limits<int>::max() / 2) {
    throw Error(Exit::kUsage, "gaussian_head: expected 0 <= D < 2^30, got D = " + std::to_string(s.D));
  }
  check_linear(s.layer());
  check_latent("gaussian_head", s.latent(), noise);
}

}  // namespace hourglass
