// SPDX-License-Identifier: Apache-2.0
// Training in tf32 and bf16 on the CUDA device beyond what test_cuda_models.cpp asks of every model in each precision.
#include "engine/checkpoint.h"
#include "engine/kmeans.h"
#include "models/evaluation.h"
#include "models/precision.h"
#include "tests/cuda_training.h"
#include "tests/vqvae_model.h"

namespace hourglass::test {
namespace {

using Precisions = CudaTraining;

TEST(Precision, IsNamed) {
  for (Precision p : {Precision::kFp32, Precision::kTf32, Precision::kBf16}) EXPECT_EQ(parse_precision(name_of(p)), p);
  expect_error([] { parse_precision("fp16"); }, Exit::kUsage, {"--precision", "fp32, tf32, bf16", "fp16"});
}

/// What discretized_logistic makes of its data.
TEST(Precision, Bf16KeepsGreyLevels) {
  for (int level = 0; level < 256; ++level) {
    const bf16 pixel(static_cast<float>(level) / 255);
    EXPECT_EQ(std::floor(static_cast<float>(pixel) * 255 + 0.5f), static_cast<float>(level));
  }
}

TEST(Precision, OfTheCpuIsFp32) {
  const SmallData data(64);
  Runtime runtime({"cpu", 1});
  TrainerOptions options = small_trainer_options();
  for (Precision p : {Precision::kTf32, Precision::kBf16}) {
    options.precision = p;
    expect_error([&] { Trainer(runtime, data.store(), data.split, options); }, Exit::kUsage,
                 {"--precision", name_of(p), "CUDA", "CPU"});
  }
}

TrainerOptions in(Precision precision, TrainerOptions options) {
  options.precision = precision;
  return options;
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
  EXPECT_EQ(evaluate(Precision::kBf16), full);
}

// ---------------------------------------------------------------- bf16

std::vector<bf16> shadows_of(const Context& ctx, const Parameters& parameters) {
  std::vector<bf16> all(static_cast<size_t>(parameters.slab_elements()));
  to_host(ctx, all.data(), parameters.shadows(), all.size() * sizeof(bf16));
  return all;
}
std::vector<float> masters_of(const Context& ctx, const Parameters& parameters) {
  std::vector<float> all(static_cast<size_t>(parameters.slab_elements()));
  to_host(ctx, all.data(), parameters.values(), all.size() * sizeof(float));
  return all;
}

TrainerOptions bf16_options() { return in(Precision::kBf16, options_with(OptimizerKind::kAdam)); }

TEST_F(Precisions, TheShadowsAreTheRoundedParameters) {
  for (OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdamW, OptimizerKind::kAdadelta}) {
    const SmallData data(64);
    Runtime runtime({"cuda", 1});
    Trainer trainer(runtime, data.store(), data.split, in(Precision::kBf16, options_with(kind)));
    std::vector<float> before;
    for (int i = 0; i < 4; ++i) {
      const std::vector<float> values = masters_of(runtime.ctx(), trainer.parameters());
      expect_same_bits(shadows_of(runtime.ctx(), trainer.parameters()), converted<bf16>(values));
      EXPECT_NE(values, before);
      before = values;
      trainer.run(1);
    }
  }
}

TEST_F(Precisions, Bf16AccumulatesOverMicroBatches) {
  TrainerOptions options = options_with(OptimizerKind::kAdam);
  options.micro_batches = 2;
  const Result full = train({"cuda", 1}, options, 10), narrow = train({"cuda", 1}, in(Precision::kBf16, options), 10);
  EXPECT_EQ(narrow.nodes, full.nodes);
  expect_close(narrow.reconstruction, full.reconstruction, {8e-3, 1});
}

TEST_F(Precisions, Bf16ResumesWithTheSameBitsFromFloats) {
  const SmallData data(64);
  const std::string path = testing::TempDir() + "/bf16-resume.safetensors";
  const auto make = [&](Runtime& runtime) {
    return std::make_unique<Trainer>(runtime, data.store(), data.split, bf16_options());
  };
  Runtime runtime({"cuda", 1}), other({"cuda", 1}), third({"cuda", 1});
  const auto whole = make(runtime), first = make(other), second = make(third);
  whole->run(10);
  first->run(4);
  save_checkpoint(path, first->state_tensors(), {}, other.ctx());
  const SafetensorsFile file = open_checkpoint(path);
  for (const SafetensorsView& tensor : file.tensors()) {
    if (tensor.name.starts_with("model/")) {
      EXPECT_EQ(tensor.type, ElementType::kF32) << tensor.name;
    }
  }
  second->restore(file);
  second->run(6);
  expect_same_bits(masters_of(third.ctx(), second->parameters()), masters_of(runtime.ctx(), whole->parameters()));
  expect_same_bits(shadows_of(third.ctx(), second->parameters()), shadows_of(runtime.ctx(), whole->parameters()));
  EXPECT_EQ(second->take_log().reconstruction, whole->take_log().reconstruction);
}

TEST_F(Precisions, Bf16AFaultIsNamedAndNothingChanges) {
  const SmallData data(64);
  const std::vector<float> floats(data.bytes.size(), std::numeric_limits<float>::infinity());
  SampleStore store = data.store();
  store.data = floats.data();
  store.dtype = Dtype::kF32;
  Runtime runtime({"cuda", 1});
  Trainer trainer(runtime, store, data.split, bf16_options());
  const auto masters = masters_of(runtime.ctx(), trainer.parameters());
  const auto shadows = shadows_of(runtime.ctx(), trainer.parameters());
  expect_error([&] { trainer.run(8); }, Exit::kNotFinite, {"step 0", "expected finite values"});
  expect_same_bits(masters_of(runtime.ctx(), trainer.parameters()), masters);
  expect_same_bits(shadows_of(runtime.ctx(), trainer.parameters()), shadows);
}

TEST_F(Precisions, Bf16IsRefusedByNameWhereThereAreNoKernels) {
  Runtime runtime({"cuda", 1});
  Parameters parameters;
  const Parameter& p = parameters.add("p", {4, 3}, Init::uniform(1), parameters.group("all"));
  parameters.keep_shadows();
  parameters.allocate(1, runtime.ctx());
  Tape tape(runtime.ctx(), runtime.arena());
  runtime.arena().reserve(runtime.ctx(), 1 << 16);
  tape.rewind();
  expect_error([&] { nearest_codebook(tape, p.shadow, p.shadow); }, Exit::kUsage, {"nearest_codebook", "bf16", "cast"});
  expect_error([&] { vector_quantize(tape, p.shadow, p.shadow); }, Exit::kUsage, {"vector_quantize", "bf16", "cast"});
  expect_error([&] { code_vectors(tape, tape.constant({2}, Dtype::kI32), p.shadow); }, Exit::kUsage,
               {"code_vectors", "bf16", "cast"});
  expect_error([&] { kmeans(runtime.ctx(), p.shadow, p.shadow); }, Exit::kUsage, {"kmeans", "bf16", "cast"});
  expect_error([&] { add(tape, p.shadow, p.var); }, Exit::kUsage, {"add", "bf16", "f32", "cast"});
  // Its gradient is float, and an op of activations writes bf16.
  const Var y = add(tape, p.shadow, p.shadow);
  expect_error([&] { tape.backward({{y, 1.0}}); }, Exit::kUsage, {"add", "bf16", "f32", "cast"});
}

}  // namespace
}  // namespace hourglass::test
