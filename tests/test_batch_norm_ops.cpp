// SPDX-License-Identifier: Apache-2.0
// Batch normalization through the tape: gradients, and which statistics it uses and changes, and when.
#include <cmath>
#include <set>

#include "engine/checkpoint.h"
#include "engine/ops.h"
#include "engine/optimizers.h"
#include "tests/tape_model.h"

namespace hourglass::test {
namespace {

TEST(batch_norm_ops, gradients) {
  TapeFixture f;
  Parameter &x = f.parameter("x", {2, 3, 2, 4}), &gamma = f.parameter("gamma", {4}), &beta = f.parameter("beta", {4});
  const RunningMoments running(f.parameters, "norm", 4);
  f.allocate();
  const auto weighted = [&](const Var& y) {
    const Var flat = reshape(y, {1, 48}), weights = f.tape.constant({1, 48}, Dtype::kF64);
    for (int i = 0; i < 48; ++i) weights.as<double>()[i] = std::sin(1.0 + i);
    return sum(f.tape, mul(f.tape, flat, weights));
  };
  check_gradients(f, [&] { return weighted(batch_norm(f.tape, x, gamma, beta, running)); });
  check_gradients(f, [&] { return weighted(batch_norm(f.tape, x, {}, beta, running)); });
  check_gradients(f, [&] { return weighted(batch_norm(f.tape, reshape(x, {12, 4}), gamma, {}, running)); });
}

/// Steps on rows of three channels that a test chooses, through y = batch_norm(x + shift).
struct Training : TapeFixture {
  static constexpr int kRows = 8, kC = 3;
  explicit Training(double momentum = 0.25) : running(parameters, "norm", kC, momentum) {
    shift = &parameter("shift", {kC}, "all", 0);
    value = parameters.statistic("value");
    parameters.allocate(1);
    state = std::make_unique<TrainingState>(runtime.ctx(), parameters);
    OptimizerOptions sgd;
    sgd.kind = OptimizerKind::kSgd;
    optimizer = std::make_unique<Optimizer>(parameters, *state, state->schedule([](int64_t) { return 0.0; }), sgd,
                                            kAllGroups, "optimizer");
  }

  std::vector<double> rows(int64_t step, int part) const {
    return random_values<double>(kRows * kC, static_cast<uint64_t>(7 * step + part), -1, 3);
  }
  /// One step of `parts` micro-batches, each used `uses` times.
  void train(int parts = 1, int uses = 1, double poison = 0) {
    state->plan(state->step());
    for (int part = 0; part < parts; ++part) {
      tape.rewind();
      const Var x = tape.constant({kRows, kC}, Dtype::kF64);
      const std::vector<double> values = rows(state->step(), part);
      std::copy(values.begin(), values.end(), x.as<double>());
      x.as<double>()[4] += poison;
      std::vector<Term> terms;
      for (int use = 0; use < uses; ++use) {
        const Var y = batch_norm(tape, x, shift->var, {}, running);
        terms.emplace_back(squared_error(tape, y, x), 1.0 / parts, value);
      }
      tape.backward(terms.data(), terms.size());
    }
    Optimizer::commit(tape, {optimizer.get()});
    state->advance();
  }
  /// mean and var after the batch `values` joins them.
  static void follow(const std::vector<std::vector<double>>& batches, std::vector<double>& mean,
                     std::vector<double>& var) {
    for (int c = 0; c < kC; ++c) {
      double step_mean = 0, step_var = 0;
      for (const std::vector<double>& x : batches) {
        double sum = 0, squares = 0;
        for (int r = 0; r < kRows; ++r) sum += x[static_cast<size_t>(r * kC + c)];
        for (int r = 0; r < kRows; ++r) squares += std::pow(x[static_cast<size_t>(r * kC + c)] - sum / kRows, 2);
        step_mean += sum / kRows / static_cast<double>(batches.size());
        step_var += squares / (kRows - 1) / static_cast<double>(batches.size());
      }
      mean[static_cast<size_t>(c)] += 0.25 * (step_mean - mean[static_cast<size_t>(c)]);
      var[static_cast<size_t>(c)] += 0.25 * (step_var - var[static_cast<size_t>(c)]);
    }
  }
  static std::vector<double> copy(const Var& v) { return {v.as<double>(), v.as<double>() + v.shape.elements()}; }

