// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/gaussian_kl.h"

namespace hourglass::test {

inline const std::vector<GaussianKlShape> kGaussianKlCases = {
    {128, 20, 0, false}, {128, 20, 40, false}, {128, 20, 0, true}, {512, 256, 512, false},  // the models'
    {0, 5, 0, false},    {1, 1, 0, false},     {1, 1, 0, true},    {3, 7, 14, true},        // awkward
    {5, 0, 0, false},    {2, 1001, 0, true},
};

}  // namespace hourglass::test
