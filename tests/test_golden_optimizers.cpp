// SPDX-License-Identifier: Apache-2.0
// Ten steps of each optimizer against torch.optim (tests/golden/README.md): the reference forms in double and float,
// and the timed float forms.
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "kernels/gradient_norm.h"
#include "kernels/optimizer.h"
#include "tests/golden/golden.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

constexpr int64_t kSize = 24;
constexpr int kSteps = 10;

/// One row of OPTIMIZERS in make_golden.py.
struct OptimizerCase {
  const char* name;
  std::variant<SgdOptions, AdamOptions, AdadeltaOptions> options;
  double lr;
  std::vector<OptimizerRange> ranges = {{0, kSize}};
  double clip_value = 0;
  double clip_norm = 0;
  bool linear_schedule = false;
};

void PrintTo(const OptimizerCase& c, std::ostream* out) { *out << c.name; }

const std::vector<OptimizerCase> kCases = {
    {"sgd", SgdOptions{}, 0.05},
    {"sgd_decay", SgdOptions{.weight_decay = 0.1}, 0.05},
    {"sgd_momentum", SgdOptions{.momentum = 0.9}, 0.05},
    {"sgd_nesterov", SgdOptions{.momentum = 0.8, .weight_decay = 0.1, .nesterov = true}, 0.05},
    {.name = "sgd_clip_value", .options = SgdOptions{.momentum = 0.9}, .lr = 0.05, .clip_value = 0.5},
    {"adam", AdamOptions{}, 0.01},
    {"adam_decay", AdamOptions{.beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.1}, 0.01},
    {.name = "adam_clip_norm", .options = AdamOptions{}, .lr = 0.01, .clip_norm = 0.3},
    {.name = "adam_schedule", .options = AdamOptions{}, .lr = 0.02, .linear_schedule = true},
    {"adamw", AdamOptions{.weight_decay = 0.1, .decoupled = true}, 0.01},
    {"adamw_ranges", AdamOptions{.weight_decay = 0.1, .decoupled = true}, 0.01, {{0, 9}, {9, 15, 0.5, 0}}},
    {"adadelta", AdadeltaOptions{}, 1.0},
    {"adadelta_decay", AdadeltaOptions{.rho = 0.8, .eps = 1e-4, .weight_decay = 0.1}, 0.5},
};

template <class T>
struct Slabs {
  std::vector<T> values, first = std::vector<T>(kSize), second = std::vector<T>(kSize);
  SgdState sgd;
  AdamState adam;
  AdadeltaState adadelta;
};

/// Naming the type picks the reference, leaving it out the timed form.
template <bool reference, class T>
void update(const Context& ctx, const OptimizerCase& c, OptimizerStep step, const T* grads, Slabs<T>& slabs) {
  const OptimizerRanges ranges{c.ranges.data(), static_cast<int>(c.ranges.size())};
  T *values = slabs.values.data(), *first = slabs.first.data(), *second = slabs.second.data();
  if (const auto* options = std::get_if<SgdOptions>(&c.options)) {
    T* momentum = options->momentum == 0 ? static_cast<T*>(nullptr) : first;
    if constexpr (reference) cpu::sgd_update<T>(ctx, ranges, *options, step, values, grads, momentum, &slabs.sgd);
    if constexpr (!reference) cpu::sgd_update(ctx, ranges, *options, step, values, grads, momentum, &slabs.sgd);
  } else if (const auto* options = std::get_if<AdamOptions>(&c.options)) {
    if constexpr (reference)
      cpu::adam_update<T>(ctx, ranges, *options, step, values, grads, first, second, &slabs.adam);
    if constexpr (!reference) cpu::adam_update(ctx, ranges, *options, step, values, grads, first, second, &slabs.adam);
  } else if (const auto* options = std::get_if<AdadeltaOptions>(&c.options)) {
    AdadeltaState* state = &slabs.adadelta;
    if constexpr (reference) cpu::adadelta_update<T>(ctx, ranges, *options, step, values, grads, first, second, state);
    if constexpr (!reference) cpu::adadelta_update(ctx, ranges, *options, step, values, grads, first, second, state);
  }
}

/// The parameters after each step, (kSteps, kSize).
template <bool reference, class T>
std::vector<T> run(const OptimizerCase& c, const std::vector<T>& start, const std::vector<T>& grads) {
  const Context ctx = test_context(2);
  Slabs<T> slabs;
  slabs.values = start;
  std::vector<T> trace;
  for (int64_t t = 0; t < kSteps; ++t) {
    const T* gradient = grads.data() + t * kSize;
    const double lr = c.linear_schedule ? c.lr * (1 - static_cast<double>(t) / kSteps) : c.lr;
    Norm norm;
    Fault fault;
    if constexpr (reference) cpu::gradient_check<T>(ctx, {kSize, kSize}, gradient, c.clip_norm, &norm, &fault, &t);
    if constexpr (!reference) cpu::gradient_check(ctx, {kSize, kSize}, gradient, c.clip_norm, &norm, &fault, &t);
    const OptimizerStep step{.fault = &fault, .lr = &lr, .grad_scale = &norm.scale, .clip_value = c.clip_value};
    update<reference>(ctx, c, step, gradient, slabs);
    trace.insert(trace.end(), slabs.values.begin(), slabs.values.end());
  }
  return trace;
}

/// Compares each parameter's path on its own, so that a large one does not hide a small one.
template <class T>
void expect_paths(const std::vector<T>& got, const std::vector<double>& want, Tolerance tolerance) {
  const auto path = [](const auto& trace, int64_t i) {
    std::vector<double> values;
    for (int t = 0; t < kSteps; ++t) values.push_back(static_cast<double>(trace[static_cast<size_t>(t * kSize + i)]));
    return values;
  };
  for (int64_t i = 0; i < kSize; ++i) {
    expect_close(path(got, i), path(want, i), tolerance, "parameter " + std::to_string(i));
  }
}

class GoldenOptimizer : public testing::TestWithParam<OptimizerCase> {
 protected:
  Golden golden{"optimizers"};
  const OptimizerCase& c = GetParam();
  std::string name = c.name;
};

TEST_P(GoldenOptimizer, DoubleIsPyTorchsDouble) {
  const auto got = run<true>(c, golden.values<double>("start"), golden.values<double>("grads"));
  expect_paths(got, golden.values<double>(name + "/values"), fp64_tolerance());
}

TEST_P(GoldenOptimizer, FloatIsPyTorchsFloatAndNearItsDouble) {
  const auto start = golden.values<float>("start"), grads = golden.values<float>("grads");
  for (const auto& got : {run<true>(c, start, grads), run<false>(c, start, grads)}) {
    expect_paths(got, golden.values<double>(name + "/values"), fp32_tolerance(kSteps));
    expect_paths(got, golden.values<double>(name + "/values_f32"), fp32_tolerance(kSteps));
  }
}

INSTANTIATE_TEST_SUITE_P(TenSteps, GoldenOptimizer, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace hourglass::test
