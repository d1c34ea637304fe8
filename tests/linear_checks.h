// SPDX-License-Identifier: Apache-2.0
// What the tests of linear layers share, on the CPU and on the device: sizes, names and inputs.
#pragma once

#include "kernels/linear.h"
#include "tests/cases/linear.h"
#include "tests/harness.h"

namespace hourglass::test {

inline int64_t x_size(const LinearShape& s) { return int64_t{s.N} * s.C; }
inline int64_t w_size(const LinearShape& s) { return int64_t{s.K} * s.C; }
inline int64_t y_size(const LinearShape& s) { return int64_t{s.N} * s.K; }

inline std::string name_of(const LinearShape& s) {
  return describe("linear", {s.N, s.C, s.K}) + " " + activation_name(s.activation) +
         (s.transposed_weight ? " transposed" : "");
}

template <class T>
struct Inputs {
  std::vector<T> x, w, b, dy;

  static Inputs random(const LinearShape& s) {
    return {random_values<T>(x_size(s), 1), random_values<T>(w_size(s), 2), random_values<T>(s.K, 3),
            random_values<T>(y_size(s), 4)};
  }
  static Inputs integers(const LinearShape& s) {
    return {random_integers<T>(x_size(s), 1), random_integers<T>(w_size(s), 2), random_integers<T>(s.K, 3),
            random_integers<T>(y_size(s), 4)};
  }
};

}  // namespace hourglass::test
