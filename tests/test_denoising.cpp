// SPDX-License-Identifier: Apache-2.0
// Denoising: the encoder sees noise, the loss does not.
#include <gtest/gtest.h>

#include "models/autoencoder.h"
#include "models/denoising.h"
#include "models/evaluation.h"
#include "models/vae.h"
#include "tests/model_fixture.h"
#include "tests/small_data.h"

namespace hourglass::test {
namespace {

TEST(denoising, corruptions_are_read_or_refused) {
  EXPECT_EQ(parse_corruption("--corrupt", "none").amount, 0);
  const Corruption c = parse_corruption("--corrupt", "salt-pepper:0.1");
  EXPECT_EQ(c.kind, CorruptionKind::kSaltPepper);
  EXPECT_EQ(c.amount, 0.1);
  EXPECT_EQ(parse_corruption("--corrupt", "gaussian:2").amount, 2);
  for (const char* text : {"gaussian", "gaussian:", "gaussian:-1", "gaussian:nan", "gaussian:1x", "mask:1.5", "mask:0",
                           "blur:1", ":1", ""}) {
    expect_error([&] { parse_corruption("--corrupt", text); }, Exit::kUsage, {"--corrupt", "gaussian:SIGMA", text});
  }
}

ModelConfig small(ModelKind kind) {
  ModelConfig c;
  c.kind = kind;
  c.height = 3;
  c.width = 2;
  c.hidden = {5};
  c.latent = 2;
  return c;
}

/// The objective of the noisy batch is that of a decoder's output for noisy images, scored against the clean ones.
TEST(denoising, the_encoder_sees_noise_and_the_loss_clean_images) {
  for (ModelKind kind : {ModelKind::kAutoencoder, ModelKind::kVae}) {
    ModelFixture f(small(kind));
    f.restart();
    const Batch noisy = corrupt_batch(f.tape, f.batch(), {CorruptionKind::kMask, 0.5});
    ASSERT_TRUE(noisy.corrupted);
    EXPECT_NE(doubles(noisy.corrupted), doubles(noisy.x));
    Var y;
    if (kind == ModelKind::kVae) {
      Noise noise = noisy.noise;
      noise.stream = stream_id("train/latent");
      y = dynamic_cast<const Vae&>(*f.model).forward(f.tape, noisy.corrupted, noise).y;
    } else {
      y = dynamic_cast<const Autoencoder&>(*f.model).forward(f.tape, noisy.corrupted).y;
    }
    const double want = mean(f.tape, f.model->likelihood().nll_per_sample(f.tape, y, noisy.x)).as<double>()[0];
    f.differentiate(noisy);
    EXPECT_NEAR(f.value(f.reconstruction), want, 1e-12 * std::abs(want));

    f.restart();
    const Batch again = corrupt_batch(f.tape, f.batch(), {CorruptionKind::kMask, 0.5});
    const EvaluationTerms terms = f.model->evaluate(f.tape, again);
    f.restart();
    Batch clean = f.batch();
    const EvaluationTerms unlike = f.model->evaluate(f.tape, clean);
    EXPECT_NE(doubles(terms.posterior.mu), doubles(unlike.posterior.mu));
  }
}

TEST(denoising, no_corruption_is_the_batch_itself) {
  ModelFixture f(small(ModelKind::kAutoencoder));
  f.restart();
  const Batch batch = corrupt_batch(f.tape, f.batch(), {});
  EXPECT_FALSE(batch.corrupted);
  EXPECT_EQ(batch.input().data, batch.x.data);
}

/// Evaluation counts the noise it was given: with every pixel masked the noisy images are black.
TEST(denoising, evaluation_compares_with_the_noisy_images) {
  const SmallData data;
  Runtime runtime({.device = "cpu", .threads = 1});
  TrainerOptions options = small_trainer_options();
  options.corruption = {CorruptionKind::kGaussian, 0.5};
  Trainer trainer(runtime, data.store(), data.split, options);
  runtime.arena().reserve(runtime.ctx(), std::max<size_t>(trainer.bytes(), 1 << 24));
  trainer.run(200);
  const auto evaluate = [&](const Corruption& corruption, int batch) {
    EvaluationOptions e;
    e.corruption = corruption;
    e.batch = batch;
    return Evaluator(runtime, trainer.model(), data.store(), data.split, e).run();
  };
  double black = 0;
  for (size_t i = 0; i < data.split.size(); ++i) {
    double square = 0;
    for (int d = 0; d < data.columns; ++d) {
      const double x = data.bytes[i * static_cast<size_t>(data.columns) + static_cast<size_t>(d)] / 255.0;
      square += x * x;
    }
    black -= 10 * std::log10(square / data.columns) / static_cast<double>(data.split.size());
  }
  EXPECT_NEAR(*evaluate({CorruptionKind::kMask, 1}, 64).noisy_psnr, black, 1e-5);
  EXPECT_FALSE(evaluate({}, 64).noisy_psnr.has_value());
  // A trained model undoes some of its noise, and the noise belongs to the image, not to the batch.
  const Evaluation gaussian = evaluate(options.corruption, 64);
  EXPECT_GT(gaussian.psnr, *gaussian.noisy_psnr + 1);
  EXPECT_NEAR(*gaussian.noisy_psnr, *evaluate(options.corruption, 7).noisy_psnr, 1e-9);
}

}  // namespace
}  // namespace hourglass::test
