// SPDX-License-Identifier: Apache-2.0
// Convolutions and transposed convolutions against PyTorch: 200 drawn small shapes, forward and backward, by the
// reference in double and float and by the timed float form (tests/golden/README.md).
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/conv2d.h"
#include "tests/golden/golden.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

constexpr int kCases = 200;

const Golden& golden() {
  static const Golden file("conv2d");
  return file;
}

struct Case {
  explicit Case(int index) : name(std::to_string(1000 + index).substr(1) + "/") {
    const auto options = golden().values<double>(name + "options");
    const auto option = [&](size_t i) { return static_cast<int>(options.at(i)); };
    const auto extent = [&](const char* tensor, size_t axis) { return golden().extent(name + tensor, axis); };
    transposed = option(0) != 0;
    activation =
        std::vector{Activation::kNone, Activation::kTanh, Activation::kSigmoid}.at(static_cast<size_t>(option(1)));
    const char *wide = transposed ? "y" : "x", *grid = transposed ? "x" : "y";  // the contract's x and y
    s.N = extent("x", 0);
    s.H = extent(wide, 1), s.W = extent(wide, 2), s.C = extent(wide, 3);
    s.P = extent(grid, 1), s.Q = extent(grid, 2), s.K = extent(grid, 3);
    s.R = extent("w", 1), s.S = extent("w", 2);
    s.stride_h = option(2), s.stride_w = option(3);
    s.pad_h = option(4), s.pad_w = option(5);
    s.dilation_h = option(6), s.dilation_w = option(7);
  }

  std::string name;
  bool transposed = false;
  Activation activation = Activation::kNone;
  Conv2dShape s;
};

/// The names that an op calls; `kReference` names the templates instead.
template <class T, bool kReference>
struct Form {
  static void forward(const Conv2dShape& s, const T* x, const T* w, const Conv2dEpilogue<T>& e, T* y) {
    if constexpr (kReference) cpu::conv2d_forward<T>({}, s, x, w, e, {y});
    if constexpr (!kReference) cpu::conv2d_forward(test_context(2), s, x, w, e, Grad<T>{y});
  }
  static void backward_input(const Conv2dShape& s, const T* y, const T* w, const Conv2dEpilogue<T>& e, T* x) {
    if constexpr (kReference) cpu::conv2d_backward_input<T>({}, s, y, w, e, {x});
    if constexpr (!kReference) cpu::conv2d_backward_input(test_context(2), s, y, w, e, Grad<T>{x});
  }
  static void backward_weight(const Conv2dShape& s, const T* x, const T* dy, T* dw) {
    std::vector<T> scratch(cpu::conv2d_backward_weight_scratch_bytes<T>(s) / sizeof(T));
    if constexpr (kReference) cpu::conv2d_backward_weight<T>({}, s, x, dy, scratch.data(), {dw});
    if constexpr (!kReference) cpu::conv2d_backward_weight(test_context(2), s, x, dy, scratch.data(), Grad<T>{dw});
  }
  static void backward_epilogue(const Conv2dEpilogueShape& s, const T* y, T* dy, T* db) {
    if constexpr (kReference) cpu::conv2d_backward_epilogue<T>({}, s, y, dy, {db});
    if constexpr (!kReference) cpu::conv2d_backward_epilogue(test_context(2), s, y, dy, Grad<T>{db});
  }
};

/// Sums of `terms` products of magnitude one may cancel: what they are measured against grows with their root.
template <class T>
void expect(const Case& c, const char* tensor, const Guarded<T>& got, int64_t terms) {
  expect_close(got, golden().values<double>(c.name + tensor),
               tolerance_for<T>(terms, std::sqrt(static_cast<double>(terms))), tensor);
}

template <class T, bool kReference>
void check(const Case& c) {
  using F = Form<T, kReference>;
  const Conv2dShape& s = c.s;
  const auto in = [&](const char* tensor) { return golden().values<T>(c.name + tensor); };
  const auto x = in("x"), w = in("w"), b = in("b");
  const auto size = [](const auto& v) { return static_cast<int64_t>(v.size()); };
  Guarded<T> dz(in("dy")), y(dz.size()), dx(size(x)), dw(size(w)), db(size(b));
  const Conv2dEpilogue<T> epilogue{b.data(), nullptr, c.activation};
  const int64_t taps = int64_t{s.R} * s.S, pixels = dz.size() / size(b);
  if (c.transposed) {
    F::backward_input(s, x.data(), w.data(), epilogue, y.data());
  } else {
    F::forward(s, x.data(), w.data(), epilogue, y.data());
  }
  expect(c, "y", y, taps * (c.transposed ? s.K : s.C) + 1);
  F::backward_epilogue({pixels, static_cast<int>(size(b)), c.activation}, y.data(), dz.data(), db.data());
  expect(c, "db", db, pixels);
  if (c.transposed) {
    F::forward(s, dz.data(), w.data(), {}, dx.data());
    F::backward_weight(s, dz.data(), x.data(), dw.data());
  } else {
    F::backward_input(s, dz.data(), w.data(), {}, dx.data());
    F::backward_weight(s, x.data(), dz.data(), dw.data());
  }
  expect(c, "dx", dx, taps * (c.transposed ? s.C : s.K));
  expect(c, "dw", dw, int64_t{s.N} * s.P * s.Q);
}

TEST(GoldenConv2d, EveryFormAgreesWithPyTorch) {
  for (int i = 0; i < kCases; ++i) {
    const Case c(i);
    SCOPED_TRACE("case " + c.name + (c.transposed ? " transposed" : ""));
    check<double, true>(c);
    check<float, true>(c);
    check<float, false>(c);
  }
}

/// The drawn cases are not all of one kind.
TEST(GoldenConv2d, CasesAreVaried) {
  int transposed = 0, strided = 0, dilated = 0, padded = 0;
  for (int i = 0; i < kCases; ++i) {
    const Case c(i);
    transposed += c.transposed;
    strided += c.s.stride_h != c.s.stride_w;
    dilated += c.s.dilation_h + c.s.dilation_w > 2;
    padded += c.s.pad_h > 0;
  }
  EXPECT_EQ(transposed, kCases / 2);
  for (int count : {strided, dilated, padded}) EXPECT_GT(count, kCases / 4);
}

}  // namespace
}  // namespace hourglass::test
