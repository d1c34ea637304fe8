// SPDX-License-Identifier: Apache-2.0
// The end of a step: one optimizer or several, checked together before the first parameter changes.
#include <cmath>
#include <limits>

#include "engine/optimizers.h"
#include "engine/step_graph.h"
#include "tests/tape_model.h"

namespace hourglass::test {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// A generator and a discriminator of one number each, and a third group that nobody trains.
struct TwoNetworks : TapeFixture {
  Parameter& generator = parameter("generator", {1, 3}, "generator");
  Parameter& frozen = parameter("frozen", {1, 3}, "frozen");
  Parameter& discriminator = parameter("discriminator", {1, 3}, "discriminator");
  Leaf* value = parameters.statistic("value");
  TrainingState state{runtime.ctx(), (allocate(), parameters)};
  Optimizer generator_step{
      parameters, state, state.schedule([](int64_t) { return 0.5; }), sgd(), parameters.group("generator"),
      "generator"};
  Optimizer discriminator_step{
      parameters,     state, state.schedule([](int64_t) { return 0.25; }), sgd(), parameters.group("discriminator"),
      "discriminator"};

  static OptimizerOptions sgd() {
    OptimizerOptions options;
    options.kind = OptimizerKind::kSgd;
    return options;
  }
  std::vector<double> copy(const Parameter& p) const { return {values(p), values(p) + 3}; }

  /// Gradients: 2 g for the generator, `slope` for each element of the discriminator.
  void run(double slope) {
    state.plan(state.step());
    tape.rewind();
    const Var x = full(tape, {1, 3}, Dtype::kF64, 0);
    tape.backward({{squared_error(tape, generator, x), 1, value}}, parameters.group("generator"));
    tape.backward({{sum(tape, discriminator), slope}}, parameters.group("discriminator"));
    std::fill_n(gradient(frozen), 3, kNaN);  // nobody's business
    Optimizer::commit(tape, {&generator_step, &discriminator_step});
    state.advance();
  }
};

TEST(commit, several_optimizers_update_their_own_groups) {
  TwoNetworks f;
  const std::vector<double> g = f.copy(f.generator), d = f.copy(f.discriminator), other = f.copy(f.frozen);
  f.run(4);
  EXPECT_EQ(f.state.fault().code, 0);
  EXPECT_EQ(f.state.step(), 1);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(f.copy(f.generator)[i], g[i] - 0.5 * 2 * g[i], 1e-15);
    EXPECT_NEAR(f.copy(f.discriminator)[i], d[i] - 0.25 * 4, 1e-15);
    EXPECT_EQ(f.copy(f.frozen)[i], other[i]);
  }
  const double squares = g[0] * g[0] + g[1] * g[1] + g[2] * g[2];
  EXPECT_NEAR(f.state.logged(0)[0], squares, 1e-12) << "the statistic outlives both updates";
  EXPECT_NEAR(f.state.logged(0)[1], 2 * std::sqrt(squares), 1e-12) << "the norm of the first optimizer";
}

TEST(commit, a_range_holds_its_groups_alone) {
  TwoNetworks f;
  const Groups first = f.parameters.group("generator"), middle = f.parameters.group("frozen"),
               last = f.parameters.group("discriminator");
  const auto expect_range = [&](Groups groups, int64_t from, int64_t to) {
    const SlabRange range = f.parameters.range(groups);
    EXPECT_EQ(range.first, from);
    EXPECT_EQ(range.first + range.count, to);
  };
  const int64_t end = f.parameters.range().first + f.parameters.range().count;
  expect_range(first, f.generator.offset, f.frozen.offset);
  expect_range(middle, f.frozen.offset, f.discriminator.offset);
  expect_range(last, f.discriminator.offset, end);
  expect_range(first | middle, f.generator.offset, f.discriminator.offset);
  EXPECT_LE(end, f.parameters.slab_elements());
  EXPECT_EQ(f.parameters.range(0).count, 0);
  expect_error([&] { f.parameters.range(first | last); }, Exit::kInternal, {"frozen", "between the groups"});
}

TEST(commit, a_fault_of_one_keeps_all_from_changing) {
  TwoNetworks f;
  const std::vector<double> g = f.copy(f.generator), d = f.copy(f.discriminator);
  f.run(kNaN);
  EXPECT_EQ(f.state.fault().code, static_cast<int>(Exit::kNotFinite));
  EXPECT_EQ(f.state.fault().index, f.discriminator.offset) << "counted in the whole slab";
  EXPECT_EQ(f.state.step(), 0);
  EXPECT_EQ(f.copy(f.generator), g);
  EXPECT_EQ(f.copy(f.discriminator), d);
}

TEST(commit, a_statistic_has_a_name_of_its_own) {
  Parameters parameters;
  parameters.statistic("kl");
  parameters.statistic("reconstruction");
  expect_error([&] { parameters.statistic("kl"); }, Exit::kInternal, {"statistic kl", "twice"});
}

TEST(commit, a_statistic_that_is_not_finite_is_a_fault_too) {
  TwoNetworks f;
  f.state.plan(0);
  f.tape.rewind();
  const Var x = full(f.tape, {1, 3}, Dtype::kF64, INFINITY);
  const std::vector<double> g = f.copy(f.generator);
  f.tape.backward({{squared_error(f.tape, f.generator, x), 0.0, f.value}}, f.parameters.group("generator"));
  std::fill_n(f.gradient(f.generator), 3, 0.0);
  Optimizer::commit(f.tape, {&f.generator_step, &f.discriminator_step});
  EXPECT_EQ(f.state.fault().index, f.parameters.slab_elements());
  EXPECT_EQ(f.copy(f.generator), g);
}

/// Whatever the step that begins a window, and also after a jump.
TEST(commit, scheduled_values_follow_the_step_across_windows) {
  TapeFixture f(Dtype::kF32);
  f.parameter("w", {1});
  f.allocate();
  TrainingState state(f.runtime.ctx(), f.parameters);
  const double* const value = state.schedule([](int64_t step) { return 0.5 * static_cast<double>(step); });
  std::vector<double> seen;
  StepGraph step(f.runtime, state, [&] {
    if (!f.runtime.ctx().measuring) seen.push_back(*value);
  });
  for (const int64_t first : {int64_t{0}, int64_t{700}, int64_t{5}}) {
    state.set_step(first);
    seen.clear();
    constexpr int kSteps = 2 * TrainingState::kWindow + 2;
    for (int i = 0; i < kSteps; ++i) step.run();
    for (int i = 0; i < kSteps; ++i) ASSERT_EQ(seen[static_cast<size_t>(i)], 0.5 * static_cast<double>(first + i));
    EXPECT_EQ(state.fault().code, 0);
    EXPECT_EQ(state.step(), first + kSteps);
  }
}

TEST(commit, names_keep_the_state_of_optimizers_apart) {
  TwoNetworks f;
  std::vector<std::string> names;
  for (Optimizer* o : {&f.generator_step, &f.discriminator_step}) {
    for (const StateTensor& t : o->state_tensors()) names.push_back(t.name);
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

}  // namespace
}  // namespace hourglass::test
