// SPDX-License-Identifier: Apache-2.0
#include "kernels/cast.h"

#include "kernels/base/elementwise_check.h"

namespace hourglass::cpu {
namespace {

// bf16 is written from float, and read as one.
template <class T>
using arithmetic_t = std::conditional_t<std::is_same_v<T, bf16>, float, T>;

}  // namespace

template <class From, class To>
void cast(const Context&, CastShape s, const From* x, Grad<To> y) {
  check_elementwise("cast", {s.n});
  if (!y) return;
  for (int64_t i = 0; i < s.n; ++i) {
    write(y.data[i], static_cast<arithmetic_t<To>>(static_cast<arithmetic_t<From>>(x[i])), y.mode);
  }
}

#define HOURGLASS_INSTANTIATE(From)                                         \
  template void cast(const Context&, CastShape, const From*, Grad<float>);  \
  template void cast(const Context&, CastShape, const From*, Grad<double>); \
  template void cast(const Context&, CastShape, const From*, Grad<bf16>);
HOURGLASS_INSTANTIATE(float)
HOURGLASS_INSTANTIATE(double)
HOURGLASS_INSTANTIATE(bf16)
#undef HOURGLASS_INSTANTIATE

}  // namespace hourglass::cpu
