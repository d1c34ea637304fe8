// SPDX-License-Identifier: Apache-2.0
#include "tests/linear_checks.h"

namespace hourglass {
namespace {

using namespace test;

template <class T>
Inputs<double> in_double(const Inputs<T>& in) {
  return {converted<double>(in.x), converted<double>(in.w), converted<double>(in.b), converted<double>(in.dy)};
}

template <class T>
struct Results {
  std::vector<T> y, dx, dw, db;
};

/// Forward and backward; `timed` picks the float form instead of the reference. Backward reads `y`, so that forms are
/// compared on the same side of a kink.
template <class T>
Results<T> run(const Context& ctx, const LinearShape& s, const Inputs<T>& in, bool timed,
               const std::vector<T>* output = nullptr) {
  Guarded<T> y(y_size(s)), dx(x_size(s)), dw(w_size(s)), db(s.K);
  Guarded<T> scratch(static_cast<int64_t>(cpu::linear_backward_scratch_bytes({}, s, sizeof(T)) / sizeof(T)));
  const Grad<T> gx{dx.data()}, gw{dw.data()}, gb{db.data()};
  const T *x = in.x.data(), *w = in.w.data(), *dy = in.dy.data();
  if constexpr (std::is_same_v<T, float>) {
    if (timed) {
      cpu::linear_forward(ctx, s, x, w, in.b.data(), y.data());
      cpu::linear_backward(ctx, s, x, w, output ? output->data() : y.data(), dy, scratch.data(), gx, gw, gb);
      return {y.values(), dx.values(), dw.values(), db.values()};
    }
  }
  cpu::linear_forward<T>(ctx, s, x, w, in.b.data(), y.data());
  cpu::linear_backward<T>(ctx, s, x, w, output ? output->data() : y.data(), dy, scratch.data(), gx, gw, gb);
  return {y.values(), dx.values(), dw.values(), db.values()};
}

std::vector<double> forward(const LinearShape& s, const std::vector<double>& x, const std::vector<double>& w,
                            const std::vector<double>& b) {
  std::vector<double> y(static_cast<size_t>(y_size(s)));
  cpu::linear_forward<double>({}, s, x.data(), w.data(), b.empty() ? nullptr : b.data(), y.data());
  return y;
}

TEST(Linear, ReferenceIsTheDefinition) {
  // x (1, 2) = [1 2], w (3, 2), b (3).
  const std::vector<double> x = {1, 2}, w = {1, 0, 0, 1, 1, 1}, wt = {1, 0, 1, 0, 1, 1}, b = {10, 20, -30};
  EXPECT_EQ(forward({1, 2, 3}, x, w, b), (std::vector<double>{11, 22, -27}));
  EXPECT_EQ(forward({1, 2, 3, Activation::kNone, true}, x, wt, b), (std::vector<double>{11, 22, -27}));
  EXPECT_EQ(forward({1, 2, 3, Activation::kRelu}, x, w, b), (std::vector<double>{11, 22, 0}));
  EXPECT_EQ(forward({1, 2, 3}, x, w, {}), (std::vector<double>{1, 2, 3}));
}

TEST(Linear, ReferencePassesTheGradientCheck) {
  for (Activation a : kActivations) {
    if (a == Activation::kGelu) continue;
    for (bool transposed : {false, true}) {
      const LinearShape s{5, 4, 6, a, transposed};
      SCOPED_TRACE(name_of(s));
      auto in = Inputs<double>::random(s);
      const LinearShape linear{5, 4, 6, Activation::kNone, transposed};
      for (double z : forward(linear, in.x, in.w, in.b)) ASSERT_GT(std::abs(z), 1e-3) << "an input at the kink";
      const auto got = run<double>({}, s, in, false);
      const auto loss = [&](const auto& x, const auto& w, const auto& b) {
        return weighted_sum(forward(s, x, w, b), in.dy);
      };
      gradcheck([&](const auto& x) { return loss(x, in.w, in.b); }, in.x, got.dx, "dx");
      gradcheck([&](const auto& w) { return loss(in.x, w, in.b); }, in.w, got.dw, "dw");
      gradcheck([&](const auto& b) { return loss(in.x, in.w, b); }, in.b, got.db, "db");
    }
  }
}

TEST(Linear, FloatMatchesDouble) {
  for (const LinearShape& s : kLinearCases) {
    SCOPED_TRACE(name_of(s));
    const auto in = Inputs<float>::random(s);
    auto wide = in_double(in);
    const auto truth = run<double>({}, s, wide, false);
    // Where a float z falls on the other side of the kink, y and dy f'(y) are compared at the float form's own y.
    const auto y = converted<float>(truth.y);
    const auto y_wide = converted<double>(y);
    const auto want = run<double>({}, s, wide, false, &y_wide);
    for (bool timed : {false, true}) {
      SCOPED_TRACE(timed ? "timed" : "reference");
      const auto got = run<float>(test_context(2), s, in, timed, &y);
      expect_close(got.y, truth.y, fp32_tolerance(s.C + 1, 1e-2), "y");
      expect_close(got.dx, want.dx, fp32_tolerance(s.K), "dx");
      expect_close(got.dw, want.dw, fp32_tolerance(s.N), "dw");
      expect_close(got.db, want.db, fp32_tolerance(s.N), "db");
    }
  }
}

TEST(Linear, IntegersAreExact) {
  for (LinearShape s : kLinearCases) {
    if (s.activation != Activation::kRelu) s.activation = Activation::kNone;
    SCOPED_TRACE(name_of(s));
    const auto in = Inputs<float>::integers(s);
    const auto want = run<float>({}, s, in, false), got = run<float>(test_context(2), s, in, true);
    expect_close(got.y, want.y, exact(), "y");
    expect_close(got.dx, want.dx, exact(), "dx");
    expect_close(got.dw, want.dw, exact(), "dw");
    expect_close(got.db, want.db, exact(), "db");
  }
}

TEST(Linear, SetsAddsAndSkips) {
  for (const LinearShape& s : kLinearCases) {
    SCOPED_TRACE(name_of(s));
    const auto in = Inputs<float>::random(s);
    std::vector<float> y(static_cast<size_t>(y_size(s)));
    cpu::linear_forward({}, s, in.x.data(), in.w.data(), in.b.data(), y.data());
    std::vector<float> scratch(cpu::linear_backward_scratch_bytes({}, s, sizeof(float)) / sizeof(float));
    const auto both = [&](int64_t n, auto&& call, int64_t K, const char* name) {
      expect_set_and_add<float>(
          n, [&](Grad<float> g) { call(g, true); }, fp32_tolerance(K), name);
      expect_set_and_add<float>(
          n, [&](Grad<float> g) { call(g, false); }, fp32_tolerance(K), name);
    };
    const auto backward = [&](bool timed, Grad<float> dx, Grad<float> dw, Grad<float> db) {
      const float *x = in.x.data(), *w = in.w.data(), *dy = in.dy.data();
      if (timed) cpu::linear_backward(test_context(2), s, x, w, y.data(), dy, scratch.data(), dx, dw, db);
      if (!timed) cpu::linear_backward<float>({}, s, x, w, y.data(), dy, scratch.data(), dx, dw, db);
    };
    both(
        x_size(s), [&](Grad<float> g, bool timed) { backward(timed, g, {}, {}); }, s.K, "dx");
    both(
        w_size(s), [&](Grad<float> g, bool timed) { backward(timed, {}, g, {}); }, s.N, "dw");
    both(
        s.K, [&](Grad<float> g, bool timed) { backward(timed, {}, {}, g); }, s.N, "db");
  }
}

TEST(Linear, SameBitsOnAnyNumberOfThreads) {
  for (const LinearShape& s : kLinearCases) {
    SCOPED_TRACE(name_of(s));
    const auto in = Inputs<float>::random(s);
    expect_same_bits_for_threads([&](const Context& ctx) {
      const auto r = run<float>(ctx, s, in, true);
      auto all = r.y;
      for (const auto* part : {&r.dx, &r.dw, &r.db}) all.insert(all.end(), part->begin(), part->end());
      return all;
    });
  }
}

TEST(Linear, WithoutBias) {
  for (Activation a : {Activation::kNone, Activation::kSigmoid}) {
    const LinearShape s{9, 13, 50, a, false};
    const auto in = Inputs<float>::random(s);
    const auto wide = in_double(in);
    Guarded<float> y(y_size(s));
    cpu::linear_forward({}, s, in.x.data(), in.w.data(), nullptr, y.data());
    expect_close(y, forward(s, wide.x, wide.w, {}), fp32_tolerance(s.C));
  }
}

TEST(Linear, TheFusedFormIsTheComposition) {
  for (Activation a : kActivations) {
    if (a == Activation::kGelu) continue;
    const LinearShape s{33, 20, 100, a, false}, linear{33, 20, 100};
    SCOPED_TRACE(name_of(s));
    const auto in = Inputs<float>::random(s);
    Guarded<float> fused(y_size(s)), z(y_size(s)), y(y_size(s));
    cpu::linear_forward({}, s, in.x.data(), in.w.data(), in.b.data(), fused.data());
    cpu::linear_forward({}, linear, in.x.data(), in.w.data(), in.b.data(), z.data());
    cpu::activation_forward({}, {y_size(s), a}, z.data(), y.data());
    expect_same_bits(fused, y);
  }
}

TEST(Linear, RefusesGeluAndNegativeExtents) {
  const LinearShape gelu{1, 1, 1, Activation::kGelu}, negative{1, -2, 1};
  expect_error([&] { cpu::linear_forward<double>({}, gelu, nullptr, nullptr, nullptr, nullptr); }, Exit::kUsage,
               {"linear", "gelu"});
  expect_error([&] { cpu::linear_forward({}, gelu, nullptr, nullptr, nullptr, nullptr); }, Exit::kUsage, {"gelu"});
  expect_error([&] { cpu::linear_forward({}, negative, nullptr, nullptr, nullptr, nullptr); }, Exit::kUsage,
               {"linear", "C = -2"});
  expect_error(
      [&] { cpu::linear_backward<float>({}, negative, nullptr, nullptr, nullptr, nullptr, nullptr, {}, {}, {}); },
      Exit::kUsage, {"linear", "C = -2"});
}

}  // namespace
}  // namespace hourglass
