// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/linear.h"

namespace hourglass {

/// The layers of the 784-400-20 autoencoder at batch 128, then awkward ones.
inline const std::vector<LinearShape> kLinearCases = {
    {128, 784, 400, Activation::kRelu, false},    // encoder
    {128, 400, 40, Activation::kNone, false},     // heads
    {128, 20, 400, Activation::kRelu, false},     // decoder, first layer
    {128, 400, 784, Activation::kNone, false},    // decoder, logits
    {128, 400, 784, Activation::kSigmoid, true},  // decoder with the encoder's weight
    {1, 1, 1, Activation::kTanh, false},         {3, 5, 7, Activation::kSoftplus, false},
    {3, 5, 7, Activation::kLeakyRelu, true},     {9, 17, 65, Activation::kTanh, true},
    {259, 3, 49, Activation::kRelu, false},  // more rows than one run of the bias gradient
    {300, 2, 1, Activation::kNone, true},        {4, 0, 6, Activation::kSigmoid, false},
    {0, 4, 5, Activation::kRelu, false},         {5, 4, 0, Activation::kNone, true},
};

/// Timed as well: the batch of the largest reported step.
inline const std::vector<LinearShape> kLargeLinearCases = {
    {4096, 784, 400, Activation::kRelu, false},
    {4096, 400, 784, Activation::kNone, false},
};

}  // namespace hourglass
