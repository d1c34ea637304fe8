// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/gaussian_latent.h"

namespace hourglass::test {

inline const std::vector<LatentShape> kGaussianLatentCases = {
    {128, 20, 1, 40}, {128, 20},     {512, 256, 1, 512},            // the models': a head, separate, a wide one
    {80, 50, 5, 100}, {5, 20, 50},                                  // draws
    {1, 1},           {5, 1},        {3, 7, 3, 14},      {300, 3},  // awkward
    {17, 64, 1, 128}, {9, 66, 40},   {2, 2051, 2},       {33, 65, 1, 130},
    {2, 20001},       {1, 33000, 2},  // rows cut into segments
};

}  // namespace hourglass::test
