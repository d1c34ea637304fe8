// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/columns.h"

namespace hourglass {

/// {rows, src_cols, dst_cols, src_first, dst_first, count}
inline const std::vector<ColumnsShape> kColumnsCases = {
    {128, 40, 20, 0, 0, 20},   // mu of a head
    {128, 40, 20, 20, 0, 20},  // logvar
    {128, 20, 40, 0, 20, 20},  // back into the head: its gradient, or a concatenation
    {4096, 512, 256, 256, 0, 256},
    {5, 7, 9, 2, 3, 4},
    {1, 1, 1, 0, 0, 1},
    {3, 4, 5, 4, 0, 0},  // an empty block
    {0, 4, 5, 1, 1, 2},
};

}  // namespace hourglass
