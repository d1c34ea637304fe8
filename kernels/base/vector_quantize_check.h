// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "kernels/base/error.h"
#include "kernels/vector_quantize.h"

namespace hourglass {

inline void check_vector_quantize(const char* op, const VectorQuantizeShape& s) {
  if (s.N >= 0 && s.D >= 0 && s.K >= 0) return;
  throw Error(Exit::kUsage, std::string(op) + ": expected N, D, K >= 0, got N = " + std::to_string(s.N) +
                                ", D = " + std::to_string(s.D) + ", K = " + std::to_string(s.K));
}

/// The same for a mean over positions and dimensions.
inline void check_vector_quantize_mean(const char* op, const VectorQuantizeShape& s) {
  check_vector_quantize(op, s);
  if (s.N > 0 && s.D > 0) return;
  throw Error(Exit::kUsage, std::string(op) + ": the mean needs at least one element, got N = " + std::to_string(s.N) +
                                ", D = " + std::to_string(s.D));
}

}  // namespace hourglass
