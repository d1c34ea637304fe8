// SPDX-License-Identifier: Apache-2.0
#include "kernels/bernoulli_nll.h"
#include "kernels/linear_bce.h"
#include "tests/cases/linear_bce.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

std::string name_of(const LinearBceShape& s) {
  return describe("linear_bce", {s.N, s.C, s.K, s.draws}) + (s.transposed_weight ? " transposed" : "");
}

template <class T>
struct Inputs {
  explicit Inputs(const LinearBceShape& s)
      : x(random_values<T>(int64_t{s.N} * s.C, 1)),
        w(random_values<T>(int64_t{s.C} * s.K, 2)),
        b(random_values<T>(s.K, 3)),
        target(random_values<T>(int64_t{s.N} / s.draws * s.K, 4)) {
    for (T& t : target) t = std::abs(t) - std::floor(std::abs(t));
  }
  std::vector<T> x, w, b, target;
};

/// The gradient of the logits, then the value.
template <class T>
std::vector<T> run(const Context& ctx, const LinearBceShape& s, const Inputs<T>& in, Weight weight, bool timed) {
  Guarded<T> dlogits(int64_t{s.N} * s.K), value(1);
  Guarded<double> scratch(static_cast<int64_t>(cpu::linear_bce_scratch_bytes(ctx, s) / sizeof(double)));
  const Grad<T> of_value{value.data()};
  if constexpr (std::is_same_v<T, float>) {
    if (timed) {
      cpu::linear_bce_loss(ctx, s, in.x.data(), in.w.data(), in.b.data(), in.target.data(), weight, scratch.data(),
                           of_value, dlogits.data());
    }
  }
  if (!timed) {
    cpu::linear_bce_loss<T>(ctx, s, in.x.data(), in.w.data(), in.b.data(), in.target.data(), weight, scratch.data(),
                            of_value, dlogits.data());
  }
  std::vector<T> all = dlogits.values();
  all.push_back(value[0]);
  return all;
}

/// The definition: the layer, then the loss.
std::vector<double> composition(const LinearBceShape& s, const Inputs<double>& in, Weight weight) {
  std::vector<double> logits(static_cast<size_t>(s.N) * static_cast<size_t>(s.K)), all(logits.size() + 1);
  cpu::linear_forward<double>({}, s.layer(), in.x.data(), in.w.data(), in.b.data(), logits.data());
  cpu::bernoulli_nll_loss<double>({}, s.loss(), logits.data(), in.target.data(), weight, {&all.back()}, {all.data()});
  return all;
}

TEST(LinearBce, IsTheLayerThenTheLoss) {
  for (const LinearBceShape& s : kLinearBceCases) {
    SCOPED_TRACE(name_of(s));
    const Inputs<double> in(s);
    const Weight weight{1.5};
    expect_close(run({}, s, in, weight, false), composition(s, in, weight), fp64_tolerance());
  }
}

TEST(LinearBce, TheTimedFormMatchesDouble) {
  for (const LinearBceShape& s : kLinearBceCases) {
    SCOPED_TRACE(name_of(s));
    const Inputs<float> in(s);
    Inputs<double> wide(s);
    wide.x = converted<double>(in.x), wide.w = converted<double>(in.w), wide.b = converted<double>(in.b);
    wide.target = converted<double>(in.target);
    const double scale = 2;
    const Weight weight{2, &scale};
    const std::vector<double> want = run({}, s, wide, weight, false);
    for (const bool timed : {false, true}) {
      const std::vector<float> got = run({}, s, in, weight, timed);
      const auto gradient = [](auto all) { return all.pop_back(), all; };
      expect_close(gradient(got), gradient(want), fp32_tolerance(s.C + 1, 4.0 / s.N), "dlogits");
      expect_close(std::vector<float>{got.back()}, std::vector<double>{want.back()}, fp32_tolerance(s.C + s.K + 1),
                   "value");
    }
  }
}

TEST(LinearBce, ThreadsChangeNoBit) {
  for (const LinearBceShape& s : kLinearBceCases) {
    const Inputs<float> in(s);
    expect_same_bits_for_threads([&](const Context& ctx) { return run(ctx, s, in, {}, true); }, name_of(s));
  }
}

TEST(LinearBce, TheValueAddsAndIsSkippedWhenNull) {
  const LinearBceShape s{12, 17, 65, 4, true};
  const Inputs<float> in(s);
  std::vector<float> dlogits(12 * 65);
  std::vector<double> scratch(cpu::linear_bce_scratch_bytes({}, s) / sizeof(double));
  for (const bool timed : {false, true}) {
    expect_set_and_add<float>(1, [&](Grad<float> value) {
      const auto call = [&](auto f) {
        f(Context{}, s, in.x.data(), in.w.data(), in.b.data(), in.target.data(), Weight{}, scratch.data(), value,
          dlogits.data());
      };
      if (timed) {
        call([](const auto&... a) { cpu::linear_bce_loss(a...); });
      } else {
        call([](const auto&... a) { cpu::linear_bce_loss<float>(a...); });
      }
    });
  }
}

TEST(LinearBce, NoBiasIsABiasOfZero) {
  const LinearBceShape s{6, 5, 40};
  Inputs<float> in(s);
  std::fill(in.b.begin(), in.b.end(), 0.0f);
  const std::vector<float> want = run({}, s, in, {}, true), plain = run({}, s, in, {}, false);
  in.b = {};
  expect_same_bits(run({}, s, in, {}, true), want);
  expect_same_bits(run({}, s, in, {}, false), plain);
}

TEST(LinearBce, Refuses) {
  const auto call = [](const LinearBceShape& s) {
    cpu::linear_bce_loss<float>({}, s, nullptr, nullptr, nullptr, nullptr, {}, nullptr, {}, nullptr);
  };
  expect_error([&] { call({-1, 2, 3}); }, Exit::kUsage, {"linear", "-1"});
  expect_error([&] { call({3, 2, 3, 2}); }, Exit::kUsage, {"linear_bce", "draws = 2"});
  expect_error([&] { call({0, 2, 3}); }, Exit::kUsage, {"linear_bce", "at least one sample"});
}

}  // namespace
}  // namespace hourglass::test
