// SPDX-License-Identifier: Apache-2.0
#include "kernels/bernoulli_nll.h"

#include <cmath>

#include "kernels/base/math.h"

namespace hourglass::cpu {
namespace {

template <class T>
T pixel_nll(T logit, T x) {
  return (logit > 0 ? logit : T(0)) - x * logit + math::log1p_exp(-std::abs(logit));
}

}  // namespace

template <class T>
void bernoulli_nll_forward(const Context&, RowLossShape s, const T* logits, const T* x, acc_t<T>* nll) {
  check_row_loss("bernoulli_nll", s.N, s.D, s.draws);
  for (int64_t n = 0; n < s.N; ++n) {
    const T* l = logits + n * s.D;
    const T* target = x + n / s.draws * s.D;
    acc_t<T> sum = 0;
    for (int d = 0; d < s.D; ++d) sum += pixel_nll(l[d], target[d]);
    nll[n] = sum;
  }
}

template <class T>
void bernoulli_nll_backward(const Context&, RowLossShape s, const T* logits, const T* x, const acc_t<T>* dnll,
                            Grad<T> dlogits) {
  check_row_loss("bernoulli_nll", s.N, s.D, s.draws);
  if (!dlogits) return;
  for (int64_t n = 0; n < s.N; ++n) {
    const T* l = logits + n * s.D;
    const T* target = x + n / s.draws * s.D;
    T* dl = dlogits.data + n * s.D;
    for (int d = 0; d < s.D; ++d) write(dl[d], dnll[n] * (math::sigmoid(l[d]) - target[d]), dlogits.mode);
  }
}

template <class T>
void bernoulli_nll_loss(const Context&, RowLossShape s, const T* logits, const T* x, Weight weight,
                        Grad<acc_t<T>> value, Grad<T> dlogits) {
  check_row_loss("bernoulli_nll", s.N, s.D, s.draws);
  check_mean("bernoulli_nll", s.N);
  const T scale = static_cast<T>(weight.value() / s.N);
  double total = 0;
  for (int64_t n = 0; n < s.N; ++n) {
    const T* l = logits + n * s.D;
    const T* target = x + n / s.draws * s.D;
    acc_t<T> sum = 0;
    for (int d = 0; d < s.D; ++d) {
      sum += pixel_nll(l[d], target[d]);
      if (dlogits) {
        write(dlogits.data[n * s.D + d], scale * (math::sigmoid(l[d]) - target[d]), dlogits.mode);
      }
    }
    total += sum;
  }
  if (value) write(*value.data, total / s.N, value.mode);
}

template void bernoulli_nll_forward<float>(const Context&, RowLossShape, const float*, const float*, float*);
template void bernoulli_nll_forward<double>(const Context&, RowLossShape, const double*, const double*, double*);
template void bernoulli_nll_backward<float>(const Context&, RowLossShape, const float*, const float*, const float*,
                                            Grad<float>);
template void bernoulli_nll_backward<double>(const Context&, RowLossShape, const double*, const double*, const double*,
                                             Grad<double>);
template void bernoulli_nll_loss<float>(const Context&, RowLossShape, const float*, const float*, Weight, Grad<float>,
                                        Grad<float>);
template void bernoulli_nll_loss<double>(const Context&, RowLossShape, const double*, const double*, Weight,
                                         Grad<double>, Grad<double>);

}  // namespace hourglass::cpu
