// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/base/row_loss.h"

namespace hourglass::test {

inline const std::vector<RowLossShape> kSquaredErrorCases = {
    {128, 784}, {4096, 784}, {1000, 784, 10},              // the models': a batch, a large batch, ten draws a sample
    {1, 1},     {0, 7},      {3, 5},          {6, 17, 3},  // awkward
    {2, 16},    {65, 33},    {1, 1000},       {130, 1},
};

}  // namespace hourglass::test
