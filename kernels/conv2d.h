// SPDX-License-Identifier: Apache-2.0
// Two-dimensional convolution (cross-correlation, as everywhere in deep learning), and with it transposed convolution:
// three products serve six roles.
//
//   conv2d_forward          y[n,p,q,k]  = f( sum_{r,s,c} x[n, h, w, c] w[k,r,s,c] + b[k] + residual[n,p,q,k] )
//   conv2d_backward_input   x[n,h,w,c]  = f( sum_{r,s,k} y[n, p, q, k] w[k,r,s,c] + b[c] + residual[n,h,w,c] )
//   conv2d_backward_weight  dw[k,r,s,c] =    sum_{n,p,q} dy[n,p,q,k] x[n, h, w, c]
//
//   with  h = p stride_h - pad_h + r dilation_h,   w = q stride_w - pad_w + s dilation_w,
//
// each sum over the (p, h) and (q, w) that lie inside their images. The first two are adjoint: <y, conv(x)> =
// <conv^T(y), x>.
//
//                        | forward           | gradient of the input | gradient of the weight
//   convolution          | conv2d_forward    | backward_input(dz)    | backward_weight(x, dz)
//   transposed           | backward_input    | forward(dz)           | backward_weight(dz, input)
//
// where dz = dy f'(y) and the bias gradient come from conv2d_backward_epilogue, one pass over dy.
//
//   x (N, H, W, C), y (N, P, Q, K), w (K, R, S, C); bias and residual as the output of the product that adds them, or
//   null. Sums over the batch, no mean. A transposed convolution reads its input as y and writes its output as x: its
//   weight is (in, R, S, out).
//
// P and Q are given, not derived, and pad_h, pad_w are those above and left: so that `same` padding, which is one wider
// below and right for an even kernel, and output padding need no names of their own. conv2d_output_extent derives.
//
// y = f(...) is set or added to, as its Grad says. x, y and w of one call do not overlap.
//
// Zero elements: an empty output is not touched; an empty sum is zero: y = f(b + residual); dw is zero (kSet) or
// unchanged (kAdd).
// Errors: kUsage for a negative extent, a kernel, stride or dilation below 1, and gelu, whose derivative needs the
// input of the activation, which is not kept. A window may lie outside its image entirely: it reads zeros. Source:
// Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", arXiv 1603.07285.
#pragma once

#include <cstddef>

#include "kernels/activation.h"
#include "kernels/base/context.h"

namespace hourglass {

struct Conv2dShape {
  int N = 0;
  int H = 0, W = 0, C = 0;  ///< x
  int P = 0, Q = 0, K = 0;  ///< y
  int R = 1, S = 1;         ///< window
  int stride_h = 1, stride_w = 1;
  int pad_h = 0, pad_w = 0;  ///< rows above and columns left of x that read as zero; negative: x is cropped
  int dilation_h = 1, dilation_w = 1;
};

/// floor((extent + pad_before + pad_after - dilation (window - 1) - 1) / stride) + 1, at least 0: P from H, Q from W.
int conv2d_output_extent(int extent, int window, int stride, int pad_before, int pad_after, int dilation);

/// What a product adds to its sum before the activation; f is applied last. All null and kNone: the sum alone.
template <class T>
struct Conv2dEpilogue {
  const T* bias = nullptr;      ///< one a channel of the output
  const T* residual = nullptr;  ///< like the output
  Activation activation = Activation::kNone;
};

/// (rows, channels): an output with its pixels in a row.
struct Conv2dEpilogueShape {
  int64_t rows = 0;
  int channels = 0;
  Activation activation = Activation::kNone;
};

namespace cpu {

template <class T>
void conv2d_forward(const Context& ctx, const Conv2dShape& s, const T* x, const T* w, const Conv2dEpilogue<T>& epilogue,
                    Grad<T> y);

template <class T>
void conv2d_backward_input(const Context& ctx, const Conv2dShape& s, const T* y, const T* w,
                           const Conv2dEpilogue<T>& epilogue, Grad<T> x);

/// Bytes of the scratch of conv2d_backward_weight (partial sums of dw), aligned for T; it may be null if that is 0.
template <class T>
size_t conv2d_backward_weight_scratch_bytes(const Conv2dShape& s);

template <class T>
void conv2d_backward_weight(const Context& ctx, const Conv2dShape& s, const T* x, const T* dy, void* scratch,
                            Grad<acc_t<T>> dw);

/// dz = dy f'(y) in place of dy, and db[k] = sum over rows of dz. y may be null without an activation: then dy is only
/// read. Also the gradient of the residual is dz.
template <class T>
void conv2d_backward_epilogue(const Context& ctx, const Conv2dEpilogueShape& s, const T* y, T* dy, Grad<acc_t<T>> db);

/// The timed float forms.
template <>
size_t conv2d_backward_weight_scratch_bytes<float>(const Conv2dShape& s);
void conv2d_forward(const Context& ctx, const Conv2dShape& s, const float* x, const float* w,
                    const Conv2dEpilogue<float>& epilogue, Grad<float> y);
void conv2d_backward_input(const Context& ctx, const Conv2dShape& s, const float* y, const float* w,
                           const Conv2dEpilogue<float>& epilogue, Grad<float> x);
void conv2d_backward_weight(const Context& ctx, const Conv2dShape& s, const float* x, const float* dy, void* scratch,
                            Grad<float> dw);
void conv2d_backward_epilogue(const Context& ctx, const Conv2dEpilogueShape& s, const float* y, float* dy,
                              Grad<float> db);

}  // namespace cpu

namespace cuda {

/// T: float (products in fp32, or tf32 where ctx.math says so) or bf16; accumulation in fp32.
template <class T>
void conv2d_forward(const Context& ctx, const Conv2dShape& s, const T* x, const T* w, const Conv2dEpilogue<T>& epilogue,
                    Grad<T> y);

template <class T>
void conv2d_backward_input(const Context& ctx, const Conv2dShape& s, const T* y, const T* w,
                           const Conv2dEpilogue<T>& epilogue, Grad<T> x);

template <class T>
size_t conv2d_backward_weight_scratch_bytes(const Conv2dShape& s);

template <class T>
void conv2d_backward_weight(const Context& ctx, const Conv2dShape& s, const T* x, const T* dy, void* scratch,
                            Grad<acc_t<T>> dw);

template <class T>
void conv2d_backward_epilogue(const Context& ctx, const Conv2dEpilogueShape& s, const T* y, T* dy, Grad<acc_t<T>> db);

}  // namespace cuda
}  // namespace hourglass
