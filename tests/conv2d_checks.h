// SPDX-License-Identifier: Apache-2.0
// What the tests of convolutions share: sizes, inputs, and the three products by the reference.
#pragma once

#include <string>
#include <vector>

#include "tests/cases/conv2d.h"
#include "tests/harness.h"

namespace hourglass::test {

inline int64_t x_size(const Conv2dShape& s) { return int64_t{s.N} * s.H * s.W * s.C; }
inline int64_t y_size(const Conv2dShape& s) { return int64_t{s.N} * s.P * s.Q * s.K; }
inline int64_t w_size(const Conv2dShape& s) { return int64_t{s.K} * s.R * s.S * s.C; }

/// Terms of the longest sum of each product.
inline int64_t forward_terms(const Conv2dShape& s) { return int64_t{s.R} * s.S * s.C; }
inline int64_t input_terms(const Conv2dShape& s) { return int64_t{s.R} * s.S * s.K; }
inline int64_t weight_terms(const Conv2dShape& s) { return int64_t{s.N} * s.P * s.Q; }

template <class T>
struct Conv2dInputs {
  std::vector<T> x, w, y;

  static Conv2dInputs random(const Conv2dShape& s) {
    return {random_values<T>(x_size(s), 1), random_values<T>(w_size(s), 2), random_values<T>(y_size(s), 3)};
  }
  static Conv2dInputs integers(const Conv2dShape& s) {
    return {random_integers<T>(x_size(s), 1), random_integers<T>(w_size(s), 2), random_integers<T>(y_size(s), 3)};
  }
  template <class To>
  Conv2dInputs<To> as() const {
    return {converted<To>(x), converted<To>(w), converted<To>(y)};
  }
};

/// The three products of one shape, by the reference: y from x and w, x from y and w, w from x and y.
template <class T>
struct Conv2dResults {
  std::vector<T> y, x, w;
};

template <class T>
Conv2dResults<T> conv2d_reference(const Conv2dShape& s, const Conv2dInputs<T>& in, const Conv2dEpilogue<T>& to_y = {},
                                  const Conv2dEpilogue<T>& to_x = {}) {
  Guarded<T> y(y_size(s)), x(x_size(s)), w(w_size(s));
  cpu::conv2d_forward<T>({}, s, in.x.data(), in.w.data(), to_y, {y.data()});
  cpu::conv2d_backward_input<T>({}, s, in.y.data(), in.w.data(), to_x, {x.data()});
  cpu::conv2d_backward_weight<T>({}, s, in.x.data(), in.y.data(), nullptr, {w.data()});
  return {y.values(), x.values(), w.values()};
}

}  // namespace hourglass::test
