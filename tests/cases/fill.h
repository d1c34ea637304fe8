// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/fill.h"

namespace hourglass::test {

inline const std::vector<FillShape> kFillCases = {{128 * 784}, {128}, {0}, {1}, {313}};

}  // namespace hourglass::test
