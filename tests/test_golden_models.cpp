// SPDX-License-Identifier: Apache-2.0
// Whole models against PyTorch (tests/golden/README.md): a VAE's loss and gradients, and ten steps of the trainer, in
// double and in float.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "kernels/base/permutation.h"
#include "models/trainer.h"
#include "models/vae.h"
#include "tests/golden/golden.h"
#include "tests/model_fixture.h"

namespace hourglass::test {
namespace {

using Values = std::vector<double>;

constexpr uint32_t kSeed = 3;  // of the golden noise

/// PyTorch's name: there the head is the encoder's last layer.
std::string golden_name(const std::string& name, size_t hidden_layers) {
  return name.rfind("head.", 0) == 0 ? "encoder." + std::to_string(hidden_layers) + name.substr(4) : name;
}

void load_start(Parameters& parameters, const Golden& golden, size_t hidden_layers) {
  for (const Parameter& p : parameters.all()) {
    assign(p, golden.values<double>("start/" + golden_name(p.name, hidden_layers)));
  }
}

/// Float results of a network whose longest sum has K terms.
Tolerance tolerance_of(Dtype dtype, int64_t K) { return dtype == Dtype::kF64 ? fp64_tolerance() : fp32_tolerance(K); }

TEST(golden_models, loss_and_gradients_of_a_vae) {
  const Golden golden("vae_gradients");
  for (Dtype dtype : {Dtype::kF64, Dtype::kF32}) {
    SCOPED_TRACE(name_of(dtype));
    const Tolerance tolerance = tolerance_of(dtype, 784);
    ModelConfig config;  // 28 x 28, relu, Bernoulli
    config.hidden = {32};
    config.latent = 8;
    ModelFixture f(config, dtype);
    load_start(f.parameters, golden, 1);
    const int64_t step = 4;
    Batch batch = f.batch_of(golden.values<double>("x"));
    batch.noise.seed = kSeed;
    batch.noise.step = &step;

    Noise noise = batch.noise;
    noise.stream = stream_id("train/latent");
    const Vae::Output out = dynamic_cast<const Vae&>(*f.model).forward(f.tape, batch.x, noise);
    expect_close(doubles(slice(f.tape, out.head, 0, 8)), golden.values<double>("mu"), tolerance, "mu");
    expect_close(doubles(slice(f.tape, out.head, 8, 8)), golden.values<double>("logvar"), tolerance, "logvar");
    expect_close(doubles(out.latent.z), golden.values<double>("z"), tolerance, "z");
    expect_close(doubles(out.y), golden.values<double>("y"), tolerance, "y");

    f.differentiate(batch);
    const Values reconstruction = golden.values<double>("reconstruction"), kl = golden.values<double>("kl");
    expect_close(Values{f.value(f.reconstruction)}, reconstruction, tolerance, "reconstruction");
    expect_close(Values{f.value(f.kl)}, kl, tolerance, "kl");
    EXPECT_DOUBLE_EQ(reconstruction[0] + kl[0], golden.values<double>("loss")[0]);
    for (const Parameter& p : f.parameters.all()) {
      expect_close(gradient_of(p), golden.values<double>("gradient/" + golden_name(p.name, 1)), tolerance, p.name);
    }
  }
}

/// Ten steps of the trainer on the batches of a golden file, which it gets through the shuffled order of an epoch: the
/// split names, for each sample that the permutation picks, the row that stands at its place in the file.
void check_training(const std::string& file, TrainerOptions options) {
  const Golden golden(file);
  const int steps = golden.extent("x", 0), batch = golden.extent("x", 1), pixels = golden.extent("x", 2);
  const std::vector<float> x = golden.values<float>("x");
  const Values log = golden.values<double>("log");
  const uint32_t rows = static_cast<uint32_t>(steps * batch);
  std::vector<int32_t> split(rows);
  for (uint32_t row = 0; row < rows; ++row) split[permute(row, rows, kSeed, 0)] = static_cast<int32_t>(row);
  options.model.height = 1;
  options.model.width = pixels;
  options.batch.batch = batch;
  options.batch.seed = kSeed;
  options.lr.lr = 1e-2;
  for (Dtype dtype : {Dtype::kF64, Dtype::kF32}) {
    SCOPED_TRACE(file + ", " + name_of(dtype));
    // Adam divides by gradients, the smallest of which hold few digits.
    const Tolerance tolerance = dtype == Dtype::kF64 ? Tolerance{1e-10} : Tolerance{1e-5};
    options.dtype = dtype;
    Runtime runtime({"cpu", 1});
    Trainer trainer(runtime, {x.data(), Dtype::kF32, rows, pixels}, split, options);
    const size_t layers = options.model.hidden.size();
    load_start(trainer.parameters(), golden, layers);
    for (int step = 1; step <= steps; ++step) {
      trainer.run(1);
      const LogPoint point = trainer.take_log();
      const auto expected = log.begin() + 3 * (step - 1);
      expect_close(Values{point.reconstruction, point.kl, point.gradient_norm}, Values(expected, expected + 3),
                   tolerance, "log of step " + std::to_string(step));
      if (step != 1 && step != steps) continue;
      const std::string after = "after_" + std::to_string(step) + "/";
      for (const Parameter& p : trainer.parameters().all()) {
        const std::string name = after + golden_name(p.name, layers);
        expect_close(doubles(p), golden.values<double>(name), tolerance, name);
      }
    }
  }
}

TEST(golden_models, ten_steps_of_a_bernoulli_vae_with_adam) {
  TrainerOptions options;
  options.model.hidden = {6};
  options.model.latent = 3;
  check_training("vae_training_bernoulli", options);
}

TEST(golden_models, ten_steps_of_a_gaussian_vae_with_all_options) {
  TrainerOptions options;
  options.model.hidden = {7, 5};
  options.model.latent = 3;
  options.model.activation = Activation::kTanh;
  options.model.likelihood = LikelihoodKind::kGaussian;
  options.model.learned_sigma = true;
  options.samples = 2;
  options.beta = 0.5;
  options.optimizer.kind = OptimizerKind::kAdamW;
  options.optimizer.weight_decay = 0.1;
  options.optimizer.clip_norm = 2;
  check_training("vae_training_gaussian", options);
}

}  // namespace
}  // namespace hourglass::test
