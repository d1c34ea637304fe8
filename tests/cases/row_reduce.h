// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/row_reduce.h"

namespace hourglass {

inline const std::vector<RowReduceShape> kRowReduceCases = {
    {128, 784},  // pixels of a batch
    {128, 50},   // importance samples
    {1, 128},    // a batch's losses as one row
    {4096, 256}, {1, 1}, {3, 17}, {0, 5},
};

}  // namespace hourglass
