// SPDX-License-Identifier: Apache-2.0
#include "kernels/squared_error.h"

namespace hourglass::cpu {

template <class T>
void squared_error_forward(const Context&, RowLossShape s, const T* y, const T* x, acc_t<T>* loss) {
  check_row_loss("squared_error", s.N, s.D, s.draws);
  for (int64_t n = 0; n < s.N; ++n) {
    const T* row = y + n * s.D;
    const T* target = x + n / s.draws * s.D;
    acc_t<T> sum = 0;
    for (int d = 0; d < s.D; ++d) sum += (row[d] - target[d]) * (row[d] - target[d]);
    loss[n] = sum;
  }
}

template <class T>
void squared_error_backward(const Context&, RowLossShape s, const T* y, const T* x, const acc_t<T>* dloss, Grad<T> dy) {
  check_row_loss("squared_error", s.N, s.D, s.draws);
  if (!dy) return;
  for (int64_t n = 0; n < s.N; ++n) {
    const T* row = y + n * s.D;
    const T* target = x + n / s.draws * s.D;
    for (int d = 0; d < s.D; ++d) write(dy.data[n * s.D + d], 2 * dloss[n] * (row[d] - target[d]), dy.mode);
  }
}

template <class T>
void squared_error_loss(const Context&, RowLossShape s, const T* y, const T* x, Weight weight, Grad<acc_t<T>> value,
                        Grad<T> dy) {
  check_row_loss("squared_error", s.N, s.D, s.draws);
  check_mean("squared_error", s.N);
  const T scale = static_cast<T>(2 * weight.value() / s.N);
  double total = 0;
  for (int64_t n = 0; n < s.N; ++n) {
    const T* row = y + n * s.D;
    const T* target = x + n / s.draws * s.D;
    acc_t<T> sum = 0;
    for (int d = 0; d < s.D; ++d) {
      const T difference = row[d] - target[d];
      sum += difference * difference;
      if (dy) write(dy.data[n * s.D + d], scale * difference, dy.mode);
    }
    total += sum;
  }
  if (value) write(*value.data, total / s.N, value.mode);
}

template void squared_error_forward<float>(const Context&, RowLossShape, const float*, const float*, float*);
template void squared_error_forward<double>(const Context&, RowLossShape, const double*, const double*, double*);
template void squared_error_backward<float>(const Context&, RowLossShape, const float*, const float*, const float*,
                                            Grad<float>);
template void squared_error_backward<double>(const Context&, RowLossShape, const double*, const double*, const double*,
                                             Grad<double>);
template void squared_error_loss<float>(const Context&, RowLossShape, const float*, const float*, Weight, Grad<float>,
                                        Grad<float>);
template void squared_error_loss<double>(const Context&, RowLossShape, const double*, const double*, Weight,
                                         Grad<double>, Grad<double>);

}  // namespace hourglass::cpu
