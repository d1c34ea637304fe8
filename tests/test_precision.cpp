// SPDX-License-Identifier: Apache-2.0
// Training in tf32 and bf16 against training in fp32, on the CUDA device.
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

constexpr Tolerance kBf16Tolerance{8e-3, 0};

/// The products alone are rounded, or all that is stored; what is launched is the same.
TEST_F(Precisions, FollowTheCurveOfFp32) {
  for (const TrainerOptions& options : models()) {
    const int steps = options.model.encoder.empty() ? 50 : 20;
    const Result full = train({"cuda", 1}, options, steps);
    for (Precision p : {Precision::kTf32, Precision::kBf16}) {
      SCOPED_TRACE(name_of_model(options) + " " + name_of(p));
      const Result rounded = train({"cuda", 1}, in(p, options), steps);
      EXPECT_NE(rounded.values, full.values);
      EXPECT_EQ(rounded.nodes, full.nodes) << "no launch for the shadows";
      expect_close(objective(rounded), objective(full), p == Precision::kTf32 ? kTf32Tolerance : kBf16Tolerance);
    }
  }
}

TEST_F(Precisions, ACapturedStepHasTheBitsOfAnEagerOne) {
  for (const TrainerOptions& options : models()) {
    for (Precision p : {Precision::kTf32, Precision::kBf16}) {
      SCOPED_TRACE(name_of_model(options) + " " + name_of(p));
      const Result eager = train({"cuda", 1, false}, in(p, options), 6);
      const Result captured = train({"cuda", 1, true}, in(p, options), 6);
      EXPECT_GT(captured.nodes, 0);
      expect_same_bits(captured.values, eager.values);
      EXPECT_EQ(captured.reconstruction, eager.reconstruction);
    }
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

/// Everything else that a model may be made of: its loss falls as it does in fp32.
TEST_F(Precisions, Bf16TrainsEveryModel) {
  std::vector<TrainerOptions> list(7, options_with(OptimizerKind::kAdam));
  list[0].model.likelihood = LikelihoodKind::kGaussian;
  list[0].model.learned_sigma = true;
  list[1].model.likelihood = LikelihoodKind::kGaussian;
  list[1].model.optimal_sigma = true;
  list[2].model.likelihood = LikelihoodKind::kLogistic;
  list[3].model.tied_weights = true;
  list[3].model.activation = Activation::kGelu;
  list[3].samples = 3;
  list[4].model.kind = ModelKind::kAutoencoder;
  list[4].corruption = {CorruptionKind::kMask, 0.25};
  list[5].model.hidden.clear();
  list[5].model.encoder = "conv 6 3; max-pool 2; residual 4";
  list[5].model.decoder = "conv 6 3; upsample 2; conv 1 3";
  list[5].model.kind = ModelKind::kAutoencoder;
  list[5].batch.batch = 4;
  list[6].micro_batches = 2;
  list[6].batch.binarize = Binarization::kDynamic;
  for (size_t i = 0; i < list.size(); ++i) {
    SCOPED_TRACE(i);
    const Result full = train({"cuda", 1}, list[i], 20), narrow = train({"cuda", 1}, in(Precision::kBf16, list[i]), 20);
    EXPECT_EQ(narrow.nodes, full.nodes);
    expect_close(narrow.reconstruction, full.reconstruction, {2e-2, 1}, "reconstruction");
  }
}

/// The quantiser computes in float, between an encoder and a decoder in bf16.
TEST_F(Precisions, Bf16TrainsAVqVae) {
  for (const ModelConfig& model : {small_vqvae(), plain(small_vqvae())}) {
    TrainerOptions options = vqvae_trainer_options(model);
    const Result full = train({"cuda", 1}, options, 6), narrow = train({"cuda", 1}, in(Precision::kBf16, options), 6);
    EXPECT_EQ(narrow.nodes, full.nodes + 4) << "two casts, forward and backward";
    expect_close(narrow.reconstruction, full.reconstruction, {5e-2, 0});
  }
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
