// SPDX-License-Identifier: Apache-2.0
#include "kernels/elementwise.h"

#include "kernels/base/elementwise_check.h"

namespace hourglass::cpu {

template <class T>
void add_forward(const Context&, ElementwiseShape s, const T* a, const T* b, T* y) {
  check_elementwise("add", s);
  for (int64_t i = 0; i < s.n; ++i) y[i] = a[i] + b[i];
}

template <class T>
void add_backward(const Context&, ElementwiseShape s, const T* dy, Grad<T> da, Grad<T> db) {
  check_elementwise("add", s);
  for (int64_t i = 0; i < s.n; ++i) {
    if (da) write(da.data[i], dy[i], da.mode);
    if (db) write(db.data[i], dy[i], db.mode);
  }
}

template <class T>
void sub_forward(const Context&, ElementwiseShape s, const T* a, const T* b, T* y) {
  check_elementwise("sub", s);
  for (int64_t i = 0; i < s.n; ++i) y[i] = a[i] - b[i];
}

template <class T>
void sub_backward(const Context&, ElementwiseShape s, const T* dy, Grad<T> da, Grad<T> db) {
  check_elementwise("sub", s);
  for (int64_t i = 0; i < s.n; ++i) {
    if (da) write(da.data[i], dy[i], da.mode);
    if (db) write(db.data[i], -dy[i], db.mode);
  }
}

template <class T>
void mul_forward(const Context&, ElementwiseShape s, const T* a, const T* b, T* y) {
  check_elementwise("mul", s);
  for (int64_t i = 0; i < s.n; ++i) y[i] = a[i] * b[i];
}

template <class T>
void mul_backward(const Context&, ElementwiseShape s, const T* a, const T* b, const T* dy, Grad<T> da, Grad<T> db) {
  check_elementwise("mul", s);
  for (int64_t i = 0; i < s.n; ++i) {
    if (da) write(da.data[i], dy[i] * b[i], da.mode);
    if (db) write(db.data[i], dy[i] * a[i], db.mode);
  }
}

template <class T>
void scale_forward(const Context&, ElementwiseShape s, const T* x, double factor, T* y) {
  check_elementwise("scale", s);
  for (int64_t i = 0; i < s.n; ++i) y[i] = static_cast<T>(factor) * x[i];
}

template <class T>
void scale_backward(const Context&, ElementwiseShape s, const T* dy, double factor, Grad<T> dx) {
  check_elementwise("scale", s);
  if (!dx) return;
  for (int64_t i = 0; i < s.n; ++i) write(dx.data[i], static_cast<T>(factor) * dy[i], dx.mode);
}

template void add_forward(const Context&, ElementwiseShape, const float*, const float*, float*);
template void add_forward(const Context&, ElementwiseShape, const double*, const double*, double*);
template void add_backward(const Context&, ElementwiseShape, const float*, Grad<float>, Grad<float>);
template void add_backward(const Context&, ElementwiseShape, const double*, Grad<double>, Grad<double>);
template void sub_forward(const Context&, ElementwiseShape, const float*, const float*, float*);
template void sub_forward(const Context&, ElementwiseShape, const double*, const double*, double*);
template void sub_backward(const Context&, ElementwiseShape, const float*, Grad<float>, Grad<float>);
template void sub_backward(const Context&, ElementwiseShape, const double*, Grad<double>, Grad<double>);
template void mul_forward(const Context&, ElementwiseShape, const float*, const float*, float*);
template void mul_forward(const Context&, ElementwiseShape, const double*, const double*, double*);
template void mul_backward(const Context&, ElementwiseShape, const float*, const float*, const float*, Grad<float>,
                           Grad<float>);
template void mul_backward(const Context&, ElementwiseShape, const double*, const double*, const double*, Grad<double>,
                           Grad<double>);
template void scale_forward(const Context&, ElementwiseShape, const float*, double, float*);
template void scale_forward(const Context&, ElementwiseShape, const double*, double, double*);
template void scale_backward(const Context&, ElementwiseShape, const float*, double, Grad<float>);
template void scale_backward(const Context&, ElementwiseShape, const double*, double, Grad<double>);

}  // namespace hourglass::cpu
