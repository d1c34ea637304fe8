// SPDX-License-Identifier: Apache-2.0
// The reference of vae_step, the ops one after the other, is the step that the tape makes of a model; and what a
// trainer refuses to run by it.
#include "tests/vae_step_checks.h"

namespace hourglass::test {
namespace {

const RuntimeOptions kCpu{"cpu", 1};

TEST(VaeStep, IsTheStepOfTheTape) {
  for (const VaeStepShape& s : kVaeStepCases) {
    for (const Dtype dtype : {Dtype::kF64, Dtype::kF32}) {
      for (const std::vector<int>& calls : {std::vector<int>{1}, {2}, {20}}) {
        TrainerOptions tape = vae_step_options(s, false), whole = vae_step_options(s, true);
        tape.dtype = whole.dtype = dtype;
        const Trained want = train_vae(kCpu, s, tape, calls), got = train_vae(kCpu, s, whole, calls);
        const Tolerance tolerance{dtype == Dtype::kF64 ? 1e-9 : 1e-4, 0};
        expect_close(got.values, want.values, tolerance, name_of(s));
        expect_close(got.log, want.log, tolerance, name_of(s) + ", log");
      }
    }
  }
}

TEST(VaeStep, TakesTheOptionsOfItsOptimizerAndData) {
  const VaeStepShape s = kVaeStepCases[0];
  TrainerOptions tape = vae_step_options(s, false);
  tape.optimizer.kind = OptimizerKind::kAdamW;
  tape.optimizer.weight_decay = 0.1;
  tape.optimizer.clip_norm = 0;
  tape.optimizer.clip_value = 0.5;
  tape.batch.binarize = Binarization::kDynamic;
  tape.dtype = Dtype::kF64;
  TrainerOptions whole = tape;
  whole.persistent = true;
  const Trained want = train_vae(kCpu, s, tape, {6}), got = train_vae(kCpu, s, whole, {6});
  expect_close(got.values, want.values, Tolerance{1e-9, 0});
  expect_close(got.log, want.log, Tolerance{1e-9, 0});
}

TEST(VaeStep, OtherModelsAndOptionsAreRefusedByName) {
  const VaeStepShape s = kVaeStepCases[0];
  const auto refused = [&](auto change, std::initializer_list<const char*> words) {
    TrainerOptions options = vae_step_options(s, true);
    change(options);
    expect_error([&] { train_vae(kCpu, s, options, {1}); }, Exit::kUsage, words);
  };
  refused([](TrainerOptions& o) { o.model.hidden = {4, 4}; }, {"one hidden layer", "given 2"});
  refused([](TrainerOptions& o) { o.model.likelihood = LikelihoodKind::kGaussian; }, {"bernoulli", "given gaussian"});
  refused([](TrainerOptions& o) { o.model.kind = ModelKind::kAutoencoder; }, {"a vae", "given ae"});
  refused([](TrainerOptions& o) { o.model.tied_weights = true; }, {"tied"});
  refused([](TrainerOptions& o) { o.model.activation = Activation::kGelu; }, {"gelu"});
  refused([](TrainerOptions& o) { o.optimizer.kind = OptimizerKind::kSgd; }, {"adam"});
  refused([](TrainerOptions& o) { o.samples = 3; }, {"one draw", "given 3"});
  refused([](TrainerOptions& o) { o.micro_batches = 3; }, {"one micro-batch", "given 3"});
  refused([](TrainerOptions& o) { o.corruption.amount = 0.5; }, {"corruption"});
  refused([](TrainerOptions& o) { o.detect_anomaly = true; }, {"anomalies"});
  refused([](TrainerOptions& o) { o.profile_steps = 2; }, {"profile", "given 2"});
  refused([](TrainerOptions& o) { o.batch.batch = 1000; }, {"1000"});
}

}  // namespace
}  // namespace hourglass::test
