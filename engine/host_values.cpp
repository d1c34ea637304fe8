// SPDX-License-Identifier: Apache-2.0
#include "engine/host_values.h"

#include <string>

#include "engine/transfer.h"
#include "kernels/base/error.h"

namespace hourglass {

std::vector<double> host_values(const Context& ctx, const Var& v) {
  const size_t n = static_cast<size_t>(v.shape.elements());
  if (v.dtype == Dtype::kF64) {
    std::vector<double> values(n);
    to_host(ctx, values.data(), v.data, n * sizeof(double));
    return values;
  }
  if (v.dtype == Dtype::kBF16) {
    std::vector<bf16> values(n);
    to_host(ctx, values.data(), v.data, n * sizeof(bf16));
    return {values.begin(), values.end()};
  }
  if (v.dtype != Dtype::kF32) throw Error(Exit::kInternal, std::string("host_values: no ") + name_of(v.dtype));
  std::vector<float> values(n);
  to_host(ctx, values.data(), v.data, n * sizeof(float));
  return {values.begin(), values.end()};
}

}  // namespace hourglass
