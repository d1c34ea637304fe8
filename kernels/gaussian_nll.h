// SPDX-License-Identifier: Apache-2.0
// Gaussian negative log-likelihood with an explicit or learned standard deviation, one for all columns or one a column.
//
//   nll[n] = sum_d  (1/2) p[d] (y[n,d] - x[n,d])^2 - (1/2) log p[d] + (1/2) log(2 pi)        in nats
//   p[d]   = 1 / sigma[d]^2 = exp_linear(-2 log_sigma[d], 20)
//
// exp_linear is exp up to its bound and goes on along the tangent above it (kernels/base/math.h): for
// log_sigma >= -10 this is exactly the normal density of standard deviation exp(log_sigma); below, it is the normal
// density of a sigma that shrinks more slowly. It stays a density, and value and gradient stay finite, for log_sigma
// to +-1e4.
//
// Backward:  dy[n,d]        = dnll[n] p[d] (y[n,d] - x[n,d])
//            dlog_sigma[d]  = sum_n dnll[n] (1 - p[d] (y[n,d] - x[n,d])^2) r[d],   summed over d too with one
//            log_sigma, r = 1 for log_sigma >= -10, and (dp / d(-2 log_sigma)) / p = 1 / (1 - 2 log_sigma - 20) below.
//
//   y (N, D), x (N / draws, D), log_sigma (1) or (D), nll (N), dnll (N), dy (N, D), dlog_sigma like log_sigma, value
//   (1); log_sigma is acc_t<T>: bfloat16 would move sigma by up to 1 %
//
// Zero elements: nothing is summed. Errors: kUsage for N not a multiple of draws, log_sigma_count neither 1 nor D, and
// the mean of `_loss` with N = 0.
#pragma once

#include "kernels/base/context.h"

namespace hourglass {

struct GaussianNllShape {
  int N = 0;                ///< predicted rows
  int D = 0;                ///< columns
  int draws = 1;            ///< row r is compared with row r / draws of the data
  int log_sigma_count = 1;  ///< 1: shared by all columns; D: one a column
};

namespace cpu {

/// Per-sample losses: nll (N) is overwritten.
template <class T>
void gaussian_nll_forward(const Context& ctx, GaussianNllShape s, const T* y, const T* x, const acc_t<T>* log_sigma,
                          acc_t<T>* nll);

/// Gradients of sum_n dnll[n] nll[n]. Either may be null.
template <class T>
void gaussian_nll_backward(const Context& ctx, GaussianNllShape s, const T* y, const T* x, const acc_t<T>* log_sigma,
                           const acc_t<T>* dnll, Grad<T> dy, Grad<acc_t<T>> dlog_sigma);

/// Value and weighted gradients in one pass: value = mean_n nll[n] (unweighted), gradients those of w value.
/// Each may be null.
template <class T>
void gaussian_nll_loss(const Context& ctx, GaussianNllShape s, const T* y, const T* x, const acc_t<T>* log_sigma,
                       Weight weight, Grad<acc_t<T>> value, Grad<T> dy, Grad<acc_t<T>> dlog_sigma);

/// The timed float forms.
void gaussian_nll_forward(const Context& ctx, GaussianNllShape s, const float* y, const float* x,
                          const float* log_sigma, float* nll);
void gaussian_nll_backward(const Context& ctx, GaussianNllShape s, const float* y, const float* x,
                           const float* log_sigma, const float* dnll, Grad<float> dy, Grad<float> dlog_sigma);
void gaussian_nll_loss(const Context& ctx, GaussianNllShape s, const float* y, const float* x, const float* log_sigma,
                       Weight weight, Grad<float> value, Grad<float> dy, Grad<float> dlog_sigma);

}  // namespace cpu

namespace cuda {

/// As in namespace cpu. T: float or bf16.
template <class T>
void gaussian_nll_forward(const Context& ctx, GaussianNllShape s, const T* y, const T* x, const acc_t<T>* log_sigma,
                          acc_t<T>* nll);
template <class T>
void gaussian_nll_backward(const Context& ctx, GaussianNllShape s, const T* y, const T* x, const acc_t<T>* log_sigma,
                           const acc_t<T>* dnll, Grad<T> dy, Grad<acc_t<T>> dlog_sigma);
template <class T>
void gaussian_nll_loss(const Context& ctx, GaussianNllShape s, const T* y, const T* x, const acc_t<T>* log_sigma,
                       Weight weight, Grad<acc_t<T>> value, Grad<T> dy, Grad<acc_t<T>> dlog_sigma);

}  // namespace cuda
}  // namespace hourglass
