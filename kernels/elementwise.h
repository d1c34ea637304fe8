// SPDX-License-Identifier: Apache-2.0
// Elementwise sums, products and scaling. No broadcasting: both inputs have the output's n elements.
//
//   add    y = a + b          da = dy,     db = dy
//   sub    y = a - b          da = dy,     db = -dy
//   mul    y = a b            da = dy b,   db = dy a
//   scale  y = factor x       dx = factor dy
//
//   a, b, x, y and their gradients (n)
//
// The gradients of one op may be the same memory (mul(x, x)) only in separate calls: the second with kAdd.
// n = 0: nothing happens. Errors: kUsage for negative n.
#pragma once

#include <cstdint>

#include "kernels/base/context.h"

namespace hourglass {

struct ElementwiseShape {
  int64_t n = 0;
};

namespace cpu {

template <class T>
void add_forward(const Context& ctx, ElementwiseShape s, const T* a, const T* b, T* y);
template <class T>
void add_backward(const Context& ctx, ElementwiseShape s, const T* dy, Grad<T> da, Grad<T> db);

template <class T>
void sub_forward(const Context& ctx, ElementwiseShape s, const T* a, const T* b, T* y);
template <class T>
void sub_backward(const Context& ctx, ElementwiseShape s, const T* dy, Grad<T> da, Grad<T> db);

template <class T>
void mul_forward(const Context& ctx, ElementwiseShape s, const T* a, const T* b, T* y);
template <class T>
void mul_backward(const Context& ctx, ElementwiseShape s, const T* a, const T* b, const T* dy, Grad<T> da, Grad<T> db);

template <class T>
void scale_forward(const Context& ctx, ElementwiseShape s, const T* x, double factor, T* y);
template <class T>
void scale_backward(const Context& ctx, ElementwiseShape s, const T* dy, double factor, Grad<T> dx);

/// The timed float forms.
void add_forward(const Context& ctx, ElementwiseShape s, const float* a, const float* b, float* y);
void add_backward(const Context& ctx, ElementwiseShape s, const float* dy, Grad<float> da, Grad<float> db);
void sub_forward(const Context& ctx, ElementwiseShape s, const float* a, const float* b, float* y);
void sub_backward(const Context& ctx, ElementwiseShape s, const float* dy, Grad<float> da, Grad<float> db);
void mul_forward(const Context& ctx, ElementwiseShape s, const float* a, const float* b, float* y);
void mul_backward(const Context& ctx, ElementwiseShape s, const float* a, const float* b, const float* dy,
                  Grad<float> da, Grad<float> db);
void scale_forward(const Context& ctx, ElementwiseShape s, const float* x, double factor, float* y);
void scale_backward(const Context& ctx, ElementwiseShape s, const float* dy, double factor, Grad<float> dx);

}  // namespace cpu

namespace cuda {

/// T: float or bf16; the arithmetic is float.
template <class T>
void add_forward(const Context& ctx, ElementwiseShape s, const T* a, const T* b, T* y);
template <class T>
void add_backward(const Context& ctx, ElementwiseShape s, const T* dy, Grad<T> da, Grad<T> db);

template <class T>
void sub_forward(const Context& ctx, ElementwiseShape s, const T* a, const T* b, T* y);
template <class T>
void sub_backward(const Context& ctx, ElementwiseShape s, const T* dy, Grad<T> da, Grad<T> db);

template <class T>
void mul_forward(const Context& ctx, ElementwiseShape s, const T* a, const T* b, T* y);
template <class T>
void mul_backward(const Context& ctx, ElementwiseShape s, const T* a, const T* b, const T* dy, Grad<T> da, Grad<T> db);

template <class T>
void scale_forward(const Context& ctx, ElementwiseShape s, const T* x, double factor, T* y);
template <class T>
void scale_backward(const Context& ctx, ElementwiseShape s, const T* dy, double factor, Grad<T> dx);

}  // namespace cuda
}  // namespace hourglass
