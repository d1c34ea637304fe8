// SPDX-License-Identifier: Apache-2.0
#include "kernels/row_reduce.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/base/math.h"
#include "kernels/base/row_reduce_check.h"

namespace hourglass::cpu {
namespace {

/// The larger, and NaN if either is.
template <class T>
T larger(T a, T b) {
  return b > a || std::isnan(b) ? b : a;
}

/// exp(value - max), where equal infinities differ by nothing.
template <class T>
T exp_difference(T value, T max) {
  return value == max ? T(1) : math::exp(value - max);
}

template <class T>
T log_sum_exp(int64_t D, const T* row) {
  T max = -std::numeric_limits<T>::infinity();
  for (int64_t d = 0; d < D; ++d) max = larger(max, row[d]);
  if (!std::isfinite(max)) return max;
  T sum = 0;
  for (int64_t d = 0; d < D; ++d) sum += math::exp(row[d] - max);
  return max + math::log(sum);
}

}  // namespace

template <class T>
void row_sum_forward(const Context&, RowReduceShape s, const T* x, T* y) {
  check_row_reduce("row_sum", s);
  for (int64_t n = 0; n < s.N; ++n) {
    T sum = 0;
    for (int64_t d = 0; d < s.D; ++d) sum += x[n * s.D + d];
    y[n] = sum;
  }
}

template <class T>
void row_sum_backward(const Context&, RowReduceShape s, const T* dy, Grad<T> dx) {
  check_row_reduce("row_sum", s);
  if (!dx) return;
  for (int64_t n = 0; n < s.N; ++n) {
    for (int64_t d = 0; d < s.D; ++d) write(dx.data[n * s.D + d], dy[n], dx.mode);
  }
}

template <class T>
void row_mean_forward(const Context& ctx, RowReduceShape s, const T* x, T* y) {
  check_row_mean(s);
  row_sum_forward<T>(ctx, s, x, y);
  for (int64_t n = 0; n < s.N; ++n) y[n] /= static_cast<T>(s.D);
}

template <class T>
void row_mean_backward(const Context&, RowReduceShape s, const T* dy, Grad<T> dx) {
  check_row_mean(s);
  if (!dx) return;
  for (int64_t n = 0; n < s.N; ++n) {
    const T each = dy[n] / static_cast<T>(s.D);
    for (int64_t d = 0; d < s.D; ++d) write(dx.data[n * s.D + d], each, dx.mode);
  }
}

template <class T>
void row_norm_forward(const Context&, RowReduceShape s, const T* x, T* y) {
  check_row_reduce("row_norm", s);
  for (int64_t n = 0; n < s.N; ++n) {
    double squares = 0;  // a float's square overflows beyond 1.8e19
    for (int64_t d = 0; d < s.D; ++d) {
      const double value = static_cast<double>(x[n * s.D + d]);
      squares += value * value;
    }
    y[n] = static_cast<T>(std::sqrt(squares));
  }
}

template <class T>
void row_norm_backward(const Context&, RowReduceShape s, const T* x, const T* y, const T* dy, Grad<T> dx) {
  check_row_reduce("row_norm", s);
  if (!dx) return;
  for (int64_t n = 0; n < s.N; ++n) {
    for (int64_t d = 0; d < s.D; ++d) {
      const T direction = y[n] == T(0) ? T(0) : x[n * s.D + d] / y[n];
      write(dx.data[n * s.D + d], dy[n] * direction, dx.mode);
    }
  }
}

template <class T>
void row_log_sum_exp_forward(const Context&, RowReduceShape s, const T* x, T* y) {
  check_row_reduce("row_log_sum_exp", s);
  for (int64_t n = 0; n < s.N; ++n) y[n] = log_sum_exp<T>(s.D, x + n * s.D);
}

template <class T>
void row_log_sum_exp_backward(const Context&, RowReduceShape s, const T* x, const T* y, const T* dy, Grad<T> dx) {
  check_row_reduce("row_log_sum_exp", s);
  if (!dx) return;
  for (int64_t n = 0; n < s.N; ++n) {
    const bool empty = y[n] == -std::numeric_limits<T>::infinity();
    for (int64_t d = 0; d < s.D; ++d) {
      const T share = empty ? T(0) : math::exp(x[n * s.D + d] - y[n]);
      write(dx.data[n * s.D + d], dy[n] * share, dx.mode);
    }
  }
}

template <class T>
void log_sum_exp_update(const Context&, RowReduceShape s, const T* values, double* max, double* sum) {
  check_row_reduce("log_sum_exp_update", s);
  for (int64_t n = 0; n < s.N; ++n) {
    const T* row = values + n * s.D;
    double highest = max[n];
    for (int64_t d = 0; d < s.D; ++d) highest = larger(highest, static_cast<double>(row[d]));
    if (highest == -std::numeric_limits<double>::infinity()) continue;
    double total = sum[n] == 0 ? 0 : sum[n] * exp_difference(max[n], highest);
    for (int64_t d = 0; d < s.D; ++d) total += exp_difference(static_cast<double>(row[d]), highest);
    max[n] = highest;
    sum[n] = total;
  }
}

#define HOURGLASS_INSTANTIATE(T)                                                                                 \
  template void row_sum_forward(const Context&, RowReduceShape, const T*, T*);                                   \
  template void row_sum_backward(const Context&, RowReduceShape, const T*, Grad<T>);                             \
  template void row_mean_forward(const Context&, RowReduceShape, const T*, T*);                                  \
  template void row_mean_backward(const Context&, RowReduceShape, const T*, Grad<T>);                            \
  template void row_norm_forward(const Context&, RowReduceShape, const T*, T*);                                  \
  template void row_norm_backward(const Context&, RowReduceShape, const T*, const T*, const T*, Grad<T>);        \
  template void row_log_sum_exp_forward(const Context&, RowReduceShape, const T*, T*);                           \
  template void row_log_sum_exp_backward(const Context&, RowReduceShape, const T*, const T*, const T*, Grad<T>); \
  template void log_sum_exp_update(const Context&, RowReduceShape, const T*, double*, double*);
HOURGLASS_INSTANTIATE(float)
HOURGLASS_INSTANTIATE(double)
#undef HOURGLASS_INSTANTIATE

}  // namespace hourglass::cpu
