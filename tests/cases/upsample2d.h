// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/upsample2d.h"

namespace hourglass {

/// The decoder of the notes, then unequal factors, channels beside a quad, and empty tensors.
inline const std::vector<Upsample2dShape> kUpsample2dCases = {
    {2, 7, 7, 32, 2, 2}, {2, 14, 14, 8, 2, 2}, {3, 4, 5, 1, 2, 3},  {1, 3, 2, 5, 3, 1}, {2, 2, 3, 130, 1, 4},
    {2, 3, 3, 4, 1, 1},  {1, 1, 1, 1, 1, 1},   {1, 1, 1, 1, 9, 40}, {0, 3, 3, 2, 2, 2}, {2, 0, 3, 2, 2, 2},
};

/// Timed: the two stages of a batch.
inline const std::vector<Upsample2dShape> kUpsample2dTimed = {{128, 7, 7, 32, 2, 2}, {128, 14, 14, 32, 2, 2}};

}  // namespace hourglass
