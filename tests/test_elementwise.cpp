// SPDX-License-Identifier: Apache-2.0
#include <functional>

#include "kernels/elementwise.h"
#include "tests/cases/elementwise.h"
#include "tests/harness.h"

namespace hourglass {
namespace {

using namespace test;

constexpr double kFactor = -0.375;

/// One op of the family, in the reference's T and in the timed float form. scale takes a alone.
template <class T>
struct Op {
  const char* name;
  std::function<void(const Context&, ElementwiseShape, const T* a, const T* b, T* y)> forward;
  std::function<void(const Context&, ElementwiseShape, const T* a, const T* b, const T* dy, Grad<T> da, Grad<T> db)>
      backward;
};

template <class T>
std::vector<Op<T>> reference() {
  using S = ElementwiseShape;
  using C = Context;
  using G = Grad<T>;
  return {
      {"add", cpu::add_forward<T>,
       [](const C& c, S s, const T*, const T*, const T* dy, G da, G db) { cpu::add_backward<T>(c, s, dy, da, db); }},
      {"sub", cpu::sub_forward<T>,
       [](const C& c, S s, const T*, const T*, const T* dy, G da, G db) { cpu::sub_backward<T>(c, s, dy, da, db); }},
      {"mul", cpu::mul_forward<T>, cpu::mul_backward<T>},
      {"scale", [](const C& c, S s, const T* a, const T*, T* y) { cpu::scale_forward<T>(c, s, a, kFactor, y); },
       [](const C& c, S s, const T*, const T*, const T* dy, G da, G) {
         cpu::scale_backward<T>(c, s, dy, kFactor, da);
       }}};
}

std::vector<Op<float>> timed() {
  using S = ElementwiseShape;
  using C = Context;
  using G = Grad<float>;
  using P = const float*;
  return {{"add", [](const C& c, S s, P a, P b, float* y) { cpu::add_forward(c, s, a, b, y); },
           [](const C& c, S s, P, P, P dy, G da, G db) { cpu::add_backward(c, s, dy, da, db); }},
          {"sub", [](const C& c, S s, P a, P b, float* y) { cpu::sub_forward(c, s, a, b, y); },
           [](const C& c, S s, P, P, P dy, G da, G db) { cpu::sub_backward(c, s, dy, da, db); }},
          {"mul", [](const C& c, S s, P a, P b, float* y) { cpu::mul_forward(c, s, a, b, y); },
           [](const C& c, S s, P a, P b, P dy, G da, G db) { cpu::mul_backward(c, s, a, b, dy, da, db); }},
          {"scale", [](const C& c, S s, P a, P, float* y) { cpu::scale_forward(c, s, a, kFactor, y); },
           [](const C& c, S s, P, P, P dy, G da, G) { cpu::scale_backward(c, s, dy, kFactor, da); }}};
}

bool is_scale(const char* name) { return std::string(name) == "scale"; }

TEST(Elementwise, ReferenceIsTheDefinition) {
  const std::vector<double> a = {3, -4}, b = {5, 0.5};
  const std::vector<std::vector<double>> want = {{8, -3.5}, {-2, -4.5}, {15, -2}, {-1.125, 1.5}};
  const auto ops = reference<double>();
  for (size_t i = 0; i < ops.size(); ++i) {
    Guarded<double> y(2);
    ops[i].forward({}, {2}, a.data(), b.data(), y.data());
    EXPECT_EQ(y.values(), want[i]) << ops[i].name;
  }
}

TEST(Elementwise, ReferencePassesTheGradientCheck) {
  const ElementwiseShape s{30};
  const auto a = random_values<double>(30, 1), b = random_values<double>(30, 2), dy = random_values<double>(30, 3);
  for (const auto& op : reference<double>()) {
    SCOPED_TRACE(op.name);
    const auto value = [&](const auto& left, const auto& right) {
      std::vector<double> y(30);
      op.forward({}, s, left.data(), right.data(), y.data());
      return weighted_sum(y, dy);
    };
    Guarded<double> da(30), db(30);
    op.backward({}, s, a.data(), b.data(), dy.data(), {da.data()}, {db.data()});
    gradcheck([&](const auto& x) { return value(x, b); }, a, da, "da");
    if (!is_scale(op.name)) gradcheck([&](const auto& x) { return value(a, x); }, b, db, "db");
  }
}

// One rounding an element in every form: the timed forms agree with the reference to the bit.
TEST(Elementwise, TimedFormsHaveTheBitsOfTheReference) {
  const auto ops = reference<float>(), forms = timed();
  for (const ElementwiseShape& s : kElementwiseCases) {
    const auto a = random_values<float>(s.n, 1), b = random_values<float>(s.n, 2), dy = random_values<float>(s.n, 3);
    for (size_t i = 0; i < ops.size(); ++i) {
      SCOPED_TRACE(describe(ops[i].name, {s.n}));
      Guarded<float> want(s.n), want_da(s.n), want_db(s.n);
      ops[i].forward({}, s, a.data(), b.data(), want.data());
      ops[i].backward({}, s, a.data(), b.data(), dy.data(), {want_da.data()}, {want_db.data()});
      for (int threads : {0, 1, 2, 4}) {
        Guarded<float> y(s.n), da(s.n), db(s.n);
        forms[i].forward(test_context(threads), s, a.data(), b.data(), y.data());
        forms[i].backward(test_context(threads), s, a.data(), b.data(), dy.data(), {da.data()}, {db.data()});
        expect_same_bits(y, want, "y");
        expect_same_bits(da, want_da, "da");
        if (!is_scale(ops[i].name)) expect_same_bits(db, want_db, "db");
      }
    }
  }
}

TEST(Elementwise, FloatMatchesDouble) {
  const auto ops = timed();
  const auto truth = reference<double>();
  const ElementwiseShape s{1000};
  const auto a = random_values<float>(s.n, 1), b = random_values<float>(s.n, 2);
  const auto wide_a = converted<double>(a), wide_b = converted<double>(b);
  for (size_t i = 0; i < ops.size(); ++i) {
    Guarded<float> y(s.n);
    Guarded<double> want(s.n);
    ops[i].forward({}, s, a.data(), b.data(), y.data());
    truth[i].forward({}, s, wide_a.data(), wide_b.data(), want.data());
    expect_close(y, want, fp32_tolerance(1), ops[i].name);
  }
}

TEST(Elementwise, SetsAddsAndSkips) {
  const ElementwiseShape s{16385};
  const auto a = random_values<float>(s.n, 1), b = random_values<float>(s.n, 2), dy = random_values<float>(s.n, 3);
  for (const auto& forms : {reference<float>(), timed()}) {
    for (const auto& op : forms) {
      SCOPED_TRACE(op.name);
      const auto backward = [&](Grad<float> da, Grad<float> db) {
        op.backward(test_context(2), s, a.data(), b.data(), dy.data(), da, db);
      };
      expect_set_and_add<float>(
          s.n, [&](Grad<float> g) { backward(g, {}); }, fp32_tolerance(1), "da");
      if (is_scale(op.name)) continue;
      expect_set_and_add<float>(
          s.n, [&](Grad<float> g) { backward({}, g); }, fp32_tolerance(1), "db");
    }
  }
}

TEST(Elementwise, RefusesNegativeCounts) {
  const ElementwiseShape s{-5};
  for (const auto& forms : {reference<float>(), timed()}) {
    for (const auto& op : forms) {
      expect_error([&] { op.forward({}, s, nullptr, nullptr, nullptr); }, Exit::kUsage, {op.name, "-5"});
      expect_error([&] { op.backward({}, s, nullptr, nullptr, nullptr, {}, {}); }, Exit::kUsage, {op.name, "-5"});
    }
  }
}

}  // namespace
}  // namespace hourglass
