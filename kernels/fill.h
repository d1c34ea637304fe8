// SPDX-License-Identifier: Apache-2.0
// One value everywhere.
//
//   y[i] = weight                                             constant times device scalar (kernels/base/types.h)
//
//   y (n)
//
// n = 0: nothing happens. Errors: kUsage for negative n.
#pragma once

#include <cstdint>

#include "kernels/base/context.h"

namespace hourglass {

struct FillShape {
  int64_t n = 0;
};

namespace cpu {

template <class T>
void fill(const Context& ctx, FillShape s, Weight weight, T* y);

}  // namespace cpu

namespace cuda {

/// T: float or bf16. weight.device is device memory.
template <class T>
void fill(const Context& ctx, FillShape s, Weight weight, T* y);

}  // namespace cuda
}  // namespace hourglass
