// SPDX-License-Identifier: Apache-2.0
// Steps of every optimizer against the double reference, which test_optimizer.cpp holds to PyTorch's rules.
#include <functional>

#include "kernels/optimizer.h"
#include "tests/cases/optimizer.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

/// What an update works on, by pointers of either device.
template <class T>
struct Slabs {
  T *values, *first, *second;
  const T* grads;
  SgdState* sgd;
  AdamState* adam;
  AdadeltaState* adadelta;
};

struct Config {
  const char* name;
  std::function<void(const Context&, OptimizerRanges, OptimizerStep, const Slabs<float>&)> on_device;
  std::function<void(OptimizerRanges, OptimizerStep, const Slabs<double>&)> reference;
  double clip_value = 0;
};

Config sgd(const char* name, SgdOptions o, double clip = 0) {
  return {name,
          [o](const Context& c, OptimizerRanges r, OptimizerStep s, const Slabs<float>& on) {
            cuda::sgd_update(c, r, o, s, on.values, on.grads, o.momentum != 0 ? on.first : nullptr, on.sgd);
          },
          [o](OptimizerRanges r, OptimizerStep s, const Slabs<double>& on) {
            cpu::sgd_update<double>({}, r, o, s, on.values, on.grads, on.first, on.sgd);
          },
          clip};
}
Config adam(const char* name, AdamOptions o, double clip = 0) {
  return {name,
          [o](const Context& c, OptimizerRanges r, OptimizerStep s, const Slabs<float>& on) {
            cuda::adam_update(c, r, o, s, on.values, on.grads, on.first, on.second, on.adam);
          },
          [o](OptimizerRanges r, OptimizerStep s, const Slabs<double>& on) {
            cpu::adam_update<double>({}, r, o, s, on.values, on.grads, on.first, on.second, on.adam);
          },
          clip};
}
Config adadelta(const char* name, AdadeltaOptions o, double clip = 0) {
  return {name,
          [o](const Context& c, OptimizerRanges r, OptimizerStep s, const Slabs<float>& on) {
            cuda::adadelta_update(c, r, o, s, on.values, on.grads, on.first, on.second, on.adadelta);
          },
          [o](OptimizerRanges r, OptimizerStep s, const Slabs<double>& on) {
            cpu::adadelta_update<double>({}, r, o, s, on.values, on.grads, on.first, on.second, on.adadelta);
          },
          clip};
}

std::vector<Config> configs() {
  return {sgd("sgd", {}),
          sgd("sgd decay", {0, 0.1, false}),
          sgd("sgd momentum", {0.9, 0.01, false}),
          sgd("sgd nesterov", {0.9, 0.01, true}, 0.25),
          adam("adam", {}),
          adam("adam decay", {0.8, 0.95, 0.1, 0.1, false}, 0.25),
          adam("adamw", {0.9, 0.999, 1e-8, 0.1, true}),
          adadelta("adadelta", {0.9, 1e-6, 0.01}),
          adadelta("adadelta clipped", {}, 0.25)};
}

constexpr double kGradScale = 0.75;
double lr_of(int t) { return 0.01 / t; }

template <class T>
std::vector<T> grads_of(int64_t n, int t) {
  return random_values<T>(n, static_cast<uint64_t>(100 + t));
}

int64_t extent(const std::vector<OptimizerRange>& ranges) {
  return ranges.empty() ? 5 : ranges.back().first + ranges.back().count + 5;
}

/// Values and moments after `steps`, and the counters. Moments start as NaN where the first step must not read them.
auto run(const Config& c, const std::vector<OptimizerRange>& ranges, int steps, Fault fault = {}, int offset = 0) {
  const int64_t n = extent(ranges);
  const OptimizerRanges table{ranges.data(), static_cast<int>(ranges.size())};
  const bool is_sgd = std::string(c.name).rfind("sgd", 0) == 0;
  return on_cuda([&](const Context& ctx) {
    const std::vector<float> before(static_cast<size_t>(n), is_sgd ? std::nanf("") : 0.0f);
    DeviceArray<float> values(random_values<float>(n, 1), offset), first(before, offset), second(before, offset);
    DeviceArray<SgdState> sgd_state(std::vector<SgdState>(1));
    DeviceArray<AdamState> adam_state(std::vector<AdamState>(1));
    DeviceArray<AdadeltaState> adadelta_state(std::vector<AdadeltaState>(1));
    const DeviceArray<Fault> device_fault(std::vector<Fault>{fault});
    DeviceArray<bf16> shadow(std::vector<bf16>(static_cast<size_t>(n), bf16(-7.0f)), offset);
    const DeviceArray<double> scale(std::vector<double>{kGradScale});
    for (int t = 1; t <= steps; ++t) {
      const DeviceArray<double> lr(std::vector<double>{lr_of(t)});
      const DeviceArray<float> grads(grads_of<float>(n, t), offset);
      c.on_device(ctx, table, {device_fault.data(), lr.data(), scale.data(), c.clip_value, shadow.data()},
                  {values.data(), first.data(), second.data(), grads.data(), sgd_state.data(), adam_state.data(),
                   adadelta_state.data()});
    }
    return std::tuple(values.values(), first.values(), second.values(), sgd_state.values(), adam_state.values(),
                      adadelta_state.values(), shadow.values());
  });
}

