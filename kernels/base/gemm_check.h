// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "kernels/base/error.h"
#include "kernels/gemm.h"

namespace hourglass {

inline void check_gemm(const GemmShape& s) {
  if (s.M >= 0 && s.N >= 0 && s.K >= 0) return;
  throw Error(Exit::kUsage, "gemm: expected M, N, K >= 0, got M = " + std::to_string(s.M) +
                                ", N = " + std::to_string(s.N) + ", K = " + std::to_string(s.K));
}

}  // namespace hourglass
