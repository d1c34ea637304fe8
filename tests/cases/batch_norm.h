// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/batch_norm.h"

namespace hourglass {

/// (rows, C): images and hidden layers; rows folded evenly and not, several shares and bands, one channel, two rows, more
/// tiles than tickets, and empty tensors.
inline const std::vector<BatchNormShape> kBatchNormCases = {
    {2 * 64, 32}, {3 * 49, 12}, {1500, 24},     {700, 1}, {66, 300}, {2, 37, 0.1},
    {5, 4},       {300, 64},    {4, 8200, 0.1}, {0, 8},   {6, 0},
};

/// Layers of the models, for benchmarks: (batch 128) 14 x 14 x 32, 7 x 7 x 64, and a hidden layer; one beyond the
/// cache.
inline const std::vector<BatchNormShape> kLargeBatchNormCases = {
    {128 * 196, 32}, {128 * 49, 64}, {128, 400}, {128 * 1024, 64}};

}  // namespace hourglass
