// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/gaussian_nll.h"

namespace hourglass::test {

inline const std::vector<GaussianNllShape> kGaussianNllCases = {
    {128, 784, 1, 1}, {128, 784, 1, 784}, {1000, 784, 10, 784},  // the models': shared, one a pixel, ten draws a sample
    {1, 1, 1, 1},     {0, 7, 1, 7},       {3, 5, 1, 5},         {6, 17, 3, 1},  // awkward
    {2, 64, 1, 64},   {65, 65, 1, 1},     {130, 1, 2, 1},
};

}  // namespace hourglass::test
