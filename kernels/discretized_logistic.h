// SPDX-License-Identifier: Apache-2.0
// Negative log-likelihood of 8-bit data under a logistic distribution, discretized: the probability of a level is what
// the distribution gives to its bin. With this, nats / (D log 2) are honest bits per dimension of the stored pixels.
//
//   nll[n] = -sum_d log( S(a) - S(b) ),   a = (x - mu + h) i,  b = (x - mu - h) i,  h = 1 / 510,  S = sigmoid
//   i      = exp_linear(-log_scale, 20)   the inverse scale
//
// x is a level / 255, rounded to the nearest one (bf16 tells the 256 apart, but does not hold them exactly); mu is on
// the same scale, and so is the scale: exp(log_scale) = 1 / 255 is one level. The bins of level 0 and 255 are open:
// their probabilities are S(a) and 1 - S(b), so that the 256 add up to one. Inner bins are evaluated as
//
//   -log(S(a) - S(b)) = softplus(-a) + softplus(b) - log(1 - e^-g),   g = a - b = 2 h i
//
// where nothing cancels: finite for |mu| and |log_scale| to 1e4. exp_linear is exp up to its bound and goes on along
// the tangent above it (kernels/base/math.h), as the precision of gaussian_nll.h does.
//
// Backward, with the terms of a and g left out at level 255 and those of b and g at level 0:
//
//   dmu[n,d]      = dnll[n] i ( S(-a) - S(b) )
//   dlog_scale[c] = sum dnll[n] r ( S(-a) a - S(b) b + g / (e^g - 1) ),    r = 1 for log_scale >= -20, and
//                   (di / d(-log_scale)) / i = 1 / (1 - log_scale - 20) below
//
// log_scale is learned and shared by the rows: element c serves the columns d with d % K = c. K = 1 is one for all; the
// channels C of (H, W, C) images one a channel, as channels lie last; D one a pixel and channel.
//
//   mu (N, D), x (N / draws, D), log_scale (K), nll (N), dnll (N), dmu (N, D), dlog_scale (K), value (1);
//   log_scale is acc_t<T>: bfloat16 would move the scale by up to 1 %
//
// Zero elements: nothing is summed. Errors: kUsage for N not a multiple of draws, K that does not divide D or is above
// 65536, and the mean of `_loss` with N = 0.
// Source: Salimans, Karpathy, Chen, Kingma, "PixelCNN++", arXiv 1701.05517, section 2.1, with one component.
#pragma once

#include "kernels/base/context.h"

namespace hourglass {

struct DiscretizedLogisticShape {
  int N = 0;                ///< predicted rows
  int D = 0;                ///< columns
  int draws = 1;            ///< row r is compared with row r / draws of the data
  int log_scale_count = 1;  ///< K
};

namespace cpu {

/// Per-sample losses: nll (N) is overwritten.
template <class T>
void discretized_logistic_forward(const Context& ctx, const DiscretizedLogisticShape& s, const T* mu, const T* x,
                                  const acc_t<T>* log_scale, acc_t<T>* nll);

/// Gradients of sum_n dnll[n] nll[n]. Either may be null.
template <class T>
void discretized_logistic_backward(const Context& ctx, const DiscretizedLogisticShape& s, const T* mu, const T* x,
                                   const acc_t<T>* log_scale, const acc_t<T>* dnll, Grad<T> dmu,
                                   Grad<acc_t<T>> dlog_scale);

/// Value and weighted gradients in one pass: value = mean_n nll[n] (unweighted), gradients those of w value. Each may
/// be null.
template <class T>
void discretized_logistic_loss(const Context& ctx, const DiscretizedLogisticShape& s, const T* mu, const T* x,
                               const acc_t<T>* log_scale, Weight weight, Grad<acc_t<T>> value, Grad<T> dmu,
                               Grad<acc_t<T>> dlog_scale);

/// The timed float forms; gradients with K above 64 run the reference.
void discretized_logistic_forward(const Context& ctx, const DiscretizedLogisticShape& s, const float* mu,
                                  const float* x, const float* log_scale, float* nll);
void discretized_logistic_backward(const Context& ctx, const DiscretizedLogisticShape& s, const float* mu,
                                   const float* x, const float* log_scale, const float* dnll, Grad<float> dmu,
                                   Grad<float> dlog_scale);
void discretized_logistic_loss(const Context& ctx, const DiscretizedLogisticShape& s, const float* mu, const float* x,
                               const float* log_scale, Weight weight, Grad<float> value, Grad<float> dmu,
                               Grad<float> dlog_scale);

}  // namespace cpu

namespace cuda {

/// T: float or bf16. One launch each.
template <class T>
void discretized_logistic_forward(const Context& ctx, const DiscretizedLogisticShape& s, const T* mu, const T* x,
                                  const acc_t<T>* log_scale, acc_t<T>* nll);
template <class T>
void discretized_logistic_backward(const Context& ctx, const DiscretizedLogisticShape& s, const T* mu, const T* x,
                                   const acc_t<T>* log_scale, const acc_t<T>* dnll, Grad<T> dmu,
                                   Grad<acc_t<T>> dlog_scale);
template <class T>
void discretized_logistic_loss(const Context& ctx, const DiscretizedLogisticShape& s, const T* mu, const T* x,
                               const acc_t<T>* log_scale, Weight weight, Grad<acc_t<T>> value, Grad<T> dmu,
                               Grad<acc_t<T>> dlog_scale);

}  // namespace cuda
}  // namespace hourglass
