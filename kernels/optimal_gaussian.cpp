// SPDX-License-Identifier: Apache-2.0
#include "kernels/optimal_gaussian.h"

#include "kernels/base/optimal_gaussian_value.h"

namespace hourglass::cpu {

template <class T>
void optimal_gaussian_forward(const Context&, RowLossShape s, const T* y, const T* x, acc_t<T>* mse) {
  check_optimal_gaussian(s);
  double sum = 0;
  for (int64_t n = 0; n < s.N; ++n) {
    for (int d = 0; d < s.D; ++d) {
      const T difference = y[n * s.D + d] - x[n / s.draws * s.D + d];
      sum += difference * difference;
    }
  }
  *mse = s.D == 0 ? 0 : static_cast<acc_t<T>>(sum / (static_cast<double>(s.N) * s.D));
}

template <class T>
void optimal_gaussian_loss(const Context&, RowLossShape s, const T* y, const T* x, const acc_t<T>* mse, Weight weight,
                           Grad<acc_t<T>> value, Grad<T> dy) {
  check_optimal_gaussian(s);
  if (value) write(*value.data, optimal_nll(*mse, s.D), value.mode);
  if (!dy) return;
  const T scale = static_cast<T>(weight.value() / (s.N * static_cast<double>(bounded_variance(*mse))));
  for (int64_t n = 0; n < s.N; ++n) {
    for (int d = 0; d < s.D; ++d) {
      const int64_t i = n * s.D + d;
      write(dy.data[i], scale * (y[i] - x[n / s.draws * s.D + d]), dy.mode);
    }
  }
}

#define HOURGLASS_INSTANTIATE(T)                                                                                      \
  template void optimal_gaussian_forward<T>(const Context&, RowLossShape, const T*, const T*, T*);                    \
  template void optimal_gaussian_loss<T>(const Context&, RowLossShape, const T*, const T*, const T*, Weight, Grad<T>, \
                                         Grad<T>);
HOURGLASS_INSTANTIATE(float)
HOURGLASS_INSTANTIATE(double)
#undef HOURGLASS_INSTANTIATE

}  // namespace hourglass::cpu
