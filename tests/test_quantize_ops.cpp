// SPDX-License-Identifier: Apache-2.0
// Vector quantisation through the tape: gradients, and what a commit changes and when.
#include <cmath>
#include <set>

#include "engine/checkpoint.h"
#include "engine/ops.h"
#include "engine/optimizers.h"
#include "engine/step_graph.h"
#include "tests/tape_model.h"

namespace hourglass::test {
namespace {

TEST(quantize, passes_the_gradient_straight_through) {
  TapeFixture f;
  Parameter &x = f.parameter("x", {2, 3, 1, 4}), &codebook = f.parameter("codebook", {5, 4});
  f.allocate();
  const Quantized q = vector_quantize(f.tape, x, codebook);
  EXPECT_EQ(q.codes.shape, (Shape{2, 3, 1, 4}));
  for (int n = 0; n < 6; ++n) {
    const int k = q.nearest.index.as<int32_t>()[n];
    for (int d = 0; d < 4; ++d) EXPECT_EQ(q.codes.as<double>()[4 * n + d], f.values(codebook)[4 * k + d]);
  }
  const Var weights = f.tape.constant({1, 24}, Dtype::kF64);
  for (int i = 0; i < 24; ++i) weights.as<double>()[i] = std::sin(1.0 + i);
  f.tape.backward({{sum(f.tape, mul(f.tape, reshape(q.codes, {1, 24}), weights)), 1.0}});
  f.parameters.complete_gradients(f.runtime.ctx(), kAllGroups);
  for (int i = 0; i < 24; ++i) EXPECT_EQ(f.gradient(x)[i], weights.as<double>()[i]);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(f.gradient(codebook)[i], 0);
}

TEST(quantize, losses_pass_the_gradient_check) {
  TapeFixture f;
  Parameter &x = f.parameter("x", {7, 3}), &codebook = f.parameter("codebook", {4, 3});
  f.allocate();
  Leaf *commitment = nullptr, *loss = nullptr;
  const auto mean_distance = [&] {
    const Quantized q = vector_quantize(f.tape, x, codebook);
    double total = 0;
    for (int n = 0; n < 7; ++n) total += q.nearest.distance.as<double>()[n];
    return total / 21;
  };
  // The commitment's gradient goes to x, the codebook loss's to the codebook: together, that of the one number.
  check_gradients(
      f,
      [&] {
        const Quantized q = vector_quantize(f.tape, x, codebook);
        return std::vector<Term>{{q.commitment, 1.0, commitment}, {q.codebook, 1.0, loss}};
      },
      mean_distance);
}

/// Training of a moving-average codebook on given rows, with a parameter beside it for the optimizer.
struct EmaTraining : TapeFixture {
  static constexpr int kRows = 64, kD = 2, kK = 8;
  static CodebookEmaOptions options(double threshold) {
    CodebookEmaOptions o;
    o.decay = 0.9;
    o.restart_threshold = threshold;
    return o;
  }
  explicit EmaTraining(double threshold)
      : ema(parameters, "codebook", kK, kD, Init::uniform(1e-3), options(threshold)) {
    parameter("shift", {1, kD}, "all", 0);
    value = parameters.statistic("commitment");
    parameters.allocate(1);
    ema.start(runtime.ctx());
    state = std::make_unique<TrainingState>(runtime.ctx(), parameters);
    OptimizerOptions sgd;
    sgd.kind = OptimizerKind::kSgd;
    optimizer = std::make_unique<Optimizer>(parameters, *state, state->schedule([](int64_t) { return 0.0; }), sgd,
                                            kAllGroups, "optimizer");
  }

  /// Eight clusters on a circle, a few rows of each in every batch.
  Var rows(int64_t step, int first, int count) {
    const Var x = tape.constant({count, kD}, Dtype::kF64);
    Random random(static_cast<uint64_t>(step));
    for (int n = 0; n < first + count; ++n) {
      const double angle = n % 8 * 0.785, a = random.uniform(-0.05, 0.05), b = random.uniform(-0.05, 0.05);
      if (n < first) continue;
      x.as<double>()[(n - first) * kD] = std::cos(angle) + a;
      x.as<double>()[(n - first) * kD + 1] = std::sin(angle) + b;
    }
    return x;
  }
  std::vector<int32_t> train(int batches = 1, bool broken = false) {
    state->plan(state->step());
    std::vector<int32_t> index;
    for (int b = 0; b < batches; ++b) {
      tape.rewind();
      const int count = kRows / batches;
      const Var x = rows(state->step(), b * count, count);
      if (broken) x.as<double>()[3] = std::nan("");
      const Quantized q =
          ema.quantize(tape, x, Noise{5, stream_id("train/restart")}, {state->device_fault(), state->device_step()});
      index.insert(index.end(), q.nearest.index.as<int32_t>(), q.nearest.index.as<int32_t>() + count);
      tape.backward({{q.commitment, 0.25 / batches, value}});
    }
    Optimizer::commit(tape, {optimizer.get()});
    state->advance();
    return index;
  }
  std::vector<double> codebook() const { return copy(ema.codebook()); }
  static std::vector<double> copy(const Var& v) { return {v.as<double>(), v.as<double>() + v.shape.elements()}; }

