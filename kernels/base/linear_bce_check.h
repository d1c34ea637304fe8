// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/base/linear_check.h"
#include "kernels/linear_bce.h"

namespace hourglass {

inline void check_linear_bce(const LinearBceShape& s) {
  check_linear(s.layer());
  check_row_loss("linear_bce", s.N, s.K, s.draws);
  check_mean("linear_bce", s.N);
}

}  // namespace hourglass
