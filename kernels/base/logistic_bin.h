// SPDX-License-Identifier: Apache-2.0
// The scalar maths of kernels/discretized_logistic.h, shared by its forms, and its refusals.
#pragma once

#include <cmath>
#include <string>

#include "kernels/base/math.h"
#include "kernels/base/row_loss.h"
#include "kernels/discretized_logistic.h"

namespace hourglass {

inline void check_discretized_logistic(const DiscretizedLogisticShape& s) {
  check_row_loss("discretized_logistic", s.N, s.D, s.draws);
  constexpr int kMost = 65536;
  if (s.log_scale_count < 1 || s.log_scale_count > kMost || s.D % s.log_scale_count != 0) {
    throw Error(Exit::kUsage, "discretized_logistic: expected 1 to 65536 values of log_scale that divide D = " +
                                  std::to_string(s.D) + ", got " + std::to_string(s.log_scale_count));
  }
}

inline constexpr double kMaxLogInverseScale = 20;
inline constexpr double kHalfBin = 1.0 / 510;
inline constexpr double kLogBin = -5.541263545158426;  // log(1 / 255)

/// What belongs to one log_scale.
template <class T>
struct LogisticScale {
  T inverse;     ///< i
  T slope;       ///< r
  T width;       ///< g
  T log_inside;  ///< log(1 - e^-g)
  T width_term;  ///< g / (e^g - 1)
};

template <class T>
HOURGLASS_HD HOURGLASS_INLINE LogisticScale<T> logistic_scale(T log_scale) {
  const T beyond = -log_scale - T(kMaxLogInverseScale), over = beyond > 0 ? beyond : T(0);
  LogisticScale<T> s;
  s.inverse = math::exp_linear(-log_scale, T(kMaxLogInverseScale));
  s.slope = 1 / (1 + over);
  s.width = T(2 * kHalfBin) * s.inverse;
  // Narrow bins: 1 - e^-g = g e^-u sinh(u) / u with u = g / 2, by its series; log g from log_scale, which has no
  // underflow. Wide ones: nothing cancels.
  const T u2 = s.width * s.width / 4;
  const T shc = 1 + u2 * (T(1.0 / 6) + u2 * (T(1.0 / 120) + u2 * (T(1.0 / 5040) + u2 * T(1.0 / 362880))));
  const T e = math::exp(-s.width);
  if (s.width < T(0.5)) {
    s.log_inside = (T(kLogBin) - log_scale) - s.width / 2 + math::log(shc);
    s.width_term = math::exp(-s.width / 2) / shc;
  } else {
    s.log_inside = math::log(1 - e);
    s.width_term = s.width * e / (1 - e);
  }
  return s;
}

/// One element: its loss and the derivatives by mu and by log_scale.
template <class T>
struct LogisticTerm {
  T loss, dmu, dlog_scale;
};

template <class T>
HOURGLASS_HD HOURGLASS_INLINE LogisticTerm<T> logistic_term(T mu, T x, const LogisticScale<T>& s) {
  const T level = std::floor(x * 255 + T(0.5)), center = level * T(1.0 / 255) - mu;
  const bool first = level <= 0, last = level >= 255;
  const T a = (center + T(kHalfBin)) * s.inverse, b = (center - T(kHalfBin)) * s.inverse;
  // Each factor is one minus what it leaves out, so that a NaN in mu reaches loss and gradients.
  const T of_a = last ? T(0) : T(1), of_b = first ? T(0) : T(1), inner = of_a * of_b;
  const T below = of_a * math::sigmoid(-a), above = of_b * math::sigmoid(b);
  return {of_a * math::log1p_exp(-a) + of_b * math::log1p_exp(b) - inner * s.log_inside, s.inverse * (below - above),
          s.slope * (below * a - above * b + inner * s.width_term)};
}

}  // namespace hourglass
