// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/linear_bce.h"

namespace hourglass::test {

/// The decoder's last layer of the 784-400-20 autoencoder at batch 128, then awkward shapes.
inline const std::vector<LinearBceShape> kLinearBceCases = {
    {128, 400, 784},
    {128, 400, 784, 1, true},  // with the encoder's weight
    {1, 1, 1},
    {3, 5, 7},
    {12, 17, 65, 4, true},
    {260, 3, 49, 10},
    {36, 1028, 20},  // few logits of long sums
    {300, 2, 1, 1, true},
    {4, 0, 6},
    {5, 4, 0},
    {130, 36, 132, 2},
};

/// Timed as well: the batch of the largest reported step.
inline const std::vector<LinearBceShape> kLargeLinearBceCases = {{4096, 400, 784}};

}  // namespace hourglass::test
