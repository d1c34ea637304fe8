// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/discretized_logistic.h"

namespace hourglass {

/// Color images with one scale a channel, grey ones with one for all, Monte-Carlo rows, one a pixel, and more scales
/// than a block has threads.
inline const std::vector<DiscretizedLogisticShape> kDiscretizedLogisticCases = {
    {4, 3072, 1, 3}, {16, 784, 1, 1}, {6, 15, 2, 5}, {6, 15, 3, 15}, {3, 400, 1, 200}, {1, 1, 1, 1}, {0, 6, 1, 2}};

}  // namespace hourglass
