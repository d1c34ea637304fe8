// SPDX-License-Identifier: Apache-2.0
// General matrix product.
//
//   c[m,n] = sum_k A[m,k] B[k,n]                              summed over K in an order fixed by the shape
//
//   A = a (M, K), or the transpose of a (K, M) with transpose_a
//   B = b (K, N), or the transpose of b (N, K) with transpose_b
//   c (M, N), set or added to; all row-major and dense
//
// Backward, by the same op: dA = dC B^T, dB = A^T dC.
//
// K = 0: c is zero (kSet) or unchanged (kAdd). M = 0 or N = 0: nothing happens.
// Errors: kUsage for a negative extent.
//
// The float form cuts c into tiles by shape alone and never cuts K between threads, so its bits do not depend on the
// number of threads. A tile is computed by oneDNN where the build has it, or by our own blocked loops
// (gemm_blocked.cpp); the two differ in the last bits.
#pragma once

#include <string>

#include "kernels/base/context.h"

namespace hourglass {

struct GemmShape {
  int M = 0;
  int N = 0;
  int K = 0;
  bool transpose_a = false;
  bool transpose_b = false;
};

namespace cpu {

template <class T>
void gemm(const Context& ctx, GemmShape s, const T* a, const T* b, Grad<T> c);

/// The timed float form.
void gemm(const Context& ctx, GemmShape s, const float* a, const float* b, Grad<float> c);

/// What multiplies float matrices in this build: "oneDNN 2.6.3", or "own blocked loops".
const char* gemm_library();

}  // namespace cpu

namespace cuda {

/// T: float, or bf16 with float sums that are rounded once. With Math::kTf32 float operands are rounded to tf32 first:
/// by cuBLASLt for the tensor cores, by our own kernels as they stage them, for the numbers alone: they multiply on the
/// CUDA cores either way. Same bits on every run; our own kernels, on every card.
/// Computed by cuBLASLt where that is there (base/cublaslt.h), unless ctx.own_gemm.
template <class T>
void gemm(const Context& ctx, GemmShape s, const T* a, const T* b, Grad<T> c);

/// What multiplies matrices on this machine: "cuBLASLt 13.1.0", or "own tiles". Opens cuBLASLt.
std::string gemm_library();

}  // namespace cuda
}  // namespace hourglass
