// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/cast.h"

namespace hourglass::test {

inline const std::vector<CastShape> kCastCases = {{128 * 784}, {128}, {0}, {1}, {313}};

}  // namespace hourglass::test
