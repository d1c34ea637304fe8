// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/gemm.h"

namespace hourglass {

/// The products of the 784-400-20 autoencoder at batch 128, then awkward ones.
inline const std::vector<GemmShape> kGemmCases = {
    {128, 400, 784, false, true},   // encoder, forward
    {128, 40, 400, false, true},    // heads
    {128, 400, 20, false, true},    // decoder, first layer
    {128, 784, 400, false, true},   // decoder, logits
    {784, 400, 128, true, false},   // weight gradient of the logits
    {128, 400, 784, false, false},  // input gradient of the logits
    {40, 400, 128, true, false},    // weight gradient of the heads
    {400, 784, 128, true, false},   // weight gradient of the encoder
    {1, 1, 1, false, false},       {1, 17, 3, false, true},   {9, 49, 257, true, true},  {33, 1, 31, true, false},
    {7, 15, 16, false, true},      {65, 97, 300, true, true}, {513, 3, 5, false, false}, {5, 0, 3, false, false},
    {0, 4, 3, false, true},        {6, 50, 0, false, false},  {6, 5, 0, true, true},
};

/// Reductions long enough that a cut of K would show; timed, and checked for the same bits on every thread count.
inline const std::vector<GemmShape> kLargeGemmCases = {
    {4096, 400, 784, false, true},
    {784, 400, 4096, true, false},
    {400, 784, 4096, true, false},
};

}  // namespace hourglass
