// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "kernels/base/error.h"
#include "kernels/elementwise.h"

namespace hourglass {

inline void check_elementwise(const char* op, const ElementwiseShape& s) {
  if (s.n < 0) throw Error(Exit::kUsage, std::string(op) + ": expected n >= 0, got " + std::to_string(s.n));
}

}  // namespace hourglass
