// SPDX-License-Identifier: Apache-2.0
// Ten steps of every optimizer against PyTorch's documented updates, written here once more, in double and on scalars.
#include <functional>

#include "kernels/optimizer.h"
#include "tests/cases/optimizer.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

enum class Rule { kSgd, kAdam, kAdadelta };

struct Config {
  const char* name;
  Rule rule;
  SgdOptions sgd{};
  AdamOptions adam{};
  AdadeltaOptions adadelta{};
  double clip_value = 0;
};

const std::vector<Config> kConfigs = {
    {"sgd", Rule::kSgd},
    {"sgd decay", Rule::kSgd, {0, 0.1, false}},
    {"sgd momentum", Rule::kSgd, {0.9, 0.01, false}},
    {"sgd nesterov", Rule::kSgd, {0.9, 0.01, true}},
    {"adam", Rule::kAdam},
    {"adam large eps", Rule::kAdam, {}, {0.8, 0.95, 0.1, 0, false}},
    {"adam decay", Rule::kAdam, {}, {0.9, 0.999, 1e-8, 0.1, false}},
    {"adamw", Rule::kAdam, {}, {0.9, 0.999, 1e-8, 0.1, true}},
    {"adadelta", Rule::kAdadelta, {}, {}, {0.9, 1e-6, 0.01}},
    {"sgd clipped", Rule::kSgd, {}, {}, {}, 0.25},
    {"adam clipped", Rule::kAdam, {}, {}, {}, 0.25},
    {"adadelta clipped", Rule::kAdadelta, {}, {}, {}, 0.25},
};

/// One parameter of torch.optim.{SGD, Adam, AdamW, Adadelta}, as its pages write the algorithm.
struct Scalar {
  double p, first = 0, second = 0;

  void step(const Config& c, int t, double g, double lr, double decay_scale) {
    if (c.rule == Rule::kSgd) {
      g += c.sgd.weight_decay * decay_scale * p;
      if (c.sgd.momentum != 0) {
        first = t == 1 ? g : c.sgd.momentum * first + g;
        g = c.sgd.nesterov ? g + c.sgd.momentum * first : first;
      }
      p -= lr * g;
    } else if (c.rule == Rule::kAdam) {
      const double decay = c.adam.weight_decay * decay_scale;
      if (c.adam.decoupled) {
        p -= lr * decay * p;
      } else {
        g += decay * p;
      }
      first = c.adam.beta1 * first + (1 - c.adam.beta1) * g;
      second = c.adam.beta2 * second + (1 - c.adam.beta2) * g * g;
      const double m_hat = first / (1 - std::pow(c.adam.beta1, t)), v_hat = second / (1 - std::pow(c.adam.beta2, t));
      p -= lr * m_hat / (std::sqrt(v_hat) + c.adam.eps);
    } else {
      const double rho = c.adadelta.rho, eps = c.adadelta.eps;
      g += c.adadelta.weight_decay * decay_scale * p;
      first = rho * first + (1 - rho) * g * g;
      const double delta = std::sqrt(second + eps) / std::sqrt(first + eps) * g;
      second = rho * second + (1 - rho) * delta * delta;
      p -= lr * delta;
    }
  }
};

/// Slabs between guard words, and the state of each rule.
template <class T>
struct Slabs {
  Guarded<T> values, first, second;
  SgdState sgd;
  AdamState adam;
  AdadeltaState adadelta;

  explicit Slabs(int64_t n)
      : values(random_values<T>(n, 1)),
        first(std::vector<T>(static_cast<size_t>(n))),
        second(std::vector<T>(static_cast<size_t>(n))) {}

  void update(const Context& ctx, const Config& c, OptimizerRanges ranges, OptimizerStep step, const T* grads,
              bool timed) {
    if constexpr (std::is_same_v<T, float>) {
      if (timed) {
        if (c.rule == Rule::kSgd) cpu::sgd_update(ctx, ranges, c.sgd, step, values.data(), grads, first.data(), &sgd);
        if (c.rule == Rule::kAdam) {
          cpu::adam_update(ctx, ranges, c.adam, step, values.data(), grads, first.data(), second.data(), &adam);
        }
        if (c.rule == Rule::kAdadelta) {
          cpu::adadelta_update(ctx, ranges, c.adadelta, step, values.data(), grads, first.data(), second.data(),
                               &adadelta);
        }
        return;
      }
    }
    if (c.rule == Rule::kSgd) cpu::sgd_update<T>(ctx, ranges, c.sgd, step, values.data(), grads, first.data(), &sgd);
    if (c.rule == Rule::kAdam) {
      cpu::adam_update<T>(ctx, ranges, c.adam, step, values.data(), grads, first.data(), second.data(), &adam);
    }
    if (c.rule == Rule::kAdadelta) {
      cpu::adadelta_update<T>(ctx, ranges, c.adadelta, step, values.data(), grads, first.data(), second.data(),
                              &adadelta);
    }
  }
};

