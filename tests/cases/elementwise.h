// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/elementwise.h"

namespace hourglass {

/// Around a vector and around a tile of the timed form; latents and images of a batch.
inline const std::vector<ElementwiseShape> kElementwiseCases = {
    {0}, {1}, {15}, {17}, {16384}, {16385}, {128 * 20}, {128 * 784},
};

}  // namespace hourglass
