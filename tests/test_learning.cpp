// SPDX-License-Identifier: Apache-2.0
// Whether training reaches what PyTorch reaches, on Fashion-MNIST. The bounds are those of docs/experiments.md; minutes
// of training, so these tests carry the label "slow".
#include <gtest/gtest.h>

#include "engine/dataset.h"
#include "models/evaluation.h"
#include "models/trainer.h"

namespace hourglass::test {
namespace {

constexpr int64_t kEpoch = 468;  // steps of 128 images

class learning : public testing::Test {
 protected:
  void SetUp() override {
    try {
      data_ = load_dataset({});
    } catch (const Error& error) {
      GTEST_SKIP() << "needs Fashion-MNIST (package dataset-fashion-mnist): " << error.what();
    }
  }

  Evaluation train(Runtime& runtime, const TrainerOptions& options, int64_t steps, int iwae_samples = 0) const {
    Trainer trainer(runtime, data_.store(), data_.train, options);
    trainer.run(steps > 0 ? steps : 10 * trainer.steps_per_epoch());
    EvaluationOptions evaluation;
    evaluation.binarize = options.batch.binarize;
    evaluation.iwae_samples = iwae_samples;
    return Evaluator(runtime, trainer.model(), data_.store(), data_.test, evaluation).run();
  }

  Dataset data_;
};

// PyTorch, the same network, data and schedule: 244.4 and 243.9 for two seeds.
TEST_F(learning, vae_reaches_pytorchs_negative_elbo) {
  Runtime runtime;
  double sum = 0;
  for (uint32_t seed : {0u, 1u, 2u}) {
    TrainerOptions options;  // 784-400-20, relu, Adam 1e-3, batch 128
    options.batch.seed = seed;
    const Evaluation e = train(runtime, options, 0);
    RecordProperty("negative_elbo_seed_" + std::to_string(seed), std::to_string(e.neg_elbo()));
    EXPECT_EQ(e.n, 10000);
    sum += e.neg_elbo();
  }
  EXPECT_LE(sum / 3, 245.4);
  EXPECT_GE(sum / 3, 242.8) << "better than PyTorch by more than the seeds explain: find out why before believing it";
}

// PyTorch: BCE 0.2913, MSE 0.0152.
TEST_F(learning, autoencoder_reaches_pytorchs_cross_entropy) {
  Runtime runtime;
  TrainerOptions options;
  options.model.kind = ModelKind::kAutoencoder;
  options.model.hidden = {};
  options.model.latent = 32;
  options.model.code_activation = Activation::kRelu;
  const Evaluation e = train(runtime, options, 0);
  EXPECT_LE(e.bce.value(), 0.2933);
  EXPECT_LE(e.mse, 0.0158);
}

// PyTorch: 245.4.
TEST_F(learning, conv_vae_reaches_pytorchs_negative_elbo) {
  Runtime runtime;
  TrainerOptions options;
  options.model.encoder = "conv 32 4 2; conv 64 4 2";
  const Evaluation e = train(runtime, options, 5 * kEpoch);
  RecordProperty("negative_elbo", std::to_string(e.neg_elbo()));
  EXPECT_LE(e.neg_elbo(), 246.6);
}

// The lecture notes' network, preset keras-conv. PyTorch: 0.2644.
TEST_F(learning, conv_autoencoder_reaches_pytorchs_cross_entropy) {
  Runtime runtime;
  TrainerOptions options;
  options.model.kind = ModelKind::kAutoencoder;
  options.model.encoder = "conv 32 3; max-pool 2; conv 32 3; max-pool 2";
  options.model.decoder = "conv 32 3; upsample 2; conv 32 3; upsample 2; conv 1 3";
  options.model.spatial_code = true;
  options.model.latent = options.model.trunk_size();
  const Evaluation e = train(runtime, options, 3 * kEpoch);
  RecordProperty("bce", std::to_string(e.bce.value()));
  EXPECT_LE(e.bce.value(), 0.2664);
}

/// `train vqvae` on 28 x 28 images.
TrainerOptions vqvae_options() {
  TrainerOptions options;
  ModelConfig& c = options.model;
  c.kind = ModelKind::kVqVae;
  c.likelihood = LikelihoodKind::kGaussian;
  c.encoder = "conv 64 4 2; conv 64 4 2; residual 32; residual 32";
  c.spatial_code = true;
  c.latent = static_cast<int>(c.code_grid().elements());
  return options;
}

// One epoch; docs/experiments.md has the five after which PyTorch's MSE with plain losses is 0.0071. Seeds 0 and 1 come
// to 0.0064 and 0.0072 with perplexities of 382 and 375.
TEST_F(learning, vqvae_keeps_its_codebook_alive) {
  Runtime runtime;
  const Evaluation e = train(runtime, vqvae_options(), kEpoch);
  RecordProperty("mse", std::to_string(e.mse));
  EXPECT_LE(e.mse, 0.0073);
  EXPECT_GE(e.codes->perplexity(), 256);
}

// One epoch again: MSE 0.0130, perplexity 17. After five PyTorch's is at 0.0071 and 57.
TEST_F(learning, plain_vqvae_learns_with_few_codes) {
  Runtime runtime;
  TrainerOptions options = vqvae_options();
  QuantizerConfig& q = options.model.quantizer;
  q.ema = q.kmeans = false;
  q.restart_threshold = 0;
  const Evaluation e = train(runtime, options, kEpoch);
  RecordProperty("mse", std::to_string(e.mse));
  EXPECT_LE(e.mse, 0.0145);
  EXPECT_LT(e.codes->perplexity(), 128) << "the plain form is not known to use so many codes";
}

// The first 2,000 of the 100,000 steps of the VAE of arXiv 2506.07687. The full run is docs/experiments.md's.
TEST_F(learning, vae_of_2506_07687_is_on_its_way_after_2000_steps) {
  Runtime runtime;
  TrainerOptions options;
  options.model.hidden = {200, 200};
  options.model.latent = 50;
  options.model.activation = Activation::kTanh;
  options.batch.batch = 80;
  options.batch.binarize = Binarization::kDynamic;
  options.lr.lr = 3e-4;
  data_.test.resize(1000);
  const Evaluation e = train(runtime, options, 2000, 50);
  RecordProperty("iwae_bound", std::to_string(e.iwae_bound.value()));
  EXPECT_GT(e.iwae_bound.value(), -262.5);
  EXPECT_GT(e.iwae_bound.value(), e.elbo());
}

}  // namespace
}  // namespace hourglass::test