int64_t extent(const std::vector<OptimizerRange>& ranges) {
  return ranges.empty() ? 5 : ranges.back().first + ranges.back().count + 5;
}

double lr_of(int t) { return 0.01 / t; }

/// Gradients of step t, never small against rounding, and of both signs.
template <class T>
std::vector<T> grads_of(int64_t n, int t) {
  return random_values<T>(n, static_cast<uint64_t>(100 + t));
}

constexpr int kSteps = 10;
constexpr double kGradScale = 0.75;

template <class T>
void run(const Context& ctx, const Config& c, const std::vector<OptimizerRange>& ranges, bool timed, Slabs<T>* slabs,
         int steps = kSteps) {
  for (int t = 1; t <= steps; ++t) {
    const double lr = lr_of(t);
    const Fault none;
    slabs->update(ctx, c, {ranges.data(), static_cast<int>(ranges.size())}, {&none, &lr, &kGradScale, c.clip_value},
                  grads_of<T>(slabs->values.size(), t).data(), timed);
  }
}

/// The slab's values after the steps, by the scalar rules; elements outside the ranges keep theirs.
std::vector<double> expected(const Config& c, const std::vector<OptimizerRange>& ranges, int64_t n) {
  std::vector<double> values = random_values<double>(n, 1);
  std::vector<std::vector<double>> grads;
  for (int t = 1; t <= kSteps; ++t) grads.push_back(grads_of<double>(n, t));
  for (const OptimizerRange& range : ranges) {
    for (int64_t i = range.first; i < range.first + range.count; ++i) {
      const auto at = static_cast<size_t>(i);
      Scalar scalar{values[at]};
      for (int t = 1; t <= kSteps; ++t) {
        double g = grads[static_cast<size_t>(t - 1)][at] * kGradScale;
        if (c.clip_value > 0) g = std::clamp(g, -c.clip_value, c.clip_value);
        scalar.step(c, t, g, lr_of(t) * range.lr_scale, range.weight_decay_scale);
      }
      values[at] = scalar.p;
    }
  }
  return values;
}

TEST(Optimizer, TenStepsFollowPyTorch) {
  for (const auto& ranges : kOptimizerCases) {
    const int64_t n = extent(ranges);
    for (const Config& c : kConfigs) {
      if (n > 100000 && (c.clip_value > 0 || c.sgd.weight_decay > 0)) continue;  // the largest case once a rule
      SCOPED_TRACE(describe(c.name, {n}));
      const std::vector<double> want = expected(c, ranges, n);
      Slabs<double> in_double(n);
      run<double>({}, c, ranges, false, &in_double);
      expect_close(in_double.values, want, fp64_tolerance(), "double");
      for (const bool timed : {false, true}) {
        Slabs<float> in_float(n);
        run<float>({}, c, ranges, timed, &in_float);
        expect_close(in_float.values, want, fp32_tolerance(1), timed ? "timed" : "reference");
      }
    }
  }
}

TEST(Optimizer, SameBitsForAnyThreads) {
  for (const auto& ranges : kOptimizerCases) {
    for (const Config& c : kConfigs) {
      SCOPED_TRACE(c.name);
      expect_same_bits_for_threads([&](const Context& ctx) {
        Slabs<float> slabs(extent(ranges));
        run<float>(ctx, c, ranges, true, &slabs, 2);
        return slabs.values.values();
      });
    }
  }
}

/// PyTorch has no momentum buffer before the first step: what is in ours must not matter.
TEST(Optimizer, FirstMomentumIsTheGradient) {
  const std::vector<OptimizerRange> ranges = {{0, 37, 1, 1}};
  for (const bool timed : {false, true}) {
    for (const Config& c : {kConfigs[2], kConfigs[3]}) {
      Slabs<float> clean(42), poisoned(42);
      std::fill(poisoned.first.begin(), poisoned.first.end(), std::nanf(""));
      run<float>({}, c, ranges, timed, &clean, 3);
      run<float>({}, c, ranges, timed, &poisoned, 3);
      expect_same_bits(poisoned.values, clean.values, c.name);
    }
  }
}

