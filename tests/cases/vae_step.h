// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/vae_step.h"

namespace hourglass::test {

/// Shapes that suit no tile or vector; then several tiles each way, with slices.
inline const std::vector<VaeStepShape> kVaeStepCases = {
    {9, 70, 33, 5}, {1, 1, 1, 1}, {33, 36, 40, 4, Activation::kTanh}, {40, 64, 150, 20}};

/// Timed as well: the VAE of the step benchmark.
inline const VaeStepShape kTimedVaeStep{128, 784, 400, 20};

}  // namespace hourglass::test
