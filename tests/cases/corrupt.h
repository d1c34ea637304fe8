// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/corrupt.h"

namespace hourglass {

/// (N, D), for each kind: a batch of images, then rows beside a quad, a tile and a vector, and empty ones.
struct CorruptExtents {
  int N, D;
};
inline const std::vector<CorruptExtents> kCorruptExtents = {{16, 784}, {3, 3072}, {1, 1},  {5, 3}, {2, 63},
                                                            {9, 65},   {1, 515},  {0, 10}, {3, 0}};
inline const std::vector<Corruption> kCorruptions = {
    {CorruptionKind::kGaussian, 0.5}, {CorruptionKind::kMask, 0.25}, {CorruptionKind::kSaltPepper, 0.1}};

}  // namespace hourglass
