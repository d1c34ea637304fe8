// SPDX-License-Identifier: Apache-2.0
// Linear layer with fused bias and activation f.
//
//   y[n,k] = f( sum_c x[n,c] w[k,c] + b[k] )                  with transposed_weight: w[c,k] in place of w[k,c]
//
// Backward, with dz = dy * f'(y) (f' from the output: activation.h):
//
//   dx[n,c] = sum_k dz[n,k] w[k,c]
//   dw[k,c] = sum_n dz[n,k] x[n,c]                            with transposed_weight: dw[c,k]
//   db[k]   = sum_n dz[n,k]                                   in an order fixed by the shape
//
//   x (N, C), w (K, C) or (C, K), b (K) or null, y (N, K); gradients alike; sums over the batch, no mean.
//
// transposed_weight reads the same memory as a layer of C inputs and K outputs would hold for K inputs and C outputs:
// an autoencoder with tied weights decodes with the encoder's w.
//
// N = 0: y and dx are empty, dw and db are zero (kSet) or unchanged (kAdd). C = 0: y = f(b).
// Errors: kUsage for a negative extent, and for gelu, whose derivative needs z, which the fused form does not keep
// (the engine composes it of a linear and an activation).
#pragma once

#include <cstddef>

#include "kernels/activation.h"
#include "kernels/base/context.h"

namespace hourglass {

struct LinearShape {
  int N = 0;
  int C = 0;
  int K = 0;
  Activation activation = Activation::kNone;
  bool transposed_weight = false;
};

namespace cpu {

/// Bytes of the scratch of linear_backward (it holds dz); 0 without an activation.
size_t linear_backward_scratch_bytes(const Context& ctx, LinearShape s, size_t element_bytes);

template <class T>
void linear_forward(const Context& ctx, LinearShape s, const T* x, const T* w, const T* b, T* y);

/// `scratch`: linear_backward_scratch_bytes(ctx, s, sizeof(T)) bytes, aligned for T; may be null if that is 0.
template <class T>
void linear_backward(const Context& ctx, LinearShape s, const T* x, const T* w, const T* y, const T* dy, void* scratch,
                     Grad<T> dx, Grad<T> dw, Grad<T> db);

/// The timed float forms.
void linear_forward(const Context& ctx, LinearShape s, const float* x, const float* w, const float* b, float* y);
void linear_backward(const Context& ctx, LinearShape s, const float* x, const float* w, const float* y, const float* dy,
                     void* scratch, Grad<float> dx, Grad<float> dw, Grad<float> db);

}  // namespace cpu

namespace cuda {

/// Multiply-adds from which a layer with an activation is a product of cuBLASLt and a pass over y, in place of one
/// launch of ours: about 10 us of an H100. An estimate, not yet measured. From the same size on the two products of the
/// backward are cuBLASLt's: on tensor cores in tf32 and bf16, where our tiles have none.
inline constexpr int64_t kLibraryActivationWork = int64_t{1} << 28;

/// dz of a layer with an activation, for cuBLASLt. Else 0: our own kernel recomputes dz wherever it reads it.
size_t linear_backward_scratch_bytes(const Context& ctx, LinearShape s, size_t element_bytes);

/// T: float, or bf16 with float arithmetic. Computed by cuBLASLt as gemm is; with an activation, only from
/// kLibraryActivationWork on.
template <class T>
void linear_forward(const Context& ctx, LinearShape s, const T* x, const T* w, const T* b, T* y);

/// One launch for all three gradients; from kLibraryActivationWork on dx and dw by cuBLASLt where it is there and
/// scratch is given, of dz as T holds it. With Math::kTf32 the operands of all products are rounded to tf32, dz too,
/// and with it what db adds up. y may be null without an activation.
template <class T>
void linear_backward(const Context& ctx, LinearShape s, const T* x, const T* w, const T* y, const T* dy, void* scratch,
                     Grad<T> dx, Grad<acc_t<T>> dw, Grad<acc_t<T>> db);

/// dx and dw by cuBLASLt at any size, one, both or none of them: those that it has made become null. `scratch`: N K
/// elements of T, with an activation.
template <class T>
void linear_backward_by_library(const Context& ctx, LinearShape s, const T* x, const T* w, const T* y, const T* dy,
                                void* scratch, Grad<T>* dx, Grad<acc_t<T>>* dw);

}  // namespace cuda
}  // namespace hourglass
