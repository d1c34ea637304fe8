// SPDX-License-Identifier: Apache-2.0
// Bernoulli negative log-likelihood, also called binary cross-entropy with logits.
//
//   nll[n] = sum_d  softplus(l[n,d]) - x[n,d] l[n,d]          in nats, summed over the D columns of a row
//          = sum_d  max(l, 0) - x l + log(1 + exp(-|l|))      the form evaluated: no term overflows, |l| to 1e4 and on
//
// Backward:  dl[n,d] = dnll[n] (sigmoid(l[n,d]) - x[n,d]).
//
// The data x lie in [0, 1]. On grey values this is the cross-entropy that everyone trains with, but no probability of
// the stored pixels (see docs on loss conventions); on binary data it is -log p(x | l).
//
//   logits (N, D), x (N / draws, D), nll (N), dnll (N), dlogits (N, D), value (1)
//
// Zero elements: nothing happens (D = 0 leaves nll = 0). Errors: kUsage for N not a multiple of draws, and for the mean
// of `_loss` with N = 0. Source: Kingma and Welling, arXiv 1312.6114, appendix C.1.
#pragma once

#include "kernels/base/context.h"
#include "kernels/base/row_loss.h"

namespace hourglass::cpu {

/// Per-sample losses: nll (N) is overwritten.
template <class T>
void bernoulli_nll_forward(const Context& ctx, RowLossShape s, const T* logits, const T* x, acc_t<T>* nll);

/// Gradient of sum_n dnll[n] nll[n].
template <class T>
void bernoulli_nll_backward(const Context& ctx, RowLossShape s, const T* logits, const T* x, const acc_t<T>* dnll,
                            Grad<T> dlogits);

/// Value and weighted gradient in one pass: value = mean_n nll[n] (unweighted), dlogits = (w / N) (sigmoid(l) - x).
/// Either may be null.
template <class T>
void bernoulli_nll_loss(const Context& ctx, RowLossShape s, const T* logits, const T* x, Weight weight,
                        Grad<acc_t<T>> value, Grad<T> dlogits);

/// The timed float forms.
void bernoulli_nll_forward(const Context& ctx, RowLossShape s, const float* logits, const float* x, float* nll);
void bernoulli_nll_backward(const Context& ctx, RowLossShape s, const float* logits, const float* x, const float* dnll,
                            Grad<float> dlogits);
void bernoulli_nll_loss(const Context& ctx, RowLossShape s, const float* logits, const float* x, Weight weight,
                        Grad<float> value, Grad<float> dlogits);

}  // namespace hourglass::cpu

namespace hourglass::cuda {

/// As in namespace cpu. T: float or bf16.
template <class T>
void bernoulli_nll_forward(const Context& ctx, RowLossShape s, const T* logits, const T* x, acc_t<T>* nll);
template <class T>
void bernoulli_nll_backward(const Context& ctx, RowLossShape s, const T* logits, const T* x, const acc_t<T>* dnll,
                            Grad<T> dlogits);
template <class T>
void bernoulli_nll_loss(const Context& ctx, RowLossShape s, const T* logits, const T* x, Weight weight,
                        Grad<acc_t<T>> value, Grad<T> dlogits);

}  // namespace hourglass::cuda
