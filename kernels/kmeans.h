// SPDX-License-Identifier: Apache-2.0
// What k-means needs besides the lookup (nearest_codebook.h) and the sums of its groups (vector_quantize.h).
//
// k-means++ puts the first centre on a row drawn uniformly, and each next one on a row drawn with probability
// proportional to its squared distance from the centres so far:
//
//   kmeans_seed(k):   nearest[n] = min(nearest[n], |x[n] - c[k-1]|^2)                   k > 0; infinite before
//                     r = the lowest row with sum_{n <= r} nearest[n] > u_k sum_n nearest[n]
//                     c[k] = x[r]
//
// for k = 0, 1, ..., K - 1 in turn, u_k uniform in (0, 1): two Philox words of counter (0, k, 0, 0) under (seed,
// stream). Where no row is away from all centres (fewer distinct rows than centres), rows are drawn uniformly. Sums are
// double, in an order fixed by the shape: same bits on every run of one device.
//
//   kmeans_update:    c[k] = sums[k] / counts[k]                                        a centre without rows stays
//
//   x (N, D), nearest (N), codebook (K, D), counts (K), sums (K, D)
//
// Zero elements: nothing happens. Errors: kUsage for negative extents, for centres without rows (N = 0 < K) and a k
// outside [0, K).
// Source: Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
#pragma once

#include "kernels/base/context.h"
#include "kernels/base/noise.h"

namespace hourglass {

struct KMeansShape {
  int N = 0;  ///< rows
  int D = 0;
  int K = 0;  ///< centres
};

namespace cpu {

template <class T>
void kmeans_seed(const Context& ctx, KMeansShape s, int k, const T* x, Noise noise, T* nearest, T* codebook);

template <class T>
void kmeans_update(const Context& ctx, KMeansShape s, const T* counts, const T* sums, T* codebook);

}  // namespace cpu

namespace cuda {

/// As in namespace cpu. T: float. Everything behind a pointer is device memory. One launch a call.
template <class T>
void kmeans_seed(const Context& ctx, KMeansShape s, int k, const T* x, Noise noise, T* nearest, T* codebook);
template <class T>
void kmeans_update(const Context& ctx, KMeansShape s, const T* counts, const T* sums, T* codebook);

}  // namespace cuda
}  // namespace hourglass
