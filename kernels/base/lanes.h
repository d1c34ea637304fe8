// SPDX-License-Identifier: Apache-2.0
// Sixteen explicit accumulators: the fixed order in which the timed float forms sum a row, at any vector width.
#pragma once

#include "kernels/base/simd.h"

namespace hourglass {

inline constexpr int kLanes = 16;

/// Sum of the lanes, halves added pairwise. Overwrites them.
template <class T>
HOURGLASS_HD HOURGLASS_INLINE T sum_lanes(T (&lanes)[kLanes]) {
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int j = 0; j < width; ++j) lanes[j] += lanes[j + width];
  }
  return lanes[0];
}

}  // namespace hourglass
