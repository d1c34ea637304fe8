// SPDX-License-Identifier: Apache-2.0
#include "kernels/gaussian_nll.h"

#include "kernels/base/gaussian_density.h"

namespace hourglass::cpu {
template <class T>
void gaussian_nll_forward(const Context&, GaussianNllShape s, const T* y, const T* x, const acc_t<T>* log_sigma,
                          acc_t<T>* nll) {
  check_gaussian_nll(s);
  for (int64_t n = 0; n < s.N; ++n) {
    acc_t<T> sum = 0;
    for (int d = 0; d < s.D; ++d) {
      const T ls = log_sigma[s.log_sigma_count == 1 ? 0 : d];
      const T difference = y[n * s.D + d] - x[n / s.draws * s.D + d];
      sum += precision(ls) * difference * difference / 2 + normalizer(ls);
    }
    nll[n] = sum;
  }
}

template <class T>
void gaussian_nll_backward(const Context&, GaussianNllShape s, const T* y, const T* x, const acc_t<T>* log_sigma,
                           const acc_t<T>* dnll, Grad<T> dy, Grad<acc_t<T>> dlog_sigma) {
  check_gaussian_nll(s);
  double shared = 0;
  for (int d = 0; d < s.D; ++d) {
    const T ls = log_sigma[s.log_sigma_count == 1 ? 0 : d];
    const T p = precision(ls);
    double sum = 0;
    for (int64_t n = 0; n < s.N; ++n) {
      const T difference = y[n * s.D + d] - x[n / s.draws * s.D + d];
      if (dy) write(dy.data[n * s.D + d], dnll[n] * p * difference, dy.mode);
      sum += dnll[n] * (1 - p * difference * difference);
    }
    sum *= normalizer_slope(ls);
    shared += sum;
    if (dlog_sigma && s.log_sigma_count != 1) write(dlog_sigma.data[d], sum, dlog_sigma.mode);
  }
  if (dlog_sigma && s.log_sigma_count == 1) write(*dlog_sigma.data, shared, dlog_sigma.mode);
}

template <class T>
void gaussian_nll_loss(const Context&, GaussianNllShape s, const T* y, const T* x, const acc_t<T>* log_sigma,
                       Weight weight, Grad<acc_t<T>> value, Grad<T> dy, Grad<acc_t<T>> dlog_sigma) {
  check_gaussian_nll(s);
  check_mean("gaussian_nll", s.N);
  const double scale = weight.value() / s.N;
  double total = 0, shared = 0;
  for (int d = 0; d < s.D; ++d) {
    const T ls = log_sigma[s.log_sigma_count == 1 ? 0 : d];
    const T p = precision(ls);
    double squares = 0;
    for (int64_t n = 0; n < s.N; ++n) {
      const T difference = y[n * s.D + d] - x[n / s.draws * s.D + d];
      if (dy) write(dy.data[n * s.D + d], static_cast<T>(scale) * p * difference, dy.mode);
      squares += p * difference * difference;
    }
    total += squares / 2 + s.N * static_cast<double>(normalizer(ls));
    const double slope = scale * (s.N - squares) * static_cast<double>(normalizer_slope(ls));
    shared += slope;
    if (dlog_sigma && s.log_sigma_count != 1) write(dlog_sigma.data[d], slope, dlog_sigma.mode);
  }
  if (value) write(*value.data, total / s.N, value.mode);
  if (dlog_sigma && s.log_sigma_count == 1) write(*dlog_sigma.data, shared, dlog_sigma.mode);
}

template void gaussian_nll_forward<float>(const Context&, GaussianNllShape, const float*, const float*, const float*,
                                          float*);
template void gaussian_nll_forward<double>(const Context&, GaussianNllShape, const double*, const double*,
                                           const double*, double*);
template void gaussian_nll_backward<float>(const Context&, GaussianNllShape, const float*, const float*, const float*,
                                           const float*, Grad<float>, Grad<float>);
template void gaussian_nll_backward<double>(const Context&, GaussianNllShape, const double*, const double*,
                                            const double*, const double*, Grad<double>, Grad<double>);
template void gaussian_nll_loss<float>(const Context&, GaussianNllShape, const float*, const float*, const float*,
                                       Weight, Grad<float>, Grad<float>, Grad<float>);
template void gaussian_nll_loss<double>(const Context&, GaussianNllShape, const double*, const double*, const double*,
                                        Weight, Grad<double>, Grad<double>, Grad<double>);

}  // namespace hourglass::cpu