struct Reference {
  std::vector<double> values, first, second;
  SgdState sgd;
  AdamState adam;
  AdadeltaState adadelta;

  Reference(const Config& c, const std::vector<OptimizerRange>& ranges, int steps)
      : values(random_values<double>(extent(ranges), 1)), first(values.size()), second(values.size()) {
    for (int t = 1; t <= steps; ++t) {
      const double lr = lr_of(t);
      const auto grads = grads_of<double>(static_cast<int64_t>(values.size()), t);
      c.reference({ranges.data(), static_cast<int>(ranges.size())}, {nullptr, &lr, &kGradScale, c.clip_value},
                  {values.data(), first.data(), second.data(), grads.data(), &sgd, &adam, &adadelta});
    }
  }
};

void check(const Config& c, const std::vector<OptimizerRange>& ranges, int steps, int offset) {
  SCOPED_TRACE(describe(c.name, {extent(ranges), static_cast<int64_t>(ranges.size()), offset}));
  const Reference want(c, ranges, steps);
  const auto got = run(c, ranges, steps, {}, offset);
  expect_close(std::get<0>(got), want.values, cuda_tolerance<float>(1), "values");
  for (const OptimizerRange& range : ranges) {
    for (auto i = static_cast<size_t>(range.first); i < static_cast<size_t>(range.first + range.count); ++i) {
      ASSERT_EQ(std::get<6>(got)[i].bits, bf16(std::get<0>(got)[i]).bits) << "the shadow of value " << i;
    }
  }
  EXPECT_EQ(std::get<3>(got)[0].steps, want.sgd.steps);
  EXPECT_EQ(std::get<4>(got)[0].steps, want.adam.steps);
  EXPECT_NEAR(std::get<4>(got)[0].beta1_power, want.adam.beta1_power, 1e-15);
  EXPECT_NEAR(std::get<4>(got)[0].beta2_power, want.adam.beta2_power, 1e-15);
  EXPECT_EQ(std::get<5>(got)[0].steps, want.adadelta.steps);
}

using OptimizerCuda = CudaTest;

TEST_F(OptimizerCuda, StepsFollowTheReference) {
  for (const auto& ranges : kOptimizerCases) {
    const bool large = extent(ranges) > 100000;
    for (const Config& c : configs()) {
      if (large && std::string(c.name) != "adam") continue;
      check(c, ranges, large ? 2 : 4, 0);
      if (!large) check(c, ranges, 2, 1);
    }
  }
}

/// More ranges than a launch carries: several launches, one advance.
TEST_F(OptimizerCuda, ManyRanges) {
  std::vector<OptimizerRange> ranges;
  for (int r = 0; r < 70; ++r) ranges.push_back({11 * r, 7 + r % 4, 1.0 + r % 3, 1.0 * (r % 2)});
  for (const Config& c : configs()) check(c, ranges, 3, 0);
}

TEST_F(OptimizerCuda, WritesNothingWhileTheFaultIsSet) {
  const std::vector<OptimizerRange> ranges = {{0, 5000, 1, 1}};
  for (const Config& c : configs()) {
    SCOPED_TRACE(c.name);
    const auto got = run(c, ranges, 2, Fault{6, 0, 0, 0}), want = run(c, ranges, 0);
    expect_same_bits(std::get<0>(got), std::get<0>(want));
    expect_same_bits(std::get<1>(got), std::get<1>(want));
    expect_same_bits(std::get<2>(got), std::get<2>(want));
    expect_same_bits(std::get<6>(got), std::get<6>(want));
    EXPECT_EQ(std::get<3>(got)[0].steps + std::get<4>(got)[0].steps + std::get<5>(got)[0].steps, 0);
    EXPECT_EQ(std::get<4>(got)[0].beta1_power, 0);
  }
}

TEST_F(OptimizerCuda, NeedsALearningRate) {
  for (const Config& c : configs()) {
    expect_error([&] { c.on_device(cuda_context(), {}, {}, {}); }, Exit::kUsage, {"learning rate"});
  }
}

}  // namespace
}  // namespace hourglass::test
