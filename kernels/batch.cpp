// SPDX-License-Identifier: Apache-2.0
#include "kernels/batch.h"

#include "kernels/base/batch_order.h"
#include "kernels/base/philox.h"

namespace hourglass::cpu {
namespace {

template <class T>
T scaled(uint8_t value) {
  return static_cast<T>(value) / T(255);
}
template <class T>
T scaled(float value) {
  return static_cast<T>(value);
}

}  // namespace

template <class S, class T>
void gather_batch(const Context&, BatchShape s, const S* data, BatchOrder order, Binarize binarize, T* x,
                  int32_t* indices) {
  check_batch(s, order);
  Noise noise = binarize_noise(s, order, binarize);
  if (!noise.step) noise.rows = indices;
  for (int64_t r = 0; r < s.N; ++r) {
    const int32_t index = batch_index(s, order, r);
    indices[r] = index;
    const S* const sample = index < 0 ? nullptr : sample_row(s, data, order, index, r);
    for (int64_t d = 0; d < s.D; ++d) {
      T value = index < 0 ? T(0) : scaled<T>(sample[d]);
      if (binarize.mode != Binarization::kNone) value = uniform<T>(noise, r, d) < value ? T(1) : T(0);
      x[r * s.D + d] = value;
    }
  }
}

#define HOURGLASS_INSTANTIATE(S, T) \
  template void gather_batch<S, T>(const Context&, BatchShape, const S*, BatchOrder, Binarize, T*, int32_t*);
HOURGLASS_INSTANTIATE(uint8_t, float)
HOURGLASS_INSTANTIATE(uint8_t, double)
HOURGLASS_INSTANTIATE(float, float)
HOURGLASS_INSTANTIATE(float, double)
#undef HOURGLASS_INSTANTIATE

}  // namespace hourglass::cpu