  RunningMoments running;
  Parameter* shift = nullptr;
  Leaf* value = nullptr;
  std::unique_ptr<TrainingState> state;
  std::unique_ptr<Optimizer> optimizer;
};

TEST(batch_norm_ops, a_step_moves_the_running_moments_once) {
  for (const int uses : {1, 2}) {
    Training f;
    std::vector<double> mean(3, 0), var(3, 1);
    for (int64_t step = 0; step < 4; ++step) {
      Training::follow({f.rows(step, 0)}, mean, var);
      f.train(1, uses);
      expect_close(Training::copy(f.running.mean()), mean, fp64_tolerance(), "mean");
      expect_close(Training::copy(f.running.var()), var, fp64_tolerance(), "var");
    }
    EXPECT_EQ(f.state->fault().code, 0);
  }
}

TEST(batch_norm_ops, micro_batches_count_as_their_average) {
  Training f;
  std::vector<double> mean(3, 0), var(3, 1);
  for (int64_t step = 0; step < 3; ++step) {
    Training::follow({f.rows(step, 0), f.rows(step, 1), f.rows(step, 2)}, mean, var);
    f.train(3);
    expect_close(Training::copy(f.running.mean()), mean, fp64_tolerance(), "mean");
    expect_close(Training::copy(f.running.var()), var, fp64_tolerance(), "var");
  }
}

TEST(batch_norm_ops, a_fault_keeps_the_running_moments) {
  for (const double poison : {static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    Training f;
    f.train();
    const auto mean = Training::copy(f.running.mean()), var = Training::copy(f.running.var());
    f.train(1, 1, poison);
    EXPECT_EQ(f.state->fault().code, static_cast<int>(Exit::kNotFinite));
    EXPECT_EQ(Training::copy(f.running.mean()), mean);
    EXPECT_EQ(Training::copy(f.running.var()), var);
    f.state->clear_fault();
    f.train();
    EXPECT_NE(Training::copy(f.running.mean()), mean) << "what the refused step learned is forgotten";
    for (const double each : Training::copy(f.running.var())) EXPECT_TRUE(std::isfinite(each));
  }
}

TEST(batch_norm_ops, evaluation_uses_the_running_moments_and_changes_nothing) {
  Training f;
  f.train();
  const auto mean = Training::copy(f.running.mean()), var = Training::copy(f.running.var());
  const std::vector<double> x = f.rows(9, 0);
  for (const int rows : {1, 8}) {  // a single row is no trouble
    f.tape.rewind(Mode::kEvaluate);
    const Var in = f.tape.constant({rows, 3}, Dtype::kF64);
    std::copy_n(x.begin(), 3 * rows, in.as<double>());
    const std::vector<double> y = Training::copy(batch_norm(f.tape, in, {}, {}, f.running));
    for (size_t i = 0; i < y.size(); ++i) {
      EXPECT_NEAR(y[i], (x[i] - mean[i % 3]) / std::sqrt(var[i % 3] + 1e-5), 1e-12);
    }
    f.tape.run_commits({f.runtime.ctx(), nullptr, nullptr});
  }
  EXPECT_EQ(Training::copy(f.running.mean()), mean);
  EXPECT_EQ(Training::copy(f.running.var()), var);
}

TEST(batch_norm_ops, checkpoints_hold_the_state) {
  Training f;
  std::set<std::string> names;
  for (const StateTensor& t : model_tensors(f.parameters)) names.insert(t.name);
  EXPECT_EQ(names, (std::set<std::string>{"model/shift", "model/norm.running_mean", "model/norm.running_var"}));
  EXPECT_EQ(f.parameters.statistic_names().size(), 1u) << "moments are not logged";
}

TEST(batch_norm_ops, refusals) {
  Training f;
  f.tape.rewind();
  const auto ones = [&](const Shape& shape) { return full(f.tape, shape, Dtype::kF64, 1); };
  const auto normalize = [&](const Shape& x) { batch_norm(f.tape, ones(x), {}, {}, f.running); };
  expect_error([&] { normalize({1, 3}); }, Exit::kUsage, {"batch_norm", "more than one value a channel", "(1, 3)"});
  expect_error([&] { normalize({1, 1, 1, 3}); }, Exit::kUsage, {"more than one value a channel"});
  expect_error([&] { normalize({2, 4}); }, Exit::kUsage, {"batch_norm", "running mean", "(4)", "(3)"});
  expect_error([&] { normalize({3}); }, Exit::kUsage, {"samples and channels"});
  expect_error([&] { batch_norm(f.tape, ones({2, 3}), ones({2}), {}, f.running); }, Exit::kUsage, {"gamma", "(2)"});
}

}  // namespace
}  // namespace hourglass::test
