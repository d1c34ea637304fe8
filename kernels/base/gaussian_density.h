// SPDX-License-Identifier: Apache-2.0
// The scalar maths of kernels/gaussian_nll.h, shared by its reference and its timed form.
#pragma once

#include <cmath>

#include "kernels/base/log_precision.h"
#include "kernels/base/math.h"
#include "kernels/base/row_loss.h"
#include "kernels/gaussian_nll.h"

namespace hourglass {

inline void check_gaussian_nll(const GaussianNllShape& s) {
  check_row_loss("gaussian_nll", s.N, s.D, s.draws);
  if (s.log_sigma_count != 1 && s.log_sigma_count != s.D) {
    throw Error(Exit::kUsage, "gaussian_nll: expected 1 or D = " + std::to_string(s.D) + " values of log_sigma, got " +
                                  std::to_string(s.log_sigma_count));
  }
}

/// 1 / sigma^2, bounded.
template <class T>
HOURGLASS_HD HOURGLASS_INLINE T precision(T log_sigma) {
  return math::exp_linear(-2 * log_sigma, T(kMaxLogPrecision));
}

/// -(1/2) log precision + (1/2) log(2 pi).
template <class T>
HOURGLASS_HD inline T normalizer(T log_sigma) {
  const T beyond = -2 * log_sigma - T(kMaxLogPrecision);
  const T half_log = beyond > 0 ? (T(kMaxLogPrecision) + std::log1p(beyond)) / 2 : -log_sigma;
  return T(math::kLog2Pi / 2) - half_log;
}

/// d normalizer / d log_sigma.
template <class T>
HOURGLASS_HD HOURGLASS_INLINE T normalizer_slope(T log_sigma) {
  const T beyond = -2 * log_sigma - T(kMaxLogPrecision);
  return 1 / (1 + (beyond > 0 ? beyond : T(0)));
}

}  // namespace hourglass
