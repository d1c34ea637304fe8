// SPDX-License-Identifier: Apache-2.0
// The way of results from the device to the host, between runs of a step.
#pragma once

#include <vector>

#include "engine/tensor.h"
#include "kernels/base/context.h"

namespace hourglass {

/// The elements of `v`, f32, bf16 or f64, as double. Its memory must still hold what the last run wrote.
std::vector<double> host_values(const Context& ctx, const Var& v);

}  // namespace hourglass
