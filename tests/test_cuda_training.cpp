// SPDX-License-Identifier: Apache-2.0
// Whole training on the CUDA device beyond what test_cuda_models.cpp asks of every model: longer curves, evaluation,
// faults and resumed runs.
#include "models/evaluation.h"
#include "tests/cuda_training.h"

namespace hourglass::test {
namespace {

TEST_F(CudaTraining, TheNumberOfStepsBetweenLooksChangesNoBit) {
  const TrainerOptions options = options_with(OptimizerKind::kAdam);
  expect_same_bits(train({"cuda"}, options, 24, 8).values, train({"cuda"}, options, 24, 1).values);
}

/// The same images, noise and schedules: the curves part by rounding alone.
TEST_F(CudaTraining, FollowsTheCurveOfTheCpu) {
  for (ModelKind kind : {ModelKind::kVae, ModelKind::kAutoencoder}) {
    for (LikelihoodKind likelihood : {LikelihoodKind::kBernoulli, LikelihoodKind::kGaussian}) {
      TrainerOptions options = options_with(OptimizerKind::kAdam);
      options.model.kind = kind;
      options.model.likelihood = likelihood;
      options.model.learned_sigma = likelihood == LikelihoodKind::kGaussian;
      options.batch.binarize = likelihood == LikelihoodKind::kBernoulli ? Binarization::kDynamic : Binarization::kNone;
      options.lr.kind = LrScheduleKind::kConstant;
      const Result cpu = train({"cpu", 1}, options, 200), cuda = train({"cuda", 1}, options, 200);
      expect_close(cuda.reconstruction, cpu.reconstruction, Tolerance{1e-3, 0}, "reconstruction");
      expect_close(cuda.kl, cpu.kl, Tolerance{1e-3, 0}, "kl");
    }
  }
}

TEST_F(CudaTraining, EvaluatesAsTheCpuDoes) {
  const SmallData data(75);
  TrainerOptions options = small_trainer_options();
  options.batch.batch = 25;
  EvaluationOptions e;
  e.batch = 20;
  e.iwae_samples = 70;
  const auto evaluate = [&](const char* device) {
    Runtime runtime({device, 1});
    Trainer trainer(runtime, data.store(), data.split, options);
    Evaluator evaluator(runtime, trainer.model(), data.store(), data.split, e);
    trainer.run(10);
    return evaluator.run();
  };
  const Evaluation cpu = evaluate("cpu"), cuda = evaluate("cuda");
  EXPECT_NEAR(cuda.neg_elbo(), cpu.neg_elbo(), 1e-4 * cpu.neg_elbo());
  EXPECT_NEAR(*cuda.iwae_bound, *cpu.iwae_bound, 1e-4 * cpu.neg_elbo());
  EXPECT_NEAR(cuda.mse, cpu.mse, 1e-4 * cpu.mse);
}

TEST_F(CudaTraining, AFaultIsNamedAndNothingChanges) {
  const SmallData data(64);
  std::vector<float> floats(data.bytes.size(), std::numeric_limits<float>::infinity());
  SampleStore store = data.store();
  store.data = floats.data();
  store.dtype = Dtype::kF32;
  Runtime runtime({"cuda", 1});
  Trainer trainer(runtime, store, data.split, small_trainer_options());
  expect_error([&] { trainer.run(8); }, Exit::kNotFinite, {"step 0", "expected finite values"});
  EXPECT_EQ(trainer.step(), 0);
}

TEST_F(CudaTraining, ResumesWithTheSameBits) {
  const SmallData data(64);
  const TrainerOptions options = options_with(OptimizerKind::kAdam);
  const std::string path = testing::TempDir() + "/cuda-resume.safetensors";
  Runtime runtime({"cuda", 1});
  Trainer whole(runtime, data.store(), data.split, options);
  whole.run(10);
  {
    Runtime other({"cuda", 1});
    Trainer first(other, data.store(), data.split, options);
    first.run(4);
    save_checkpoint(path, first.state_tensors(), {}, other.ctx());
  }
  Runtime other({"cuda", 1});
  Trainer second(other, data.store(), data.split, options);
  second.restore(open_checkpoint(path));
  second.run(6);
  EXPECT_EQ(second.take_log().reconstruction, whole.take_log().reconstruction);
}

}  // namespace
}  // namespace hourglass::test
