// SPDX-License-Identifier: Apache-2.0
// The codebook as a moving average of the rows that chose each code: k-means over the batches, in place of the gradient
// of the codebook loss. One commit of a step (design: written only while no fault is set):
//
//   N[k] <- decay N[k] + (1 - decay) counts[k]                     counts, sums: this step's (vector_quantize.h)
//   m[k] <- decay m[k] + (1 - decay) sums[k]
//   c[k] <- m[k] / S[k],   S[k] = (N[k] + eps) n / (n + K eps),  n = sum_k N[k]
//
// S, the Laplace-smoothed count, keeps the quotient finite for codes that nobody chooses. It is a copy: stored back
// into N, as some implementations do, it would let dead codes live on counts that no row gave.
//
// Restart: a code with N[k] < restart_threshold is dead. It is put on a row of the present batch, and its averages with
// it: c[k] = x[r], N[k] = max(n / K, 2 restart_threshold), m[k] = N[k] c[k], so that the next step does not undo it,
// and it has ln(N[k] / restart_threshold) / ln(1 / decay) steps to find rows of its own. The row is
//
//   r = permute(k mod N, N, w0, w1)        w: Philox block (seed, stream), counter (0, 0, 0, step)
//
// (base/permutation.h), so that codes that restart together get different rows as long as K <= N.
//
//   counts (K), sums (K, D), x (N, D), codebook (K, D), and the state: ema_counts (K), ema_sums (K, D)
//
// Start: ema_counts = 1 and ema_sums = codebook (start_codebook_ema), or those of k-means. Zero elements: nothing
// happens. Errors: kUsage for negative extents, a decay outside [0, 1], epsilon <= 0, a negative threshold, and a
// restart without rows.
// Sources: van den Oord et al., arXiv 1711.00937, appendix A.1; restart: Dhariwal et al., arXiv 2005.00341,
// section 3.2.
#pragma once

#include "kernels/base/context.h"
#include "kernels/base/noise.h"
#include "kernels/step_state.h"

namespace hourglass {

struct CodebookEmaShape {
  int N = 0;  ///< rows of the batch, from which dead codes restart
  int D = 0;
  int K = 0;
};

struct CodebookEmaOptions {
  double decay = 0.99;
  double epsilon = 1e-5;
  double restart_threshold = 0;  ///< 0: codes never restart
};

/// State that only this commit writes.
template <class T>
struct CodebookEma {
  T* counts = nullptr;    ///< (K)
  T* sums = nullptr;      ///< (K, D)
  T* codebook = nullptr;  ///< (K, D)
};

namespace cpu {

template <class T>
void codebook_ema_update(const Context& ctx, CodebookEmaShape s, CodebookEmaOptions options, const Fault* fault,
                         const T* counts, const T* sums, const T* x, Noise noise, CodebookEma<T> state);

/// counts = 1, sums = codebook.
template <class T>
void start_codebook_ema(const Context& ctx, CodebookEmaShape s, CodebookEma<T> state);

}  // namespace cpu

namespace cuda {

/// As in namespace cpu. T: float. Everything behind a pointer is device memory.
template <class T>
void codebook_ema_update(const Context& ctx, CodebookEmaShape s, CodebookEmaOptions options, const Fault* fault,
                         const T* counts, const T* sums, const T* x, Noise noise, CodebookEma<T> state);
template <class T>
void start_codebook_ema(const Context& ctx, CodebookEmaShape s, CodebookEma<T> state);

}  // namespace cuda
}  // namespace hourglass
