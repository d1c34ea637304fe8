// SPDX-License-Identifier: Apache-2.0
// Squared error of a row.
//
//   loss[n] = sum_d (y[n,d] - x[n,d])^2                       summed over the D columns of a row; no factor 1/2
//
// Backward:  dy[n,d] = 2 dloss[n] (y[n,d] - x[n,d]).
//
// It equals the Gaussian negative log-likelihood with sigma^2 = 1/2 up to the constant (D/2) log pi, so a weight of
// 1 / (2 sigma^2) makes it the one of any fixed sigma (gaussian_nll.h carries the constant).
//
//   y (N, D), x (N / draws, D), loss (N), dloss (N), dy (N, D), value (1)
//
// Zero elements: nothing happens (D = 0 leaves loss = 0). Errors: kUsage for N not a multiple of draws, and for the
// mean of `_loss` with N = 0.
#pragma once

#include "kernels/base/context.h"
#include "kernels/base/row_loss.h"

namespace hourglass::cpu {

/// Per-sample losses: loss (N) is overwritten.
template <class T>
void squared_error_forward(const Context& ctx, RowLossShape s, const T* y, const T* x, acc_t<T>* loss);

/// Gradient of sum_n dloss[n] loss[n].
template <class T>
void squared_error_backward(const Context& ctx, RowLossShape s, const T* y, const T* x, const acc_t<T>* dloss,
                            Grad<T> dy);

/// Value and weighted gradient in one pass: value = mean_n loss[n] (unweighted), dy = (w / N) 2 (y - x).
/// Either may be null.
template <class T>
void squared_error_loss(const Context& ctx, RowLossShape s, const T* y, const T* x, Weight weight, Grad<acc_t<T>> value,
                        Grad<T> dy);

/// The timed float forms.
void squared_error_forward(const Context& ctx, RowLossShape s, const float* y, const float* x, float* loss);
void squared_error_backward(const Context& ctx, RowLossShape s, const float* y, const float* x, const float* dloss,
                            Grad<float> dy);
void squared_error_loss(const Context& ctx, RowLossShape s, const float* y, const float* x, Weight weight,
                        Grad<float> value, Grad<float> dy);

}  // namespace hourglass::cpu

namespace hourglass::cuda {

/// As in namespace cpu. T: float or bf16.
template <class T>
void squared_error_forward(const Context& ctx, RowLossShape s, const T* y, const T* x, acc_t<T>* loss);
template <class T>
void squared_error_backward(const Context& ctx, RowLossShape s, const T* y, const T* x, const acc_t<T>* dloss,
                            Grad<T> dy);
template <class T>
void squared_error_loss(const Context& ctx, RowLossShape s, const T* y, const T* x, Weight weight, Grad<acc_t<T>> value,
                        Grad<T> dy);

}  // namespace hourglass::cuda
