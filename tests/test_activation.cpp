// SPDX-License-Identifier: Apache-2.0
#include "kernels/activation.h"
#include "tests/cases/activation.h"
#include "tests/harness.h"

namespace hourglass {
namespace {

using namespace test;

std::string name_of(Activation a, int64_t n) { return describe(activation_name(a), {n}); }

std::vector<float> inputs(int64_t n) {
  auto x = random_values<float>(n, 1, -6, 6);
  move_off(x, 0);
  return x;
}

std::vector<double> forward(Activation a, const std::vector<double>& x) {
  std::vector<double> y(x.size());
  cpu::activation_forward<double>({}, {static_cast<int64_t>(x.size()), a}, x.data(), y.data());
  return y;
}
/// Gradient at a given output: the derivative that is read off a rounded output is compared at that output.
std::vector<double> backward_at(Activation a, const std::vector<double>& x, const std::vector<double>& y,
                                const std::vector<double>& dy) {
  Guarded<double> dx(static_cast<int64_t>(x.size()));
  cpu::activation_backward<double>({}, {dx.size(), a}, x.data(), y.data(), dy.data(), Grad<double>{dx.data()});
  return dx.values();
}
std::vector<double> backward(Activation a, const std::vector<double>& x, const std::vector<double>& dy) {
  return backward_at(a, x, forward(a, x), dy);
}

TEST(Activation, ReferenceIsTheDefinition) {
  const std::vector<double> x = {-2, 0.5};
  const auto expect = [&](Activation a, double first, double second) {
    expect_close(forward(a, x), std::vector<double>{first, second}, Tolerance{1e-15}, activation_name(a));
  };
  expect(Activation::kNone, -2, 0.5);
  expect(Activation::kRelu, 0, 0.5);
  expect(Activation::kLeakyRelu, -0.02, 0.5);
  expect(Activation::kTanh, -0.96402758007581688, 0.46211715726000976);
  expect(Activation::kSigmoid, 0.11920292202211755, 0.62245933120185456);
  expect(Activation::kSoftplus, 0.12692801104297249, 0.97407698418010669);
  expect(Activation::kGelu, -0.045500263896358417, 0.34573123063700656);
}

TEST(Activation, ReferencePassesTheGradientCheck) {
  for (Activation a : kActivations) {
    SCOPED_TRACE(activation_name(a));
    const auto x = converted<double>(inputs(50));
    const auto dy = random_values<double>(50, 2);
    gradcheck([&](const auto& at) { return weighted_sum(forward(a, at), dy); }, x, backward(a, x, dy));
  }
}

TEST(Activation, FloatMatchesDouble) {
  for (Activation a : kActivations) {
    for (int64_t n : kActivationCounts) {
      SCOPED_TRACE(name_of(a, n));
      const auto x = inputs(n), dy = random_values<float>(n, 2);
      const auto want = forward(a, converted<double>(x));
      const auto y = converted<float>(want);
      const auto want_dx = backward_at(a, converted<double>(x), converted<double>(y), converted<double>(dy));
      const ActivationShape s{n, a};
      Guarded<float> reference(n), timed(n), reference_dx(n), timed_dx(n);
      cpu::activation_forward<float>({}, s, x.data(), reference.data());
      cpu::activation_forward(test_context(2), s, x.data(), timed.data());
      cpu::activation_backward<float>({}, s, x.data(), y.data(), dy.data(), Grad<float>{reference_dx.data()});
      cpu::activation_backward(test_context(2), s, x.data(), y.data(), dy.data(), Grad<float>{timed_dx.data()});
      expect_close(reference, want, fp32_tolerance(1), "y of the reference");
      expect_close(timed, want, fp32_tolerance(1), "y");
      expect_close(reference_dx, want_dx, fp32_tolerance(1), "dx of the reference");
      expect_close(timed_dx, want_dx, fp32_tolerance(1), "dx");
    }
  }
}

TEST(Activation, SetsAddsAndSkips) {
  const int64_t n = 16385;
  for (Activation a : kActivations) {
    SCOPED_TRACE(activation_name(a));
    const auto x = inputs(n), dy = random_values<float>(n, 2);
    std::vector<float> y(x.size());
    cpu::activation_forward({}, {n, a}, x.data(), y.data());
    const auto timed = expect_set_and_add<float>(n, [&](Grad<float> dx) {
      cpu::activation_backward(test_context(2), {n, a}, x.data(), y.data(), dy.data(), dx);
    });
    const auto reference = expect_set_and_add<float>(n, [&](Grad<float> dx) {
      cpu::activation_backward<float>({}, {n, a}, x.data(), y.data(), dy.data(), dx);
    });
    expect_close(timed, reference, fp32_tolerance(1));
  }
}

TEST(Activation, SameBitsOnAnyNumberOfThreads) {
  const int64_t n = 3 * 16384 + 5;
  for (Activation a : kActivations) {
    SCOPED_TRACE(activation_name(a));
    const auto x = inputs(n), dy = random_values<float>(n, 2);
    expect_same_bits_for_threads([&](const Context& ctx) {
      Guarded<float> y(n), dx(n);
      cpu::activation_forward(ctx, {n, a}, x.data(), y.data());
      cpu::activation_backward(ctx, {n, a}, x.data(), y.data(), dy.data(), Grad<float>{dx.data()});
      auto both = y.values();
      both.insert(both.end(), dx.begin(), dx.end());
      return both;
    });
  }
}

TEST(Activation, BackwardNeedsTheInputOnlyForGelu) {
  const auto x = inputs(40), dy = random_values<float>(40, 2);
  for (Activation a : kActivations) {
    std::vector<float> y(x.size());
    cpu::activation_forward({}, {40, a}, x.data(), y.data());
    const auto want = backward_at(a, converted<double>(x), converted<double>(y), converted<double>(dy));
    Guarded<float> dx(40);
    const auto without_x = [&] {
      cpu::activation_backward({}, {40, a}, nullptr, y.data(), dy.data(), Grad<float>{dx.data()});
    };
    if (a == Activation::kGelu) {
      expect_error(without_x, Exit::kUsage, {"gelu", "input x"});
      cpu::activation_backward({}, {40, a}, x.data(), nullptr, dy.data(), Grad<float>{dx.data()});
    } else {
      without_x();
    }
    expect_close(dx, want, fp32_tolerance(1), activation_name(a));
  }
}

TEST(Activation, ExtremesAreFiniteAndNotANumberPassesThrough) {
  const std::vector<float> x = {-1e4f, 1e4f, 0.0f, std::numeric_limits<float>::quiet_NaN()};
  const std::vector<float> dy(4, 1.0f);
  for (Activation a : kActivations) {
    SCOPED_TRACE(activation_name(a));
    Guarded<float> y(4), dx(4);
    cpu::activation_forward({}, {4, a}, x.data(), y.data());
    cpu::activation_backward({}, {4, a}, x.data(), y.data(), dy.data(), Grad<float>{dx.data()});
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(std::isfinite(y[i]) && std::isfinite(dx[i])) << i;
    EXPECT_TRUE(std::isnan(y[3]));
  }
}

TEST(Activation, NamesRoundTrip) {
  for (Activation a : kActivations) EXPECT_EQ(parse_activation(activation_name(a)), a);
  expect_error([] { parse_activation("swish"); }, Exit::kUsage, {"swish", "leaky-relu", "gelu"});
}

TEST(Activation, RefusesNegativeCounts) {
  const ActivationShape s{-1, Activation::kRelu};
  expect_error([&] { cpu::activation_forward<double>({}, s, nullptr, nullptr); }, Exit::kUsage, {"activation", "-1"});
  expect_error([&] { cpu::activation_forward({}, s, nullptr, nullptr); }, Exit::kUsage, {"activation", "-1"});
}

}  // namespace
}  // namespace hourglass
