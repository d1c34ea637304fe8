// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/step_state.h"

namespace hourglass::test {

inline const std::vector<TableShape> kStepStateCases = {{256, 4}, {1, 1}, {2, 7}};

}  // namespace hourglass::test
