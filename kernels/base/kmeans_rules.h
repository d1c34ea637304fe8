// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "kernels/base/error.h"
#include "kernels/base/philox.h"
#include "kernels/kmeans.h"

namespace hourglass {

inline void check_kmeans(const char* op, const KMeansShape& s) {
  if (s.N >= 0 && s.D >= 0 && s.K >= 0 && (s.N > 0 || s.K == 0)) return;
  throw Error(Exit::kUsage, std::string(op) + ": expected N >= 1 rows, D, K >= 0, got N = " + std::to_string(s.N) +
                                ", D = " + std::to_string(s.D) + ", K = " + std::to_string(s.K));
}
inline void check_centre(const KMeansShape& s, int k) {
  check_kmeans("kmeans_seed", s);
  if (k >= 0 && k < s.K) return;
  throw Error(Exit::kUsage,
              "kmeans_seed: expected a centre in [0, " + std::to_string(s.K) + "), got " + std::to_string(k));
}

/// u_k, from 52 bits.
HOURGLASS_HD inline double kmeans_uniform(const Noise& noise, int k) {
  const PhiloxWords words = philox(noise.seed, noise.stream, 0, static_cast<uint32_t>(k), 0, 0);
  const double high = words.w[0] >> 6, low = words.w[1] >> 6;
  return (high * 0x1p26 + low + 0.5) * 0x1p-52;
}

}  // namespace hourglass
