// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/activation.h"

namespace hourglass {

/// Element counts; every activation runs on each. Around a vector, around a tile of the timed form, and a layer's.
inline const std::vector<int64_t> kActivationCounts = {0, 1, 15, 17, 16384, 16385, 128 * 400, 3 * 16384 + 5};

}  // namespace hourglass
