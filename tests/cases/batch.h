// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/batch.h"

namespace hourglass::test {

inline const std::vector<BatchShape> kBatchCases = {
    {128, 784, 0, 128, 60000}, {64, 784, 64, 128, 60000},                   // the models': a batch, its second half
    {1, 1, 0, 1, 1},           {0, 5, 0, 4, 9},           {3, 0, 0, 3, 7},  // awkward
    {7, 65, 0, 7, 30},         {33, 3, 2, 40, 100},       {17, 64, 0, 17, 17},
};

}  // namespace hourglass::test
