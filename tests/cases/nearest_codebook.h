// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/nearest_codebook.h"

namespace hourglass::test {

inline const std::vector<NearestCodebookShape> kNearestCodebookCases = {
    {6272, 64, 512},  // the 28x28 VQ-VAE: 128 images of 7x7 positions
    {1, 1, 1},       {2, 1, 3},   {3, 2, 1},    {5, 3, 2},     {7, 4, 47},    {33, 5, 49},    {32, 7, 48},
    {31, 8, 1000},   {64, 9, 97}, {65, 15, 16}, {40, 16, 145}, {9, 17, 33},   {130, 31, 129}, {39, 33, 4097},
    {17, 64, 65},    {3, 200, 7}, {0, 5, 3},    {4, 0, 3},     {1, 64, 6200}, {35, 600, 200},
};

/// The shapes of performance work.
inline const std::vector<NearestCodebookShape> kNearestCodebookTimed = {
    {6272, 64, 512}, {16384, 64, 1024}, {16384, 64, 8192}, {16384, 8, 16384}, {16384, 256, 1024},
};

}  // namespace hourglass::test
