// SPDX-License-Identifier: Apache-2.0
#include "kernels/linear.h"

#include "kernels/base/activation_functions.h"
#include "kernels/base/linear_check.h"

namespace hourglass::cpu {
namespace {

/// Where w[k,c] lies.
int64_t weight_at(const LinearShape& s, int64_t k, int64_t c) {
  return s.transposed_weight ? c * s.K + k : k * s.C + c;
}

}  // namespace

size_t linear_backward_scratch_bytes(const Context&, LinearShape s, size_t element_bytes) {
  if (s.activation == Activation::kNone) return 0;
  return static_cast<size_t>(s.N) * static_cast<size_t>(s.K) * element_bytes;
}

template <class T>
void linear_forward(const Context& ctx, LinearShape s, const T* x, const T* w, const T* b, T* y) {
  check_linear(s);
  for (int64_t n = 0; n < s.N; ++n) {
    for (int64_t k = 0; k < s.K; ++k) {
      T sum = 0;
      for (int64_t c = 0; c < s.C; ++c) sum += x[n * s.C + c] * w[weight_at(s, k, c)];
      y[n * s.K + k] = b ? sum + b[k] : sum;
    }
  }
  activation_forward<T>(ctx, {int64_t{s.N} * s.K, s.activation}, y, y);
}

template <class T>
void linear_backward(const Context& ctx, LinearShape s, const T* x, const T* w, const T* y, const T* dy, void* scratch,
                     Grad<T> dx, Grad<T> dw, Grad<T> db) {
  check_linear(s);
  const T* dz = dy;
  if (s.activation != Activation::kNone) {
    T* result = static_cast<T*>(scratch);
    activation_backward<T>(ctx, {int64_t{s.N} * s.K, s.activation}, nullptr, y, dy, Grad<T>{result});
    dz = result;
  }
  for (int64_t n = 0; dx && n < s.N; ++n) {
    for (int64_t c = 0; c < s.C; ++c) {
      T sum = 0;
      for (int64_t k = 0; k < s.K; ++k) sum += dz[n * s.K + k] * w[weight_at(s, k, c)];
      write(dx.data[n * s.C + c], sum, dx.mode);
    }
  }
  for (int64_t k = 0; k < s.K; ++k) {
    for (int64_t c = 0; dw && c < s.C; ++c) {
      T sum = 0;
      for (int64_t n = 0; n < s.N; ++n) sum += dz[n * s.K + k] * x[n * s.C + c];
      write(dw.data[weight_at(s, k, c)], sum, dw.mode);
    }
    if (!db) continue;
    T sum = 0;
    for (int64_t n = 0; n < s.N; ++n) sum += dz[n * s.K + k];
    write(db.data[k], sum, db.mode);
  }
}

template void linear_forward(const Context&, LinearShape, const float*, const float*, const float*, float*);
template void linear_forward(const Context&, LinearShape, const double*, const double*, const double*, double*);
template void linear_backward(const Context&, LinearShape, const float*, const float*, const float*, const float*,
                              void*, Grad<float>, Grad<float>, Grad<float>);
template void linear_backward(const Context&, LinearShape, const double*, const double*, const double*, const double*,
                              void*, Grad<double>, Grad<double>, Grad<double>);

}  // namespace hourglass::cpu
