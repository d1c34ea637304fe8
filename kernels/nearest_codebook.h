// SPDX-License-Identifier: Apache-2.0
// The nearest code of each row, without the N x K matrix of distances: vector quantisation's lookup, and the assignment
// step of k-means.
//
//   index[n]    = argmin_k |x[n] - c[k]|^2          ties to the lowest k
//   distance[n] = |x[n] - c[index[n]]|^2
//
// Exact: |x[n] - c[index[n]]|^2 in double is at most 1 + 1e-12 times the smallest one, at any magnitude of x and c. The
// timed forms score first, in float (or bf16, with a wider bound: nearest_codebook_bf16.cpp), by the half distance without the row's share,
//
//   score[n, k] = |c[k]|^2 / 2 - x[n] . c[k]        = (|x[n] - c[k]|^2 - |x[n]|^2) / 2,
//
// whose error in float arithmetic, in any order of summation, fused or not, is at most (base/codebook_bound.h)
//
//   E[n, k] = (D + 8) 2^-24 (|c[k]|^2 / 2 + |x[n]| |c[k]|),
//
// keep every code whose score less E is not above the lowest score plus E, and compare those by their distances, summed
// in double from the differences. Where float cannot hold the score, they keep all. So a code is never chosen by a
// rounding error; nearly equal codes cost time, not truth. Memory beyond the inputs is O(N + K), and a copy of the
// codebook on the CPU.
//
// A row or code that is not finite has no answer: the row's index is -1 and its distance NaN; a code is never chosen.
// Either sets the fault (unless one is set) to {kNotFinite, kFaultCode, step, k} with the lowest such code k, or else
// {kNotFinite, kFaultPosition, step, n} with the lowest such row n. A distance beyond float's range is infinite.
//
//   x (N, D), codebook (K, D), index (N), distance (N) or null
//
// Backward: the index has none; see vector_quantize.h. N = 0: nothing happens. Errors: kUsage for negative extents, and
// for rows without any code (K = 0).
#pragma once

#include <cstddef>

#include "kernels/base/context.h"
#include "kernels/step_state.h"

namespace hourglass {

struct NearestCodebookShape {
  int N = 0;  ///< rows
  int D = 0;  ///< columns of a row and of a code
  int K = 0;  ///< codes
};

namespace cpu {

/// Bytes of `scratch` for the timed form; the reference needs none.
size_t nearest_codebook_scratch_bytes(const Context& ctx, NearestCodebookShape s);

template <class T>
void nearest_codebook(const Context& ctx, NearestCodebookShape s, const T* x, const T* codebook, void* scratch,
                      int32_t* index, acc_t<T>* distance, FaultReport report);

/// The timed float form.
void nearest_codebook(const Context& ctx, NearestCodebookShape s, const float* x, const float* codebook, void* scratch,
                      int32_t* index, float* distance, FaultReport report);

}  // namespace cpu

namespace cuda {

/// How the device searches. All are exact, and so have the same bits.
enum class CodebookSearch : uint8_t {
  kShapeDecides,
  kTiles,      ///< tiles of a matrix product in float, candidates compared by a second kernel; any D
  kThreadRow,  ///< a thread keeps a row in registers; D <= 16
};

/// Bytes of `scratch`: O(N + K).
size_t nearest_codebook_scratch_bytes(const Context& ctx, NearestCodebookShape s);

/// T: float. Everything behind a pointer is device memory. Throws kUsage for kThreadRow with D > 16.
template <class T>
void nearest_codebook(const Context& ctx, NearestCodebookShape s, const T* x, const T* codebook, void* scratch,
                      int32_t* index, acc_t<T>* distance, FaultReport report,
                      CodebookSearch search = CodebookSearch::kShapeDecides);

}  // namespace cuda
}  // namespace hourglass
