// SPDX-License-Identifier: Apache-2.0
#include "kernels/discretized_logistic.h"

#include <vector>

#include "kernels/base/logistic_bin.h"

namespace hourglass::cpu {
namespace {

/// Calls f(n, d, index in mu, term) for each element.
template <class T, class F>
void for_each_term(const DiscretizedLogisticShape& s, const T* mu, const T* x, const acc_t<T>* log_scale, F&& f) {
  std::vector<LogisticScale<T>> scales;
  for (int c = 0; c < s.log_scale_count; ++c) scales.push_back(logistic_scale(log_scale[c]));
  for (int64_t n = 0; n < s.N; ++n) {
    for (int d = 0; d < s.D; ++d) {
      const LogisticScale<T>& scale = scales[static_cast<size_t>(d % s.log_scale_count)];
      const int64_t i = n * s.D + d;
      f(n, d, i, logistic_term(mu[i], x[n / s.draws * s.D + d], scale));
    }
  }
}

template <class T>
void write_all(const std::vector<double>& sums, Grad<T> gradient) {
  for (size_t c = 0; gradient && c < sums.size(); ++c) write(gradient.data[c], sums[c], gradient.mode);
}

}  // namespace

template <class T>
void discretized_logistic_forward(const Context&, const DiscretizedLogisticShape& s, const T* mu, const T* x,
                                  const acc_t<T>* log_scale, acc_t<T>* nll) {
  check_discretized_logistic(s);
  for (int64_t n = 0; n < s.N; ++n) nll[n] = 0;
  for_each_term(s, mu, x, log_scale,
                [&](int64_t n, int, int64_t, const LogisticTerm<T>& term) { nll[n] += term.loss; });
}

template <class T>
void discretized_logistic_backward(const Context&, const DiscretizedLogisticShape& s, const T* mu, const T* x,
                                   const acc_t<T>* log_scale, const acc_t<T>* dnll, Grad<T> dmu,
                                   Grad<acc_t<T>> dlog_scale) {
  check_discretized_logistic(s);
  std::vector<double> sums(static_cast<size_t>(s.log_scale_count));
  for_each_term(s, mu, x, log_scale, [&](int64_t n, int d, int64_t i, const LogisticTerm<T>& term) {
    if (dmu) write(dmu.data[i], dnll[n] * term.dmu, dmu.mode);
    sums[static_cast<size_t>(d % s.log_scale_count)] += static_cast<double>(dnll[n]) * term.dlog_scale;
  });
  write_all(sums, dlog_scale);
}

template <class T>
void discretized_logistic_loss(const Context&, const DiscretizedLogisticShape& s, const T* mu, const T* x,
                               const acc_t<T>* log_scale, Weight weight, Grad<acc_t<T>> value, Grad<T> dmu,
                               Grad<acc_t<T>> dlog_scale) {
  check_discretized_logistic(s);
  check_mean("discretized_logistic", s.N);
  const double each = weight.value() / s.N;
  double total = 0;
  std::vector<double> sums(static_cast<size_t>(s.log_scale_count));
  for_each_term(s, mu, x, log_scale, [&](int64_t, int d, int64_t i, const LogisticTerm<T>& term) {
    if (dmu) write(dmu.data[i], static_cast<T>(each) * term.dmu, dmu.mode);
    total += term.loss;
    sums[static_cast<size_t>(d % s.log_scale_count)] += each * term.dlog_scale;
  });
  if (value) write(*value.data, total / s.N, value.mode);
  write_all(sums, dlog_scale);
}

#define HOURGLASS_INSTANTIATE(T)                                                                                      \
  template void discretized_logistic_forward<T>(const Context&, const DiscretizedLogisticShape&, const T*, const T*,  \
                                                const T*, T*);                                                        \
  template void discretized_logistic_backward<T>(const Context&, const DiscretizedLogisticShape&, const T*, const T*, \
                                                 const T*, const T*, Grad<T>, Grad<T>);                               \
  template void discretized_logistic_loss<T>(const Context&, const DiscretizedLogisticShape&, const T*, const T*,     \
                                             const T*, Weight, Grad<T>, Grad<T>, Grad<T>);
HOURGLASS_INSTANTIATE(float)
HOURGLASS_INSTANTIATE(double)
#undef HOURGLASS_INSTANTIATE

}  // namespace hourglass::cpu