  EmaCodebook ema;
  Leaf* value = nullptr;
  std::unique_ptr<TrainingState> state;
  std::unique_ptr<Optimizer> optimizer;
};

TEST(quantize, the_commit_follows_the_formula) {
  EmaTraining f(0);
  std::vector<double> counts(8, 1.0), sums = f.codebook(), codes = f.codebook();
  for (int64_t step = 0; step < 5; ++step) {
    f.tape.rewind();
    const std::vector<double> x = EmaTraining::copy(f.rows(step, 0, 64));
    const std::vector<int32_t> index = f.train();
    double total = 0;
    for (int i = 0; i < 8; ++i) counts[i] *= 0.9, sums[2 * i] *= 0.9, sums[2 * i + 1] *= 0.9;
    for (int n = 0; n < 64; ++n) {
      counts[index[n]] += 0.1;
      for (int d = 0; d < 2; ++d) sums[2 * index[n] + d] += 0.1 * x[2 * n + d];
    }
    for (const double count : counts) total += count;
    for (int i = 0; i < 16; ++i) codes[i] = sums[i] / ((counts[i / 2] + 1e-5) / (total + 8e-5) * total);
    expect_close(f.codebook(), codes, fp64_tolerance(), "codebook after step " + std::to_string(step));
  }
  EXPECT_EQ(f.state->fault().code, 0);
}

TEST(quantize, restart_revives_codes_and_they_stay_revived) {
  const auto used = [](EmaTraining& f) {
    const auto index = f.train();
    return std::set<int32_t>(index.begin(), index.end()).size();
  };
  EmaTraining plain(0), restarts(1);
  for (int step = 0; step < 150; ++step) used(plain), used(restarts);
  for (int step = 0; step < 10; ++step) EXPECT_EQ(used(restarts), 8u);
  EXPECT_LT(used(plain), 8u) << "the start was too easy to show anything";
  const auto counts = EmaTraining::copy(restarts.ema.counts());
  for (const double count : counts) EXPECT_GT(count, 4);
}

TEST(quantize, two_micro_batches_are_one_batch) {
  EmaTraining one(0), two(0);
  for (int step = 0; step < 3; ++step) one.train(1), two.train(2);
  expect_close(two.codebook(), one.codebook(), fp64_tolerance());
  EXPECT_NEAR(two.state->logged(2)[0], one.state->logged(2)[0] * 2, 1e-9) << "means of two halves add up";
}

TEST(quantize, a_fault_keeps_the_codebook) {
  EmaTraining f(1);
  f.train();
  const auto before = f.codebook(), counts = EmaTraining::copy(f.ema.counts());
  f.train(1, true);
  const Fault fault = f.state->fault();
  EXPECT_EQ(fault.code, static_cast<int>(Exit::kNotFinite));
  EXPECT_EQ(fault.op, kFaultPosition);
  EXPECT_EQ(fault.index, 1);
  EXPECT_EQ(fault.step, 1);
  EXPECT_EQ(f.codebook(), before);
  EXPECT_EQ(EmaTraining::copy(f.ema.counts()), counts);
}

TEST(quantize, evaluation_changes_nothing) {
  EmaTraining f(1);
  f.train();
  const auto before = f.codebook();
  f.tape.rewind(Mode::kEvaluate);
  f.ema.quantize(f.tape, f.rows(9, 0, 64), {});
  f.tape.run_commits({f.runtime.ctx(), nullptr, nullptr});
  EXPECT_EQ(f.codebook(), before);
}

TEST(quantize, checkpoints_hold_the_state) {
  EmaTraining f(1);
  std::set<std::string> names;
  for (const StateTensor& t : model_tensors(f.parameters)) names.insert(t.name);
  EXPECT_EQ(names,
            (std::set<std::string>{"model/shift", "model/codebook", "model/codebook_counts", "model/codebook_sums"}));
  EXPECT_EQ(f.parameters.statistic_names().size(), 1u) << "counts and sums are not logged";
}

TEST(quantize, perplexity_is_the_exponential_of_the_entropy) {
  EXPECT_DOUBLE_EQ(perplexity({4, 4, 0}), 2);
  EXPECT_DOUBLE_EQ(perplexity({0, 7}), 1);
  EXPECT_EQ(perplexity({0, 0}), 0);
}

TEST(quantize, refuses_shapes_that_do_not_fit) {
  TapeFixture f;
  Parameter &x = f.parameter("x", {7, 3}), &codebook = f.parameter("codebook", {4, 2}),
            &flat = f.parameter("flat", {3});
  f.allocate();
  expect_error([&] { vector_quantize(f.tape, x, codebook); }, Exit::kUsage, {"vector_quantize", "(4, 2)", "(7, 3)"});
  expect_error([&] { nearest_codebook(f.tape, x, flat); }, Exit::kUsage, {"nearest_codebook", "rank 2"});
  expect_error([&] { sort_by_code(f.tape, x, 3); }, Exit::kUsage, {"sort_by_code", "i32"});
  expect_error([&] { f.parameters.state("late", {1}, {}); }, Exit::kInternal, {"late", "after the slabs"});
}

}  // namespace
}  // namespace hourglass::test