TEST(Optimizer, CountsItsStepsOnTheDevice) {
  const std::vector<OptimizerRange> ranges = {{0, 3, 1, 1}};
  for (const bool timed : {false, true}) {
    Slabs<float> slabs(5);
    for (const Config& c : {kConfigs[0], kConfigs[4], kConfigs[8]}) run<float>({}, c, ranges, timed, &slabs, 4);
    EXPECT_EQ(slabs.sgd.steps, 4);
    EXPECT_EQ(slabs.adadelta.steps, 4);
    EXPECT_EQ(slabs.adam.steps, 4);
    EXPECT_NEAR(slabs.adam.beta1_power, std::pow(0.9, 4), 1e-15);
    EXPECT_NEAR(slabs.adam.beta2_power, std::pow(0.999, 4), 1e-15);
  }
}

TEST(Optimizer, WritesNothingWhileTheFaultIsSet) {
  const OptimizerRange range{0, 20000, 1, 1};
  const double lr = 0.1;
  const Fault fault{6, 0, 0, 0};
  const auto grads = random_values<float>(20000, 9);
  for (const Config& c : kConfigs) {
    for (const bool timed : {false, true}) {
      Slabs<float> slabs(20000);
      const auto values = slabs.values.values(), first = slabs.first.values(), second = slabs.second.values();
      slabs.update(test_context(2), c, {&range, 1}, {&fault, &lr}, grads.data(), timed);
      expect_same_bits(slabs.values, values, c.name);
      expect_same_bits(slabs.first, first, c.name);
      expect_same_bits(slabs.second, second, c.name);
      EXPECT_EQ(slabs.sgd.steps + slabs.adam.steps + slabs.adadelta.steps, 0);
      EXPECT_EQ(slabs.adam.beta1_power, 0);
    }
  }
}

TEST(Optimizer, NeedsALearningRate) {
  for (const bool timed : {false, true}) {
    Slabs<float> slabs(1);
    expect_error([&] { slabs.update({}, kConfigs[4], {}, {}, nullptr, timed); }, Exit::kUsage, {"learning rate"});
  }
}

/// The reference and the timed form: of the values of its ranges, and of no other.
TEST(Optimizer, WritesABf16ShadowBesideTheValues) {
  const OptimizerRange range{1, 2};
  const double lr = 0.1;
  const auto check = [&](auto update) {
    float values[] = {1, 2, 3, 4};
    const float grads[] = {0.37f, -0.77f, 0.13f, 1};
    bf16 shadow[] = {bf16(7), bf16(7), bf16(7), bf16(7)};
    OptimizerStep step;
    step.lr = &lr;
    step.shadow = shadow;
    update(OptimizerRanges{&range, 1}, step, values, grads);
    EXPECT_NE(values[1], 2);
    for (int i : {1, 2}) EXPECT_EQ(shadow[i].bits, bf16(values[i]).bits) << i;
    for (int i : {0, 3}) EXPECT_EQ(shadow[i].bits, bf16(7).bits) << i;
  };
  float m[4] = {}, v[4] = {};
  SgdState sgd;
  AdamState adam;
  AdadeltaState adadelta;
  const Context ctx = test_context();
  check([&](auto r, auto s, float* p, const float* g) { cpu::sgd_update<float>(ctx, r, {}, s, p, g, m, &sgd); });
  check([&](auto r, auto s, float* p, const float* g) { cpu::sgd_update(ctx, r, {}, s, p, g, m, &sgd); });
  check([&](auto r, auto s, float* p, const float* g) { cpu::adam_update<float>(ctx, r, {}, s, p, g, m, v, &adam); });
  check([&](auto r, auto s, float* p, const float* g) { cpu::adam_update(ctx, r, {}, s, p, g, m, v, &adam); });
  check([&](auto r, auto s, float* p, const float* g) {
    cpu::adadelta_update<float>(ctx, r, {}, s, p, g, m, v, &adadelta);
  });
  check([&](auto r, auto s, float* p, const float* g) { cpu::adadelta_update(ctx, r, {}, s, p, g, m, v, &adadelta); });
}

}  // namespace
}  // namespace hourglass::test
