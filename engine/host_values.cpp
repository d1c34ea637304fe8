// SPDX-License-Identifier: Apache-2.0
#include "engine/host_values.h"

#include "engine/dispatch.h"

namespace hourglass {

std::vector<double> host_values(const Context& ctx, const Var& v) {
  std::vector<double> values;
  dispatch(ctx, v.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    const T* data = v.as<const T>();
    values.assign(data, data + v.shape.elements());
  });
  return values;
}

}  // namespace hourglass
