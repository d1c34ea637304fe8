// SPDX-License-Identifier: Apache-2.0
// Another storage type for the same numbers.
//
//   y[i] = x[i]                                               rounded to nearest, ties to even, where y is narrower
//
// Backward: the same, from dy to dx.
//
//   x (n), y (n), set or added to (the sum is rounded once); null: nothing happens
//
// n = 0: nothing happens. Errors: kUsage for negative n.
#pragma once

#include "kernels/base/bf16.h"
#include "kernels/base/context.h"

namespace hourglass {

struct CastShape {
  int64_t n = 0;
};

namespace cpu {

/// From and To: float, double or bf16.
template <class From, class To>
void cast(const Context& ctx, CastShape s, const From* x, Grad<To> y);

}  // namespace cpu

namespace cuda {

/// From and To: float or bf16.
template <class From, class To>
void cast(const Context& ctx, CastShape s, const From* x, Grad<To> y);

}  // namespace cuda
}  // namespace hourglass
