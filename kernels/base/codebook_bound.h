// SPDX-License-Identifier: Apache-2.0
// How far a float score of nearest_codebook.h can be from the true one.
//
// The score is a sum of D + 1 terms, s = q - x[0] c[0] - x[1] c[1] ..., q = |c|^2 / 2. Each product and each addition
// is off by at most a factor 1 +- u, u = 2^-24, so that in any order (Higham, "Accuracy and Stability of Numerical
// Algorithms", 2002, 3.1)
//
//   |s - exact| <= (D + 2) u / (1 - (D + 2) u) (q + sum_d |x[d] c[d]|)  <=  (D + 3) u B,    B = q + |x| |c|,
//
// for D < 2^20. The rest of (D + 8) u B pays for the rounding of q, of the bound itself and of its sum with a score,
// each below u B. Products below float's smallest normal lose at most 2^-150 each; the last term pays for those.
#pragma once

#include "kernels/base/simd.h"

namespace hourglass {

/// The norm of the largest code among those that share a bound, and what float makes of it.
struct ScoreBound {
  float error;  ///< E; a score and the true one differ by no more
  bool usable;  ///< false: an intermediate result may be beyond float's range
};

// T: double, or float, whose roundings the rest pays for too.
/// B.
template <class T>
HOURGLASS_HD HOURGLASS_INLINE T score_magnitude(T row_norm, T code_norm) {
  return 0.5f * code_norm * code_norm + row_norm * code_norm;
}
/// E, while B is below kLargestMagnitude.
template <class T>
HOURGLASS_HD HOURGLASS_INLINE T score_error(int D, T magnitude) {
  const float terms = static_cast<float>(D + 8);
  return terms * 0x1p-24f * magnitude + terms * 0x1p-148f;
}
inline constexpr float kLargestMagnitude = 1e38f;

template <class T>
HOURGLASS_HD HOURGLASS_INLINE ScoreBound score_bound(int D, T row_norm, T code_norm) {
  const T magnitude = score_magnitude(row_norm, code_norm);
  return {static_cast<float>(score_error(D, magnitude)), magnitude < kLargestMagnitude && D < (1 << 20)};
}

}  // namespace hourglass
