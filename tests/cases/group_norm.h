// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/group_norm.h"

namespace hourglass {

/// (N, pixels, C, G): residual blocks, layer and instance norm, groups beside a warp and wider than a block, and empty
/// tensors.
inline const std::vector<GroupNormShape> kGroupNormCases = {
    {2, 64, 32, 8}, {3, 49, 12, 1}, {2, 30, 6, 6}, {2, 5, 33, 3}, {1, 3, 600, 2}, {2, 70, 24, 4}, {1, 130, 320, 40},
    {3, 4, 300, 1}, {1, 2, 1, 1},   {4, 1, 16, 4}, {0, 4, 8, 2},  {2, 0, 8, 2},   {2, 4, 0, 1},
};

}  // namespace hourglass
