// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/codebook_ema.h"

namespace hourglass::test {

inline const std::vector<CodebookEmaShape> kCodebookEmaCases = {
    {6272, 64, 512},  // the 28x28 VQ-VAE
    {1, 1, 1},       {5, 3, 2}, {3, 7, 40}, {200, 5, 300}, {40, 33, 1030},
};

}  // namespace hourglass::test
