// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/pool2d.h"

namespace hourglass {

inline Pool2dShape pool2d_shape(int N, int H, int W, int C, int R, int S, int stride_h, int stride_w, int pad_h,
                                int pad_w, int P, int Q) {
  return {N, H, W, C, P, Q, R, S, stride_h, stride_w, pad_h, pad_w};
}

/// The pooling network of the notes (2 x 2, `same` where the grid is odd), then overlapping, asymmetric, padded,
/// cropped and gapped windows, channels beside a quad, and empty tensors.
inline const std::vector<Pool2dShape> kPool2dCases = {
    pool2d_shape(2, 28, 28, 32, 2, 2, 2, 2, 0, 0, 14, 14),
    pool2d_shape(2, 7, 7, 32, 2, 2, 2, 2, 0, 0, 4, 4),  // same: one row and column short below and right
    pool2d_shape(3, 7, 7, 1, 2, 2, 2, 2, 0, 0, 3, 3),
    pool2d_shape(2, 9, 8, 20, 3, 3, 2, 2, 1, 1, 5, 4),
    pool2d_shape(1, 6, 10, 5, 3, 2, 1, 1, 1, 0, 6, 9),
    pool2d_shape(2, 5, 6, 17, 4, 3, 3, 1, 2, 2, 3, 8),
    pool2d_shape(1, 9, 9, 4, 2, 1, 4, 3, 0, 0, 2, 3),    // pixels that no window holds
    pool2d_shape(2, 8, 9, 3, 2, 2, 2, 2, -2, -3, 2, 3),  // cropped
    pool2d_shape(2, 8, 8, 260, 8, 8, 1, 1, 0, 0, 1, 1),  // global
    pool2d_shape(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1),
    pool2d_shape(0, 4, 4, 3, 2, 2, 2, 2, 0, 0, 2, 2),
    pool2d_shape(2, 4, 4, 0, 2, 2, 2, 2, 0, 0, 2, 2),
    pool2d_shape(2, 1, 4, 3, 2, 2, 2, 2, 0, 0, 0, 2),  // no window: the gradient is zero
};

/// Timed: the first and second stage of a batch.
inline const std::vector<Pool2dShape> kPool2dTimed = {
    pool2d_shape(128, 28, 28, 32, 2, 2, 2, 2, 0, 0, 14, 14),
    pool2d_shape(128, 14, 14, 32, 2, 2, 2, 2, 0, 0, 7, 7),
    pool2d_shape(32, 64, 64, 64, 3, 3, 2, 2, 1, 1, 32, 32),
};

}  // namespace hourglass
