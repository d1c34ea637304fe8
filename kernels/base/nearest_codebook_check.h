// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "kernels/base/error.h"
#include "kernels/nearest_codebook.h"

namespace hourglass {

inline void check_nearest_codebook(const NearestCodebookShape& s) {
  if (s.N >= 0 && s.D >= 0 && s.K >= 0 && (s.K > 0 || s.N == 0)) return;
  throw Error(Exit::kUsage, "nearest_codebook: expected N, D >= 0 and K >= 1, got N = " + std::to_string(s.N) +
                                ", D = " + std::to_string(s.D) + ", K = " + std::to_string(s.K));
}

/// Sets the fault, unless one is set, or nobody listens.
HOURGLASS_HD inline void report_not_finite(FaultReport report, int32_t what, int64_t index) {
  if (!report.fault || report.fault->code != 0) return;
  *report.fault = {static_cast<int32_t>(Exit::kNotFinite), what, report.step ? *report.step : 0, index};
}

}  // namespace hourglass
