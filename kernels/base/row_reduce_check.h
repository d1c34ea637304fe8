// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "kernels/base/error.h"
#include "kernels/row_reduce.h"

namespace hourglass {

inline void check_row_reduce(const char* op, const RowReduceShape& s) {
  if (s.N >= 0 && s.D >= 0) return;
  throw Error(Exit::kUsage, std::string(op) + ": expected N, D >= 0, got N = " + std::to_string(s.N) +
                                ", D = " + std::to_string(s.D));
}

inline void check_row_mean(const RowReduceShape& s) {
  check_row_reduce("row_mean", s);
  if (s.D == 0) throw Error(Exit::kUsage, "row_mean: the mean needs at least one column, got D = 0");
}

}  // namespace hourglass
