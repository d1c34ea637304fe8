// SPDX-License-Identifier: Apache-2.0
// Gaussian negative log-likelihood with the one standard deviation that suits the batch best. For a shared sigma the
// best sigma^2 is the mean squared error, and with it
//
//   mse   = (1 / (N D)) sum_{n,d} (y[n,d] - x[n,d])^2,      v = max(mse, e^-20)
//   value = (1/N) sum_n nll[n] = (D/2) (log(2 pi v) + mse / v)                     in nats: (D/2) log(2 pi e mse)
//
// Backward:  dy[n,d] = (w / N) (y[n,d] - x[n,d]) / v
//
// which is the gradient with sigma held fixed, too: at the best sigma the derivative by it is zero. The bound e^-20 is
// that of gaussian_nll.h: value and gradient stay finite where the reconstruction is perfect. The batch is what one
// call sees: with micro-batches each has its own sigma.
//
//   y (N, D), x (N / draws, D), mse (1), value (1), dy (N, D)
//
// Zero elements: D = 0 gives mse = 0 and value = 0. Errors: kUsage for N not a multiple of draws, and N = 0.
// Source: Rybkin, Daniilidis, Levine, "Simple and effective VAE training with calibrated decoders", arXiv 2006.13202,
// equation 6.
#pragma once

#include "kernels/base/context.h"
#include "kernels/base/row_loss.h"

namespace hourglass {
namespace cpu {

/// The mean squared error over all elements.
template <class T>
void optimal_gaussian_forward(const Context& ctx, RowLossShape s, const T* y, const T* x, acc_t<T>* mse);

/// Value (unweighted) and weighted gradient from the mse of the same y and x. Either may be null.
template <class T>
void optimal_gaussian_loss(const Context& ctx, RowLossShape s, const T* y, const T* x, const acc_t<T>* mse,
                           Weight weight, Grad<acc_t<T>> value, Grad<T> dy);

/// The timed float forms.
void optimal_gaussian_forward(const Context& ctx, RowLossShape s, const float* y, const float* x, float* mse);
void optimal_gaussian_loss(const Context& ctx, RowLossShape s, const float* y, const float* x, const float* mse,
                           Weight weight, Grad<float> value, Grad<float> dy);

}  // namespace cpu

namespace cuda {

/// T: float or bf16. One launch each.
template <class T>
void optimal_gaussian_forward(const Context& ctx, RowLossShape s, const T* y, const T* x, acc_t<T>* mse);
template <class T>
void optimal_gaussian_loss(const Context& ctx, RowLossShape s, const T* y, const T* x, const acc_t<T>* mse,
                           Weight weight, Grad<acc_t<T>> value, Grad<T> dy);

}  // namespace cuda
}  // namespace hourglass
