// SPDX-License-Identifier: Apache-2.0
#include "kernels/group_norm.h"

#include <cmath>

#include "kernels/base/group_norm_check.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::cpu {
namespace {

/// Calls f(index in x, channel) for each element of a group of a sample.
template <class F>
void for_each_in_group(const GroupNormShape& s, int64_t n, int g, F&& f) {
  const int width = s.C / s.G;
  for (int64_t p = 0; p < s.pixels; ++p) {
    for (int c = g * width; c < (g + 1) * width; ++c) f((n * s.pixels + p) * s.C + c, c);
  }
}

template <class T>
T gamma_of(const T* gamma, int c) {
  return gamma ? gamma[c] : T(1);
}

}  // namespace

template <class T>
void group_norm_forward(const Context& ctx, const GroupNormShape& s, const T* x, const T* gamma, const T* beta, T* y,
                        acc_t<T>* mean, acc_t<T>* rstd) {
  check_group_norm(s);
  const int64_t count = int64_t{s.pixels} * (s.C / s.G);
  if (count == 0) return;
  parallel_for(ctx, int64_t{s.N} * s.G, [&](int64_t group) {
    const int64_t n = group / s.G;
    const int g = static_cast<int>(group % s.G);
    double sum = 0, squares = 0;
    for_each_in_group(s, n, g, [&](int64_t i, int) { sum += x[i]; });
    const T center = static_cast<T>(sum / static_cast<double>(count));
    for_each_in_group(s, n, g, [&](int64_t i, int) {
      const double difference = x[i] - center;
      squares += difference * difference;
    });
    const T scale = static_cast<T>(1 / std::sqrt(squares / static_cast<double>(count) + s.eps));
    for_each_in_group(s, n, g, [&](int64_t i, int c) {
      y[i] = gamma_of(gamma, c) * ((x[i] - center) * scale) + (beta ? beta[c] : T(0));
    });
    mean[group] = center;
    rstd[group] = scale;
  });
}

template <class T>
void group_norm_backward(const Context& ctx, const GroupNormShape& s, const T* x, const T* gamma, const acc_t<T>* mean,
                         const acc_t<T>* rstd, const T* dy, void* scratch, Grad<T> dx, Grad<acc_t<T>> dgamma,
                         Grad<acc_t<T>> dbeta) {
  check_group_norm(s);
  const double count = static_cast<double>(s.pixels) * (s.C / s.G);
  T* const sums = static_cast<T*>(scratch);  // (N, C, 2): of dy h and of dy
  parallel_for(ctx, int64_t{s.N} * s.G, [&](int64_t group) {
    const int64_t n = group / s.G;
    const int g = static_cast<int>(group % s.G), width = s.C / s.G;
    T* const of_sample = sums + n * s.C * 2;
    for (int c = g * width; c < (g + 1) * width; ++c) of_sample[2 * c] = of_sample[2 * c + 1] = 0;
    double average = 0, average_h = 0;
    for_each_in_group(s, n, g, [&](int64_t i, int c) {
      const T h = (x[i] - mean[group]) * rstd[group];
      of_sample[2 * c] += dy[i] * h;
      of_sample[2 * c + 1] += dy[i];
      average += gamma_of(gamma, c) * dy[i] / count;
      average_h += gamma_of(gamma, c) * dy[i] * h / count;
    });
    if (!dx) return;
    for_each_in_group(s, n, g, [&](int64_t i, int c) {
      const T h = (x[i] - mean[group]) * rstd[group];
      const T slope = gamma_of(gamma, c) * dy[i] - static_cast<T>(average) - h * static_cast<T>(average_h);
      write(dx.data[i], rstd[group] * slope, dx.mode);
    });
  });
  for (int c = 0; c < s.C; ++c) {
    double of_gamma = 0, of_beta = 0;
    for (int64_t n = 0; n < s.N; ++n) {
      of_gamma += sums[(n * s.C + c) * 2];
      of_beta += sums[(n * s.C + c) * 2 + 1];
    }
    if (dgamma) write(dgamma.data[c], of_gamma, dgamma.mode);
    if (dbeta) write(dbeta.data[c], of_beta, dbeta.mode);
  }
}

#define HOURGLASS_INSTANTIATE(T)                                                                                      \
  template void group_norm_forward<T>(const Context&, const GroupNormShape&, const T*, const T*, const T*, T*, T*,    \
                                      T*);                                                                            \
  template void group_norm_backward<T>(const Context&, const GroupNormShape&, const T*, const T*, const T*, const T*, \
                                       const T*, void*, Grad<T>, Grad<T>, Grad<T>);
HOURGLASS_INSTANTIATE(float)
HOURGLASS_INSTANTIATE(double)
#undef HOURGLASS_INSTANTIATE

}  // namespace hourglass::cpu
