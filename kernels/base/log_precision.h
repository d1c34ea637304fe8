// SPDX-License-Identifier: Apache-2.0
// The bound that Gaussian densities share.
#pragma once

namespace hourglass {

/// Log-precisions log(1 / sigma^2) are exponentiated exactly up to here; beyond, exp_linear takes the tangent (math.h).
inline constexpr double kMaxLogPrecision = 20;

}  // namespace hourglass
