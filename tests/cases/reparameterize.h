// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/reparameterize.h"

namespace hourglass::test {

inline const std::vector<LatentShape> kReparameterizeCases = {
    {128, 20},    {128, 20, 1, 40}, {80, 50, 5, 100},                 // the models': a batch, a head, draws
    {1, 1},       {0, 5},           {5, 1},           {3, 7, 3, 14},  // awkward
    {2, 2051, 2}, {300, 3},         {17, 64, 1, 128}, {9, 66, 40, 132},
};

}  // namespace hourglass::test
