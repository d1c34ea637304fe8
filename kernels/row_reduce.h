// SPDX-License-Identifier: Apache-2.0
// Reductions of each row, in an order fixed by the shape.
//
//   row_sum          y[n] = sum_d x[n,d]                      dx[n,d] = dy[n]
//   row_mean         y[n] = sum_d x[n,d] / D                  dx[n,d] = dy[n] / D
//   row_norm         y[n] = sqrt(sum_d x[n,d]^2)              dx[n,d] = dy[n] x[n,d] / y[n], 0 where y[n] = 0
//   row_log_sum_exp  y[n] = log sum_d exp x[n,d]              dx[n,d] = dy[n] exp(x[n,d] - y[n])
//
//   x, dx (N, D), y, dy (N)
//
// log-sum-exp subtracts the row's maximum first, so that it neither overflows nor loses the largest term; a row of
// -inf alone gives -inf with zero gradients. The subgradient of the norm at zero is 0.
//
// Sums are of type acc_t<double> inside for the norm and of T for the rest, in the order of d.
// N = 0: nothing happens. D = 0: the sum and the norm are 0, log-sum-exp is -inf, and the mean is an error.
// Errors: kUsage for negative extents and for a mean over D = 0.
//
// log_sum_exp_update is the streaming form, for bounds whose terms arrive in chunks (IWAE, K samples at a time):
//
//   max'[n] = max(max[n], max_k values[n,k])
//   sum'[n] = sum[n] exp(max[n] - max'[n]) + sum_k exp(values[n,k] - max'[n])
//
// Start with max = -inf and sum = 0; at the end log-sum-exp = max + log(sum). The state is double, so that chunks of
// any size give the same digits to about 1e-15.
#pragma once

#include "kernels/base/context.h"

namespace hourglass {

struct RowReduceShape {
  int N = 0;
  int D = 0;
};

namespace cpu {

template <class T>
void row_sum_forward(const Context& ctx, RowReduceShape s, const T* x, T* y);
template <class T>
void row_sum_backward(const Context& ctx, RowReduceShape s, const T* dy, Grad<T> dx);

template <class T>
void row_mean_forward(const Context& ctx, RowReduceShape s, const T* x, T* y);
template <class T>
void row_mean_backward(const Context& ctx, RowReduceShape s, const T* dy, Grad<T> dx);

template <class T>
void row_norm_forward(const Context& ctx, RowReduceShape s, const T* x, T* y);
template <class T>
void row_norm_backward(const Context& ctx, RowReduceShape s, const T* x, const T* y, const T* dy, Grad<T> dx);

template <class T>
void row_log_sum_exp_forward(const Context& ctx, RowReduceShape s, const T* x, T* y);
template <class T>
void row_log_sum_exp_backward(const Context& ctx, RowReduceShape s, const T* x, const T* y, const T* dy, Grad<T> dx);

/// values (N, D), a chunk of D terms a row; max (N), sum (N): the state, updated.
template <class T>
void log_sum_exp_update(const Context& ctx, RowReduceShape s, const T* values, double* max, double* sum);

}  // namespace cpu

namespace cuda {

/// The same, T: float or bf16; sums are float, those of the norm and the state of log_sum_exp_update double.
template <class T>
void row_sum_forward(const Context& ctx, RowReduceShape s, const T* x, T* y);
template <class T>
void row_sum_backward(const Context& ctx, RowReduceShape s, const T* dy, Grad<T> dx);

template <class T>
void row_mean_forward(const Context& ctx, RowReduceShape s, const T* x, T* y);
template <class T>
void row_mean_backward(const Context& ctx, RowReduceShape s, const T* dy, Grad<T> dx);

template <class T>
void row_norm_forward(const Context& ctx, RowReduceShape s, const T* x, T* y);
template <class T>
void row_norm_backward(const Context& ctx, RowReduceShape s, const T* x, const T* y, const T* dy, Grad<T> dx);

template <class T>
void row_log_sum_exp_forward(const Context& ctx, RowReduceShape s, const T* x, T* y);
template <class T>
void row_log_sum_exp_backward(const Context& ctx, RowReduceShape s, const T* x, const T* y, const T* dy, Grad<T> dx);

template <class T>
void log_sum_exp_update(const Context& ctx, RowReduceShape s, const T* values, double* max, double* sum);

}  // namespace cuda
}  // namespace hourglass
