// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/gradient_norm.h"

namespace hourglass::test {

inline const std::vector<GradientNormShape> kGradientNormCases = {
    {652824, 652828},                      // the 784-400-20 VAE with four statistics
    {1, 1},           {0, 0},     {0, 3},  // awkward
    {16, 17},         {5, 40000}, {16384, 16385}, {1100000, 1100000},
};

}  // namespace hourglass::test
