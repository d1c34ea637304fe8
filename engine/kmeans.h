// SPDX-License-Identifier: Apache-2.0
// k-means by Lloyd's iterations from a k-means++ start: initial codebooks, and clusters of any table. It runs eagerly
// and waits for the device; a training run calls it once before step 0, never on resume.
#pragma once

#include <cstdint>

#include "engine/tensor.h"
#include "kernels/base/context.h"

namespace hourglass {

struct KMeansOptions {
  int iterations = 10;   ///< at most
  uint32_t seed = 0;     ///< of the start
  double tolerance = 0;  ///< stop when an update lowers the inertia by no more than this share of it
};

struct KMeansResult {
  double inertia = 0;      ///< sum of the rows' squared distances to their centres, of the last assignment
  int iterations = 0;      ///< updates of the centres until too little improved, or the most that were allowed
  bool converged = false;  ///< too little improved
};

/// Centres of x (N, D) into `codebook` (K, D), both on the device of the context and of one dtype; `index` (N, int32),
/// if given, receives each row's centre. The same bits on every run of one device, for any number of threads. Throws
/// Error(kUsage) for shapes that do not fit, Error(kNotFinite) naming a row, or a centre drawn from
/// one, that is not finite.
KMeansResult kmeans(const Context& ctx, const Var& x, const Var& codebook, const KMeansOptions& options = {},
                    int32_t* index = nullptr);

}  // namespace hourglass
