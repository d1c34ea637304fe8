// SPDX-License-Identifier: Apache-2.0
// Pooling over windows of an image: the largest value, or the average, of each window and channel.
//
//   max      y[n,p,q,c] = max_{r,s} x[n, h, w, c]                      argmax[n,p,q,c] = r S + s of that pixel
//   average  y[n,p,q,c] = (1 / count(p,q)) sum_{r,s} x[n, h, w, c]
//
//   with  h = p stride_h - pad_h + r,   w = q stride_w - pad_w + s,   0 <= r < R,  0 <= s < S,
//
// over the pixels that lie inside the image: padding is no candidate of the maximum and adds nothing to the sum.
// `count` is the number of those pixels, or with `count_padding` always R S (PyTorch's count_include_pad, its default;
// Keras does not count the padding of `same`). Of equal values the first wins: the least r S + s. A NaN is larger than
// any number, and the first NaN of a window is its maximum.
//
// Backward:  max      dx[n,h,w,c] = sum of dy[n,p,q,c] over the windows (p, q) whose argmax is this pixel
//            average  dx[n,h,w,c] = sum of dy[n,p,q,c] / count(p,q) over the windows that hold this pixel
//
// in the order of p, then q: each pixel gathers from its windows, nothing is scattered.
//
//   x, dx (N, H, W, C); y, dy, argmax (N, P, Q, C). argmax may be null where no backward follows.
//
// P and Q are given, not derived, and pad_h, pad_w are those above and left, as in conv2d.h: `same` padding may be one
// wider below and right. pool2d_output_extent derives. A negative padding crops.
//
// Zero elements: nothing happens. Errors: kUsage for a negative extent, a window or stride below 1, a window wider
// than 32767 or without a pixel of the image, and 2^31 pixels or more.
#pragma once

#include <cstdint>

#include "kernels/base/context.h"

namespace hourglass {

struct Pool2dShape {
  int N = 0;
  int H = 0, W = 0, C = 0;  ///< x
  int P = 0, Q = 0;         ///< y
  int R = 1, S = 1;         ///< window
  int stride_h = 1, stride_w = 1;
  int pad_h = 0, pad_w = 0;    ///< rows above and columns left of x
  bool count_padding = false;  ///< average: divide by R S everywhere
};

/// floor((extent + pad_before + pad_after - window) / stride) + 1, at least 0: P from H, Q from W.
inline int pool2d_output_extent(int extent, int window, int stride, int pad_before, int pad_after) {
  const int64_t room = int64_t{extent} + pad_before + pad_after - window;
  return room < 0 ? 0 : static_cast<int>(room / stride + 1);
}

namespace cpu {

template <class T>
void max_pool2d_forward(const Context& ctx, const Pool2dShape& s, const T* x, T* y, int32_t* argmax);
template <class T>
void max_pool2d_backward(const Context& ctx, const Pool2dShape& s, const int32_t* argmax, const T* dy, Grad<T> dx);

template <class T>
void average_pool2d_forward(const Context& ctx, const Pool2dShape& s, const T* x, T* y);
template <class T>
void average_pool2d_backward(const Context& ctx, const Pool2dShape& s, const T* dy, Grad<T> dx);

/// The timed float forms.
void max_pool2d_forward(const Context& ctx, const Pool2dShape& s, const float* x, float* y, int32_t* argmax);
void max_pool2d_backward(const Context& ctx, const Pool2dShape& s, const int32_t* argmax, const float* dy,
                         Grad<float> dx);
void average_pool2d_forward(const Context& ctx, const Pool2dShape& s, const float* x, float* y);
void average_pool2d_backward(const Context& ctx, const Pool2dShape& s, const float* dy, Grad<float> dx);

}  // namespace cpu

namespace cuda {

/// T: float or bf16; sums are float.
template <class T>
void max_pool2d_forward(const Context& ctx, const Pool2dShape& s, const T* x, T* y, int32_t* argmax);
template <class T>
void max_pool2d_backward(const Context& ctx, const Pool2dShape& s, const int32_t* argmax, const T* dy, Grad<T> dx);

template <class T>
void average_pool2d_forward(const Context& ctx, const Pool2dShape& s, const T* x, T* y);
template <class T>
void average_pool2d_backward(const Context& ctx, const Pool2dShape& s, const T* dy, Grad<T> dx);

}  // namespace cuda
}  // namespace hourglass
