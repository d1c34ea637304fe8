// SPDX-License-Identifier: Apache-2.0
// The scalar maths of kernels/optimal_gaussian.h.
#pragma once

#include "kernels/base/math.h"
#include "kernels/base/row_loss.h"

namespace hourglass {

inline constexpr double kLeastVariance = 2.061153622438558e-9;  // e^-20

/// The variance of the density: the mean squared error, bounded. NaN stays NaN.
template <class T>
HOURGLASS_HD HOURGLASS_INLINE T bounded_variance(T mse) {
  return mse < T(kLeastVariance) ? T(kLeastVariance) : mse;
}

/// (D/2) (log(2 pi v) + mse / v).
template <class T>
HOURGLASS_HD HOURGLASS_INLINE T optimal_nll(T mse, int D) {
  const T v = bounded_variance(mse);
  return static_cast<T>(D) * T(0.5) * (T(math::kLog2Pi) + math::log(v) + mse / v);
}

inline void check_optimal_gaussian(const RowLossShape& s) {
  check_row_loss("optimal_gaussian", s.N, s.D, s.draws);
  check_mean("optimal_gaussian", s.N);
}

}  // namespace hourglass
