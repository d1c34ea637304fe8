// SPDX-License-Identifier: Apache-2.0
// Group normalization: the channels of a pixel fall into G groups of C / G neighbours, and each group of each sample is
// normalized over its pixels and channels. G = 1 is layer norm over the image, G = C instance norm.
//
//   mean[n,g] = average of x over the pixels p and the channels c of group g            rstd = 1 / sqrt(var + eps)
//   var[n,g]  = average of (x - mean)^2                                                 (biased, as in PyTorch)
//   y[n,p,c]  = gamma[c] h[n,p,c] + beta[c],      h = (x - mean[n,g]) rstd[n,g]
//
// Backward, with averages over the group:
//
//   dx        = rstd ( gamma dy - average(gamma dy) - h average(gamma dy h) )
//   dgamma[c] = sum_{n,p} dy h,       dbeta[c] = sum_{n,p} dy
//
//   x, y, dx, dy (N, pixels, C); mean, rstd (N, G); gamma, beta, dgamma, dbeta (C). gamma null is 1, beta null 0.
//
// The variance is summed from differences to the mean: a large mean costs no digits. Zero elements: nothing is touched
// but dgamma and dbeta, which are zero (kSet) or unchanged.
// Errors: kUsage for a negative extent, G that does not divide C, and eps that is not above 0.
// Source: Wu and He, "Group normalization", arXiv 1803.08494.
#pragma once

#include <cstddef>

#include "kernels/base/context.h"

namespace hourglass {

struct GroupNormShape {
  int N = 0;
  int pixels = 0;  ///< H W
  int C = 0;
  int G = 1;
  double eps = 1e-5;
};

/// Bytes of the scratch of group_norm_backward, on every device: two sums a sample and channel.
inline size_t group_norm_scratch_bytes(const GroupNormShape& s, size_t element) {
  return 2 * static_cast<size_t>(s.N) * static_cast<size_t>(s.C) * element;
}

namespace cpu {

template <class T>
void group_norm_forward(const Context& ctx, const GroupNormShape& s, const T* x, const T* gamma, const T* beta, T* y,
                        acc_t<T>* mean, acc_t<T>* rstd);

/// `scratch` of group_norm_scratch_bytes(s, sizeof(acc_t<T>)). Each gradient may be null.
template <class T>
void group_norm_backward(const Context& ctx, const GroupNormShape& s, const T* x, const T* gamma, const acc_t<T>* mean,
                         const acc_t<T>* rstd, const T* dy, void* scratch, Grad<T> dx, Grad<acc_t<T>> dgamma,
                         Grad<acc_t<T>> dbeta);

// The timed float forms.
void group_norm_forward(const Context& ctx, const GroupNormShape& s, const float* x, const float* gamma,
                        const float* beta, float* y, float* mean, float* rstd);
void group_norm_backward(const Context& ctx, const GroupNormShape& s, const float* x, const float* gamma,
                         const float* mean, const float* rstd, const float* dy, void* scratch, Grad<float> dx,
                         Grad<float> dgamma, Grad<float> dbeta);

}  // namespace cpu

namespace cuda {

/// T: float or bf16; statistics and sums are float.
template <class T>
void group_norm_forward(const Context& ctx, const GroupNormShape& s, const T* x, const T* gamma, const T* beta, T* y,
                        acc_t<T>* mean, acc_t<T>* rstd);
template <class T>
void group_norm_backward(const Context& ctx, const GroupNormShape& s, const T* x, const T* gamma, const acc_t<T>* mean,
                         const acc_t<T>* rstd, const T* dy, void* scratch, Grad<T> dx, Grad<acc_t<T>> dgamma,
                         Grad<acc_t<T>> dbeta);

}  // namespace cuda
}  // namespace hourglass
