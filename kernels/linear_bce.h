// SPDX-License-Identifier: Apache-2.0
// The last layer of a Bernoulli decoder and its loss in one pass: linear.h without an activation, then the mean of
// bernoulli_nll.h. The logits l are never stored: the value and the weighted gradient are formed where l is summed.
//
//   l[n,k]       = sum_c x[n,c] w[k,c] + b[k]                  with transposed_weight: w[c,k] in place of w[k,c]
//   value        = mean_n sum_k softplus(l[n,k]) - t[n,k] l[n,k]                     in nats, unweighted
//   dlogits[n,k] = (weight / N) (sigmoid(l[n,k]) - t[n,k])
//
//   x (N, C), w (K, C) or (C, K), b (K) or null, target t (N / draws, K) in [0, 1], dlogits (N, K), value (1)
//
// The gradients of x, w and b are those of linear_backward given dlogits. Whoever wants the logits, or the loss of each
// sample, calls linear.h and bernoulli_nll.h.
//
// Zero columns: the value is 0. Errors: kUsage for a negative extent, N not a multiple of draws, and N = 0.
// Source: the pieces' own; fused as in Kingma and Welling, arXiv 1312.6114, appendix C.1.
#pragma once

#include <cstddef>

#include "kernels/base/row_loss.h"
#include "kernels/linear.h"

namespace hourglass {

struct LinearBceShape {
  int N = 0;
  int C = 0;
  int K = 0;
  int draws = 1;  ///< rows of x that share one row of the target
  bool transposed_weight = false;

  LinearShape layer() const { return {N, C, K, Activation::kNone, transposed_weight}; }
  RowLossShape loss() const { return {N, K, draws}; }
};

namespace cpu {

/// Bytes of the scratch of linear_bce_loss (partial sums of the value).
size_t linear_bce_scratch_bytes(const Context& ctx, LinearBceShape s);

/// dlogits is overwritten; value may be null. `scratch`: linear_bce_scratch_bytes(ctx, s) bytes, aligned for double.
template <class T>
void linear_bce_loss(const Context& ctx, LinearBceShape s, const T* x, const T* w, const T* b, const T* target,
                     Weight weight, void* scratch, Grad<acc_t<T>> value, T* dlogits);

/// The timed float form.
void linear_bce_loss(const Context& ctx, LinearBceShape s, const float* x, const float* w, const float* b,
                     const float* target, Weight weight, void* scratch, Grad<float> value, float* dlogits);

}  // namespace cpu

namespace cuda {

/// 0: the partial sums are in the context's workspace.
size_t linear_bce_scratch_bytes(const Context& ctx, LinearBceShape s);

/// T: float, or bf16 with float arithmetic. One launch; from kLibraryActivationWork multiply-adds on, where cuBLASLt is
/// there, its product and a pass over the logits in place.
template <class T>
void linear_bce_loss(const Context& ctx, LinearBceShape s, const T* x, const T* w, const T* b, const T* target,
                     Weight weight, void* scratch, Grad<acc_t<T>> value, T* dlogits);

}  // namespace cuda
}  // namespace hourglass
