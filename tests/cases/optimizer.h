// SPDX-License-Identifier: Apache-2.0
// A case is a list of ranges of one slab.
#pragma once

#include <vector>

#include "kernels/optimizer.h"

namespace hourglass::test {

inline const std::vector<std::vector<OptimizerRange>> kOptimizerCases = {
    {{0, 652824, 1, 1}},  // the 784-400-20 VAE
    {{0, 1, 1, 1}},       // awkward
    {},
    {{0, 0, 1, 1}, {3, 17, 1, 1}},
    {{0, 16000, 1, 1}, {16010, 1000, 0.1, 0}, {17100, 40001, 2, 0.5}},
};

}  // namespace hourglass::test
