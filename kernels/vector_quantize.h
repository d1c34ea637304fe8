// SPDX-License-Identifier: Apache-2.0
// What follows the lookup of a vector quantiser (nearest_codebook.h): rows become their codes, and gradients and
// statistics flow back to the codes. With e[n] = c[index[n]]:
//
//   quantized[n] = e[n]                         the straight-through output: its gradient is handed to x unchanged
//   commitment   = mean_{n,d} (x - sg[e])^2     pulls x to its code:   dx = 2 w / (N D) (x[n] - e[n])
//   codebook     = mean_{n,d} (sg[x] - e)^2     pulls codes to rows:   dc[k] = 2 w / (N D) sum_{n of k} (c[k] - x[n])
//
//   counts[k] = |{n of k}|,  sums[k] = sum_{n of k} x[n]     statistics of codebook_ema.h; n of k: index[n] = k
//
// Both losses are one number, means over positions and dimensions, so that neither the batch's size nor D changes what
// a weight means; sg is the stop-gradient.
//
// Sums over the rows of a code run over a counting sort of the index, in ascending rows: the same bits on every run,
// without floating-point atomics. Those of code_sums are of runs of rows in T, and of the runs in double: k-means has
// millions of rows to a code, and a float of their sum would round each one off.
//
//   order (N): rows by code, each code's in ascending order;  offsets (K + 1): where each code's begin in `order`
//
// A row whose index is outside [0, K) (nearest_codebook: not finite) quantises to NaN, and is in no code's rows.
//
//   x (N, D), codebook (K, D), index (N), quantized (N, D), counts (K), sums (K, D)
//
// Zero elements: nothing happens. Errors: kUsage for negative extents, and for a mean with N D = 0.
// Source: van den Oord, Vinyals, Kavukcuoglu, "Neural Discrete Representation Learning", arXiv 1711.00937, eq. 3.
#pragma once

#include <cstddef>

#include "kernels/base/context.h"
#include "kernels/step_state.h"

namespace hourglass {

struct VectorQuantizeShape {
  int N = 0;  ///< rows: positions of all images
  int D = 0;  ///< dimensions of a code
  int K = 0;  ///< codes
};

/// Rows by code: what sort_by_code makes of the index.
struct CodeRows {
  const int32_t* offsets = nullptr;  ///< (K + 1)
  const int32_t* order = nullptr;    ///< (offsets[K])
};

namespace cpu {

template <class T>
void vector_quantize_forward(const Context& ctx, VectorQuantizeShape s, const T* codebook, const int32_t* index,
                             T* quantized);

/// Value (unweighted) and weighted gradient in one pass; either may be null.
template <class T>
void commitment_loss(const Context& ctx, VectorQuantizeShape s, const T* x, const T* quantized, Weight weight,
                     Grad<acc_t<T>> value, Grad<T> dx);

/// The same for the codes.
template <class T>
void codebook_loss(const Context& ctx, VectorQuantizeShape s, const T* x, const T* codebook, CodeRows rows,
                   Weight weight, Grad<acc_t<T>> value, Grad<acc_t<T>> dcodebook);

/// Additive statistics of the rows of each code; either may be null.
template <class T>
void code_sums(const Context& ctx, VectorQuantizeShape s, const T* x, CodeRows rows, Grad<acc_t<T>> counts,
               Grad<acc_t<T>> sums);

/// The lane says where to run; sorting knows no element type.
size_t sort_by_code_scratch_bytes(const Context& ctx, VectorQuantizeShape s);
void sort_by_code(const Context& ctx, VectorQuantizeShape s, const int32_t* index, void* scratch, int32_t* offsets,
                  int32_t* order);

/// usage[k] += counts[k], which are whole numbers: the counts of a step, once it commits. Does nothing while the fault
/// (null: none) is set.
template <class T>
void add_code_counts(const Context& ctx, VectorQuantizeShape s, const T* counts, const Fault* fault, int64_t* usage);

}  // namespace cpu

namespace cuda {

/// As in namespace cpu. T: float. Everything behind a pointer is device memory.
template <class T>
void vector_quantize_forward(const Context& ctx, VectorQuantizeShape s, const T* codebook, const int32_t* index,
                             T* quantized);
template <class T>
void commitment_loss(const Context& ctx, VectorQuantizeShape s, const T* x, const T* quantized, Weight weight,
                     Grad<acc_t<T>> value, Grad<T> dx);
template <class T>
void codebook_loss(const Context& ctx, VectorQuantizeShape s, const T* x, const T* codebook, CodeRows rows,
                   Weight weight, Grad<acc_t<T>> value, Grad<acc_t<T>> dcodebook);
template <class T>
void code_sums(const Context& ctx, VectorQuantizeShape s, const T* x, CodeRows rows, Grad<acc_t<T>> counts,
               Grad<acc_t<T>> sums);
size_t sort_by_code_scratch_bytes(const Context& ctx, VectorQuantizeShape s);
void sort_by_code(const Context& ctx, VectorQuantizeShape s, const int32_t* index, void* scratch, int32_t* offsets,
                  int32_t* order);
template <class T>
void add_code_counts(const Context& ctx, VectorQuantizeShape s, const T* counts, const Fault* fault, int64_t* usage);

}  // namespace cuda
}  // namespace hourglass
