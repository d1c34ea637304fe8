// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/kmeans.h"

namespace hourglass::test {

inline const std::vector<KMeansShape> kKMeansCases = {
    {6272, 64, 512},  // the 28x28 VQ-VAE's first batch
    {1, 1, 1},       {5, 3, 2}, {70, 33, 9}, {300, 4, 20},
};

}  // namespace hourglass::test
