// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/gaussian_head.h"

namespace hourglass::test {

/// The head of the 784-400-20 VAE at batch 128, then awkward shapes.
inline const std::vector<GaussianHeadShape> kGaussianHeadCases = {
    {128, 400, 20},  {1, 1, 1}, {3, 5, 2}, {17, 33, 7, 3}, {65, 12, 36},
    {40, 260, 4},    {4, 0, 3}, {5, 4, 0}, {33, 8, 150},   {1060, 4, 3},  // more bands than tickets
    {36, 20, 12, 2},
};

/// Timed as well: the batch of the largest reported step.
inline const std::vector<GaussianHeadShape> kLargeGaussianHeadCases = {{4096, 400, 20}};

}  // namespace hourglass::test
