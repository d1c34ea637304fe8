// SPDX-License-Identifier: Apache-2.0
// Nearest-neighbour upsampling by whole factors: each pixel becomes a block of factor_h x factor_w equal pixels.
//
//   y[n,p,q,c] = x[n, p / factor_h, q / factor_w, c]                          (rounded down)
//
// Backward:  dx[n,h,w,c] = sum of dy over the block of (h, w), row by row.
//
//   x, dx (N, H, W, C); y, dy (N, H factor_h, W factor_w, C)
//
// Zero elements: nothing happens. Errors: kUsage for a negative extent, a factor below 1, and 2^31 pixels or more.
#pragma once

#include "kernels/base/context.h"

namespace hourglass {

struct Upsample2dShape {
  int N = 0;
  int H = 0, W = 0, C = 0;  ///< x
  int factor_h = 1, factor_w = 1;
};

namespace cpu {

template <class T>
void upsample2d_forward(const Context& ctx, const Upsample2dShape& s, const T* x, T* y);
template <class T>
void upsample2d_backward(const Context& ctx, const Upsample2dShape& s, const T* dy, Grad<T> dx);

/// The timed float forms.
void upsample2d_forward(const Context& ctx, const Upsample2dShape& s, const float* x, float* y);
void upsample2d_backward(const Context& ctx, const Upsample2dShape& s, const float* dy, Grad<float> dx);

}  // namespace cpu

namespace cuda {

/// T: float or bf16; sums are float.
template <class T>
void upsample2d_forward(const Context& ctx, const Upsample2dShape& s, const T* x, T* y);
template <class T>
void upsample2d_backward(const Context& ctx, const Upsample2dShape& s, const T* dy, Grad<T> dx);

}  // namespace cuda
}  // namespace hourglass
