// SPDX-License-Identifier: Apache-2.0
// Training in tf32 against training in fp32, on the CUDA device.
#include "models/evaluation.h"
#include "models/precision.h"
#include "tests/cuda_training.h"

namespace hourglass::test {
namespace {

using Precisions = CudaTraining;

TEST(Precision, IsNamed) {
  for (Precision p : {Precision::kFp32, Precision::kTf32}) EXPECT_EQ(parse_precision(name_of(p)), p);
  expect_error([] { parse_precision("fp16"); }, Exit::kUsage, {"--precision", "fp32, tf32", "fp16"});
}

TEST(Precision, OfTheCpuIsFp32) {
  const SmallData data(64);
  Runtime runtime({"cpu", 1});
  TrainerOptions options = small_trainer_options();
  options.precision = Precision::kTf32;
  expect_error([&] { Trainer(runtime, data.store(), data.split, options); }, Exit::kUsage,
               {"--precision tf32", "CUDA", "CPU"});
}

TrainerOptions in(Precision precision, TrainerOptions options) {
  options.precision = precision;
  return options;
}

std::vector<TrainerOptions> models() {
  TrainerOptions options = options_with(OptimizerKind::kAdam);
  options.lr.kind = LrScheduleKind::kConstant;
  std::vector<TrainerOptions> list{options};
  options.model.hidden.clear();
  options.batch.batch = 4;  // the emulated tensor cores are slow
  for (const char* encoder : kConvolutionalEncoders) {
    options.model.encoder = encoder;
    list.push_back(options);
  }
  return list;
}

std::string name_of_model(const TrainerOptions& o) { return o.model.encoder.empty() ? "vae" : o.model.encoder; }

std::vector<double> objective(const Result& result) {
  std::vector<double> sum = result.reconstruction;
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += result.kl[i];
  return sum;
}

/// Rounded operands, and no more.
TEST_F(Precisions, Tf32FollowsTheCurveOfFp32) {
  for (const TrainerOptions& options : models()) {
    SCOPED_TRACE(name_of_model(options));
    const int steps = options.model.encoder.empty() ? 50 : 20;
    const Result full = train({"cuda", 1}, options, steps);
    const Result rounded = train({"cuda", 1}, in(Precision::kTf32, options), steps);
    EXPECT_NE(rounded.values, full.values);
    EXPECT_EQ(rounded.nodes, full.nodes);
    expect_close(objective(rounded), objective(full), kTf32Tolerance);
  }
}

TEST_F(Precisions, ACapturedTf32StepHasTheBitsOfAnEagerOne) {
  for (const TrainerOptions& options : models()) {
    SCOPED_TRACE(name_of_model(options));
    const TrainerOptions tf32 = in(Precision::kTf32, options);
    const Result eager = train({"cuda", 1, false}, tf32, 6), captured = train({"cuda", 1, true}, tf32, 6);
    EXPECT_GT(captured.nodes, 0);
    expect_same_bits(captured.values, eager.values);
    EXPECT_EQ(captured.reconstruction, eager.reconstruction);
  }
}

/// What is not a training step computes in fp32.
TEST_F(Precisions, EvaluationIsInFp32) {
  const SmallData data(40);
  const auto evaluate = [&](Precision precision) {
    Runtime runtime({"cuda", 1});
    TrainerOptions options = small_trainer_options();
    options.lr.lr = 0;  // the initial parameters
    Trainer trainer(runtime, data.store(), data.split, in(precision, options));
    EvaluationOptions e;
    e.batch = 20;
    Evaluator evaluator(runtime, trainer.model(), data.store(), data.split, e);
    trainer.run(3);
    return evaluator.run().neg_elbo();
  };
  const double full = evaluate(Precision::kFp32);
  EXPECT_EQ(evaluate(Precision::kTf32), full);
}

}  // namespace
}  // namespace hourglass::test
