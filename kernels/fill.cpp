// SPDX-License-Identifier: Apache-2.0
#include "kernels/fill.h"

#include "kernels/base/elementwise_check.h"

namespace hourglass::cpu {

template <class T>
void fill(const Context&, FillShape s, Weight weight, T* y) {
  check_elementwise("fill", {s.n});
  const T value = static_cast<T>(weight.value());
  for (int64_t i = 0; i < s.n; ++i) y[i] = value;
}

template void fill(const Context&, FillShape, Weight, float*);
template void fill(const Context&, FillShape, Weight, double*);

}  // namespace hourglass::cpu
