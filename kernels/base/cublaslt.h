// SPDX-License-Identifier: Apache-2.0
// cuBLASLt behind the contracts of gemm.h and linear.h. The library is half a gigabyte and takes 0.1 s to open, so it
// is not linked: the first product that may use it opens it, and where it is absent our own kernels do the work.
//
// For each kind of product the first algorithm of cuBLASLt's heuristic is taken and kept as its plan: nothing is chosen
// by timing. Algorithms that add partial sums in another order, or in a narrower type, on each run are excluded. Its
// workspace is the context's, behind the tickets. Plans are made by eager steps; one that is missing during a capture
// is an error, because the replay would not do what the steps before it did.
//
// RELU_BIAS is not used. It is documented as max(0, x), and which of the two a NaN makes of that is not said (the
// maximum of CUDA's mathematics is the other operand): a sum that overflowed could leave the layer as 0, and the check
// of the gradients, which refuses a step that is not finite, would find nothing. Our own activations let NaN through.
#pragma once

#include <string>
#include <vector>

#include "kernels/base/context.h"

namespace hourglass::cuda {

enum class LibraryEpilogue : uint8_t { kNone, kBias };

/// c (M, N) = epilogue(A B), or c + A B; matrices as in gemm.h; bias (N). Sums are float; float operands
/// are rounded to tf32 where ctx.math says so, else multiplied in full.
struct LibraryProduct {
  int M = 0, N = 0, K = 0;
  bool transpose_a = false, transpose_b = false;
  LibraryEpilogue epilogue = LibraryEpilogue::kNone;
  Dtype dtype = Dtype::kF32;  ///< of all operands: kF32 or kBF16
  Write mode = Write::kSet;   ///< kAdd: without an epilogue only
  bool float_c = false;       ///< c is float whatever the operands are: gradients of parameters
};

/// True if cuBLASLt computes the product on the context's stream. False, and nothing happens, where there is no
/// cuBLASLt, where it has no algorithm for the product, where K = 0, or with ctx.own_gemm. Throws Error(kInternal) for
/// a product without a plan while the stream is captured.
bool library_multiply(const Context& ctx, const LibraryProduct& p, const void* a, const void* b, const void* bias,
                      void* c);

/// Whether library_multiply may succeed: whether it is worth to make operands for it. Opens the library.
bool library_wanted(const Context& ctx);

/// A product that the program has asked for, and the number that cuBLASLt gives the algorithm of its plan.
struct LibraryPlan {
  std::string product;  ///< "128x784x400 b^T bias f32, aligned to 256"
  int algorithm = -1;   ///< -1: it has none, and our own kernel computes the product
};
/// In the order of their first use. Opens nothing.
std::vector<LibraryPlan> library_plans();

/// "13.1.0", or empty if it is absent. Opens it.
std::string cublaslt_version();

}  // namespace hourglass::cuda
