// SPDX-License-Identifier: Apache-2.0
#include "kernels/batch_norm.h"

#include <cmath>

#include "kernels/base/batch_norm_check.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::cpu {
namespace {

/// Calls f(index in x) for each row of a channel.
template <class F>
void for_each_row(const BatchNormShape& s, int64_t c, F&& f) {
  for (int64_t r = 0; r < s.rows; ++r) f(r * s.C + c);
}

template <class T>
T value_of(const T* parameter, int64_t c, T otherwise) {
  return parameter ? parameter[c] : otherwise;
}

}  // namespace

template <class T>
void batch_norm_forward(const Context& ctx, const BatchNormShape& s, const T* x, const T* gamma, const T* beta, void*,
                        T* y, acc_t<T>* mean, acc_t<T>* rstd, Grad<acc_t<T>> moments) {
  check_batch_norm_training(s);
  const double rows = static_cast<double>(s.rows);
  parallel_for(ctx, s.C, [&](int64_t c) {
    const auto add_moments = [&](T average, double variance, int number) {
      if (!moments) return;
      write(moments.data[c], average, moments.mode);
      write(moments.data[s.C + c], variance, moments.mode);
      write(moments.data[2 * s.C + c], number, moments.mode);
    };
    if (s.rows == 0) return add_moments(0, 0, 0);
    double sum = 0, squares = 0;
    for_each_row(s, c, [&](int64_t i) { sum += x[i]; });
    const T center = static_cast<T>(sum / rows);
    for_each_row(s, c, [&](int64_t i) {
      const double difference = x[i] - center;
      squares += difference * difference;
    });
    const T scale = static_cast<T>(1 / std::sqrt(squares / rows + s.eps));
    for_each_row(s, c, [&](int64_t i) {
      y[i] = value_of(gamma, c, T(1)) * ((x[i] - center) * scale) + value_of(beta, c, T(0));
    });
    mean[c] = center;
    rstd[c] = scale;
    add_moments(center, squares / (rows - 1), 1);
  });
}

template <class T>
void batch_norm_inference(const Context& ctx, const BatchNormShape& s, const T* x, const T* gamma, const T* beta,
                          const acc_t<T>* running_mean, const acc_t<T>* running_var, T* y) {
  check_batch_norm(s);
  parallel_for(ctx, s.C, [&](int64_t c) {
    const T scale = static_cast<T>(1 / std::sqrt(running_var[c] + s.eps));
    for_each_row(s, c, [&](int64_t i) {
      y[i] = value_of(gamma, c, T(1)) * ((x[i] - running_mean[c]) * scale) + value_of(beta, c, T(0));
    });
  });
}

template <class T>
void batch_norm_backward(const Context& ctx, const BatchNormShape& s, const T* x, const T* gamma, const acc_t<T>* mean,
                         const acc_t<T>* rstd, const T* dy, void*, Grad<T> dx, Grad<acc_t<T>> dgamma,
                         Grad<acc_t<T>> dbeta) {
  check_batch_norm_training(s);
  parallel_for(ctx, s.C, [&](int64_t c) {
    const auto h = [&](int64_t i) { return (x[i] - mean[c]) * rstd[c]; };
    double sum = 0, sum_h = 0;
    for_each_row(s, c, [&](int64_t i) {
      sum += dy[i];
      sum_h += static_cast<double>(dy[i]) * h(i);
    });
    if (dgamma) write(dgamma.data[c], sum_h, dgamma.mode);
    if (dbeta) write(dbeta.data[c], sum, dbeta.mode);
    if (!dx || s.rows == 0) return;
    const T average = static_cast<T>(sum / static_cast<double>(s.rows));
    const T average_h = static_cast<T>(sum_h / static_cast<double>(s.rows));
    const T slope = value_of(gamma, c, T(1)) * rstd[c];
    for_each_row(s, c, [&](int64_t i) { write(dx.data[i], slope * (dy[i] - average - h(i) * average_h), dx.mode); });
  });
}

template <class T>
void batch_norm_update(const Context&, int C, double momentum, const Fault* fault, T* moments, T* running_mean,
                       T* running_var) {
  check_batch_norm_update(C, momentum);
  if (fault && fault->code != 0) return;
  for (int64_t c = 0; c < C; ++c) {
    const double number = moments[2 * int64_t{C} + c];
    if (number == 0) continue;
    running_mean[c] = static_cast<T>((1 - momentum) * running_mean[c] + momentum * (moments[c] / number));
    running_var[c] = static_cast<T>((1 - momentum) * running_var[c] + momentum * (moments[C + c] / number));
    moments[2 * int64_t{C} + c] = 0;
  }
}

#define HOURGLASS_INSTANTIATE(T)                                                                                       \
  template void batch_norm_forward<T>(const Context&, const BatchNormShape&, const T*, const T*, const T*, void*, T*,  \
                                      T*, T*, Grad<T>);                                                                \
  template void batch_norm_inference<T>(const Context&, const BatchNormShape&, const T*, const T*, const T*, const T*, \
                                        const T*, T*);                                                                 \
  template void batch_norm_backward<T>(const Context&, const BatchNormShape&, const T*, const T*, const T*, const T*,  \
                                       const T*, void*, Grad<T>, Grad<T>, Grad<T>);                                    \
  template void batch_norm_update<T>(const Context&, int, double, const Fault*, T*, T*, T*);
HOURGLASS_INSTANTIATE(float)
HOURGLASS_INSTANTIATE(double)
#undef HOURGLASS_INSTANTIATE

}  // namespace hourglass::cpu
