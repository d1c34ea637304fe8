// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/vector_quantize.h"

namespace hourglass::test {

inline const std::vector<VectorQuantizeShape> kVectorQuantizeCases = {
    {6272, 64, 512},  // the 28x28 VQ-VAE: 128 images of 7x7 positions
    {1, 1, 1},       {2, 3, 5}, {7, 1, 2}, {33, 5, 1}, {130, 17, 40}, {300, 8, 1000}, {1025, 6, 3},
};

}  // namespace hourglass::test
