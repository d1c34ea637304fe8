// SPDX-License-Identifier: Apache-2.0
// The forms of a kernel that are compared with golden files: the references in double and float, and the timed float
// form.
#pragma once

#include <string>
#include <type_traits>
#include <vector>

#include "tests/golden/golden.h"
#include "tests/harness.h"

namespace hourglass::test {

/// One form of the kernels, with what a test of it needs: inputs, poisoned outputs, comparisons.
template <class Type, bool reference>
struct Form {
  using T = Type;
  static constexpr bool kReference = reference;

  std::vector<T> in(const std::string& name) const { return golden.values<T>(name); }
  Guarded<T> like(const std::string& name) const { return Guarded<T>(static_cast<int64_t>(in(name).size())); }
  int rows(const std::string& name) const { return golden.extent(name, 0); }
  int columns(const std::string& name) const { return golden.extent(name, 1); }

  /// K: the number of terms in an element's sum.
  void expect(const std::string& name, const Guarded<T>& got, int64_t K = 1) const {
    expect_close(got, golden.values<double>(name), tolerance_for<T>(K), name);
  }
  /// The value of a fused loss is the mean of its per-sample results, without the weight.
  void expect_mean(const std::string& name, const Guarded<T>& value, int64_t K) const {
    const auto samples = golden.values<double>(name);
    double mean = 0;
    for (double sample : samples) mean += sample / static_cast<double>(samples.size());
    expect_close(value, std::vector<double>{mean}, tolerance_for<T>(K), "mean of " + name);
  }

  Golden golden{"ops"};
  Context ctx = test_context(2);
};

template <class Body>
void every_form(Body body) {
  const auto run = [&](const char* name, auto form) {
    SCOPED_TRACE(name);
    body(form);
  };
  run("reference, double", Form<double, true>{});
  run("reference, float", Form<float, true>{});
  run("timed, float", Form<float, false>{});
}

/// Calls a kernel in the form `f`: naming the type picks the reference, leaving it out the timed form where one exists.
#define RUN(op, ...)                                   \
  do {                                                 \
    using Called = std::decay_t<decltype(f)>;          \
    if constexpr (Called::kReference) {                \
      cpu::op<typename Called::T>(f.ctx, __VA_ARGS__); \
    } else {                                           \
      cpu::op(f.ctx, __VA_ARGS__);                     \
    }                                                  \
  } while (false)

template <class F>
using Element = typename std::decay_t<F>::T;

template <class T>
Grad<T> set(Guarded<T>& gradient) {
  return {gradient.data(), Write::kSet};
}

}  // namespace hourglass::test
