// SPDX-License-Identifier: Apache-2.0
// Batch normalization: each channel is normalized over all rows of the batch (and all pixels of its images), in
// training with the moments of that batch, afterwards with averages of them that training kept.
//
//   mean[c] = average of x[:,c],   var[c] = average of (x[:,c] - mean[c])^2,   rstd[c] = 1 / sqrt(var[c] + eps)
//   y[r,c]  = gamma[c] h[r,c] + beta[c],      h[r,c] = (x[r,c] - mean[c]) rstd[c]
//
// Backward, with averages over the rows, on which mean and rstd depend:
//
//   dx        = gamma rstd ( dy - average(dy) - h average(dy h) )
//   dgamma[c] = sum_r dy h,       dbeta[c] = sum_r dy
//
//   x, y, dx, dy (rows, C), rows = N H W; gamma, beta, mean, rstd, dgamma, dbeta (C). gamma null is 1, beta null 0.
//
// The running statistics follow the batches as a moving average, PyTorch's: the variance in it is the unbiased one,
// divided by rows - 1, while the one above divides by rows. A step learns `moments` (3, C): mean, unbiased variance and
// the number 1 of each channel. They add up (kAdd) over the micro-batches of a step; its commit, which runs only while
// no fault is set, takes their averages:
//
//   running <- (1 - momentum) running + momentum (moments / their number),      and the number becomes 0,
//
// so that a layer that a step uses twice is updated once. Inference is the y above with mean and var the running ones.
//
// The variance is summed from differences to the mean: a large mean costs no digits. Zero elements: nothing is touched
// but moments, dgamma and dbeta, which are zero (kSet) or unchanged.
// Errors: kUsage for a negative extent, eps that is not above 0, a momentum outside [0, 1], and a single row in
// training, whose variance is no estimate of anything.
// Source: Ioffe and Szegedy, "Batch normalization", arXiv 1502.03167.
#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/base/context.h"
#include "kernels/step_state.h"

namespace hourglass {

struct BatchNormShape {
  int64_t rows = 0;  ///< N H W
  int C = 0;
  double eps = 1e-5;
};

/// Shares that a device may cut the rows into, to sum them side by side.
inline int64_t batch_norm_shares(const BatchNormShape& s) {
  constexpr int64_t kMostShares = 32, kFewestRows = 16, kFewestElements = 1 << 14;
  const int64_t wanted = std::min({kMostShares, s.rows / kFewestRows, s.rows * s.C / kFewestElements});
  return std::max<int64_t>(wanted, 1);
}

/// Bytes of the scratch of forward and backward, on every device: two sums a channel and share.
inline size_t batch_norm_scratch_bytes(const BatchNormShape& s, size_t element) {
  return 2 * static_cast<size_t>(batch_norm_shares(s) * s.C) * element;
}

namespace cpu {

/// With the statistics of this batch. mean and rstd are for backward.
template <class T>
void batch_norm_forward(const Context& ctx, const BatchNormShape& s, const T* x, const T* gamma, const T* beta,
                        void* scratch, T* y, acc_t<T>* mean, acc_t<T>* rstd, Grad<acc_t<T>> moments);

template <class T>
void batch_norm_inference(const Context& ctx, const BatchNormShape& s, const T* x, const T* gamma, const T* beta,
                          const acc_t<T>* running_mean, const acc_t<T>* running_var, T* y);

/// Each gradient may be null.
template <class T>
void batch_norm_backward(const Context& ctx, const BatchNormShape& s, const T* x, const T* gamma, const acc_t<T>* mean,
                         const acc_t<T>* rstd, const T* dy, void* scratch, Grad<T> dx, Grad<acc_t<T>> dgamma,
                         Grad<acc_t<T>> dbeta);

/// The commit of a step.
template <class T>
void batch_norm_update(const Context& ctx, int C, double momentum, const Fault* fault, T* moments, T* running_mean,
                       T* running_var);

// The timed float forms.
void batch_norm_forward(const Context& ctx, const BatchNormShape& s, const float* x, const float* gamma,
                        const float* beta, void* scratch, float* y, float* mean, float* rstd, Grad<float> moments);
void batch_norm_inference(const Context& ctx, const BatchNormShape& s, const float* x, const float* gamma,
                          const float* beta, const float* running_mean, const float* running_var, float* y);
void batch_norm_backward(const Context& ctx, const BatchNormShape& s, const float* x, const float* gamma,
                         const float* mean, const float* rstd, const float* dy, void* scratch, Grad<float> dx,
                         Grad<float> dgamma, Grad<float> dbeta);

}  // namespace cpu

namespace cuda {

/// T: float or bf16; statistics and sums are float.
template <class T>
void batch_norm_forward(const Context& ctx, const BatchNormShape& s, const T* x, const T* gamma, const T* beta,
                        void* scratch, T* y, acc_t<T>* mean, acc_t<T>* rstd, Grad<acc_t<T>> moments);
template <class T>
void batch_norm_inference(const Context& ctx, const BatchNormShape& s, const T* x, const T* gamma, const T* beta,
                          const acc_t<T>* running_mean, const acc_t<T>* running_var, T* y);
template <class T>
void batch_norm_backward(const Context& ctx, const BatchNormShape& s, const T* x, const T* gamma, const acc_t<T>* mean,
                         const acc_t<T>* rstd, const T* dy, void* scratch, Grad<T> dx, Grad<acc_t<T>> dgamma,
                         Grad<acc_t<T>> dbeta);
/// T: float.
template <class T>
void batch_norm_update(const Context& ctx, int C, double momentum, const Fault* fault, T* moments, T* running_mean,
                       T* running_var);

}  // namespace cuda
}  // namespace hourglass
