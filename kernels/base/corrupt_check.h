// SPDX-License-Identifier: Apache-2.0
// What the forms of kernels/corrupt.h share: refusals, and the elementwise maths.
#pragma once

#include <cmath>
#include <string>

#include "kernels/base/error.h"
#include "kernels/corrupt.h"

namespace hourglass {

inline void check_corrupt(const CorruptShape& s, const Noise& noise) {
  const double amount = s.corruption.amount;
  const bool probability = s.corruption.kind != CorruptionKind::kGaussian;
  if (s.N < 0 || s.D < 0) {
    throw Error(Exit::kUsage, "corrupt: expected no negative extent, got N = " + std::to_string(s.N) +
                                  ", D = " + std::to_string(s.D));
  }
  if (!(amount >= 0) || !std::isfinite(amount) || (probability && amount > 1)) {
    throw Error(Exit::kUsage, std::string("corrupt: expected ") +
                                  (probability ? "a probability in [0, 1]" : "a standard deviation of at least 0") +
                                  ", got " + std::to_string(amount));
  }
  if (noise.draws != 1) {
    throw Error(Exit::kUsage, "corrupt: expected noise of one draw, got " + std::to_string(noise.draws));
  }
}

/// Elements with u below `pepper` become 0, those from there to `salt` 1.
struct Replacement {
  float pepper, salt;
};
inline Replacement replacement(const Corruption& c) {
  const float amount = static_cast<float>(c.amount);
  return {c.kind == CorruptionKind::kMask ? amount : amount / 2, amount};
}

/// NaN passes.
template <class T>
HOURGLASS_HD HOURGLASS_INLINE T clip_unit(T x) {
  return x < 0 ? T(0) : x > 1 ? T(1) : x;
}
template <class T>
HOURGLASS_HD HOURGLASS_INLINE T replaced(T x, T u, Replacement r) {
  return u < r.pepper ? T(0) : u < r.salt ? T(1) : x;
}

}  // namespace hourglass
