// SPDX-License-Identifier: Apache-2.0
// Loss conventions (docs/loss-conventions.md). With S the squared error summed over pixels, the objectives A S + B KL
// of the literature are B times that of a Gaussian VAE of observation variance eta = B / (2 A), up to a constant:
//
//   A S + B KL = B (neg_elbo - D/2 log(2 pi eta))
//
// and neither the batch nor the number of draws changes what is trained.
#include <cmath>
#include <numbers>

#include "models/vae.h"
#include "tests/model_fixture.h"

namespace hourglass::test {
namespace {

using Gradients = std::vector<std::vector<double>>;

ModelConfig gaussian_config(double sigma) {
  ModelConfig c;
  c.height = 3;
  c.width = 2;
  c.hidden = {5};
  c.latent = 2;
  c.activation = Activation::kTanh;
  c.likelihood = LikelihoodKind::kGaussian;
  c.sigma = sigma;
  return c;
}

Gradients scaled(Gradients gradients, double factor) {
  for (auto& gradient : gradients) {
    for (double& g : gradient) g *= factor;
  }
  return gradients;
}

// ---------------------------------------------------------------- the conversion table

enum class Pixels { kSum, kMean };

/// An objective as its source writes it: factor * (sum or mean of squared errors) + weight * KL.
struct Convention {
  const char* source;
  int height, width, channels;
  Pixels pixels;
  double factor, weight;
  double eta;  ///< the observation variance it implies
};

const Convention kConventions[] = {
    {"S / (2 eta) + KL, eta 0.3", 3, 2, 1, Pixels::kSum, 1 / (2 * 0.3), 1, 0.3},
    {"S + KL", 3, 2, 1, Pixels::kSum, 1, 1, 0.5},
    {"S / 2 + KL; pythae", 3, 2, 1, Pixels::kSum, 0.5, 1, 1},
    {"S + lambda KL, lambda = 2 c, c 0.35", 3, 2, 1, Pixels::kSum, 1, 0.7, 0.35},
    {"mean + .01 KL, D 784", 28, 28, 1, Pixels::kMean, 1, 0.01, 3.92},
    {"mean + .001 KL, D 784", 28, 28, 1, Pixels::kMean, 1, 0.001, 0.392},
    {"mean + .0001 KL, D 784", 28, 28, 1, Pixels::kMean, 1, 0.0001, 0.0392},
    {"S + .01 KL", 28, 28, 1, Pixels::kSum, 1, 0.01, 0.005},
    {"S + .001 KL", 28, 28, 1, Pixels::kSum, 1, 0.001, 0.0005},
    {"S + .0001 KL", 28, 28, 1, Pixels::kSum, 1, 0.0001, 0.00005},
    {"PyTorch-VAE, training", 64, 64, 3, Pixels::kMean, 1, 0.00025, 1.536},
    {"PyTorch-VAE, validation", 64, 64, 3, Pixels::kMean, 1, 1, 6144},
};

/// The objective as written, of unfused ops.
Var written(ModelFixture& f, const Convention& c, const Batch& batch) {
  Noise noise = batch.noise;
  noise.stream = stream_id("train/latent");
  const Vae::Output out = dynamic_cast<const Vae&>(*f.model).forward(f.tape, batch.x, noise);
  const Var difference = sub(f.tape, out.y, batch.x), squares = mul(f.tape, difference, difference);
  const Var pixels = c.pixels == Pixels::kMean ? mean(f.tape, squares) : mean(f.tape, row_sum(f.tape, squares));
  const Var mu = slice(f.tape, out.head, 0, 2), logvar = slice(f.tape, out.head, 2, 2);
  return add(f.tape, scale(f.tape, pixels, c.factor),
             scale(f.tape, mean(f.tape, gaussian_kl_per_sample(f.tape, mu, logvar)), c.weight));
}

TEST(loss_conventions, every_row_of_the_conversion_table) {
  for (const Convention& c : kConventions) {
    ModelConfig config = gaussian_config(std::sqrt(c.eta));
    config.height = c.height;
    config.width = c.width;
    config.channels = c.channels;
    ModelFixture f(config);
    for (int rows : {1, 4}) {  // of a batch: no effect on the conversion
      SCOPED_TRACE(std::string(c.source) + ", batch " + std::to_string(rows));
      f.restart();
      f.differentiate(f.batch(rows));
      const double neg_elbo = f.value(f.reconstruction) + f.value(f.kl);
      const Gradients ours = f.gradients();
      f.restart();
      const Var objective = written(f, c, f.batch(rows));
      f.tape.backward({{objective, 1.0}});
      const double constant = 0.5 * config.pixels() * std::log(2 * std::numbers::pi * c.eta);
      const double converted = c.weight * (neg_elbo - constant);
      EXPECT_NEAR(objective.as<double>()[0], converted, 1e-11 * c.weight * (std::abs(neg_elbo) + std::abs(constant)));
      f.expect_gradients(scaled(ours, c.weight), Tolerance{1e-10});
    }
  }
}

/// The same number seen two ways: sigma 1 with a KL weight eta, and variance eta with weight 1.
TEST(loss_conventions, a_weight_of_the_kl_is_a_variance) {
  constexpr double kEta = 0.2;
  ModelFixture weighted(gaussian_config(1)), narrow(gaussian_config(std::sqrt(kEta)));
  weighted.differentiate(weighted.batch(), 1, kEta);
  narrow.differentiate(narrow.batch());
  weighted.expect_gradients(scaled(narrow.gradients(), kEta), Tolerance{1e-11});
}

// ---------------------------------------------------------------- the batch

std::vector<ModelConfig> configs() {
  ModelConfig learned = gaussian_config(0.7), bernoulli = learned, autoencoder = learned;
  learned.learned_sigma = true;
  bernoulli.likelihood = LikelihoodKind::kBernoulli;
  autoencoder.kind = ModelKind::kAutoencoder;
  return {learned, bernoulli, autoencoder};
}

/// A batch given twice over, the noise of both copies keyed by the original row, is the batch.
TEST(loss_conventions, repeating_a_batch_changes_nothing) {
  constexpr int32_t kRows[] = {0, 1, 2, 3, 0, 1, 2, 3};
  for (const ModelConfig& config : configs()) {
    for (int samples : {1, 3}) {
      ModelFixture f(config);
      const std::vector<double> x = doubles(f.batch(4).x);
      std::vector<double> twice = x;
      twice.insert(twice.end(), x.begin(), x.end());
      const auto run = [&](const std::vector<double>& images, const int32_t* rows) {
        f.restart();
        Batch batch = f.batch_of(images);
        batch.noise.rows = rows;
        f.differentiate(batch, samples, 0.4);
      };
      run(x, kRows);
      const double reconstruction = f.value(f.reconstruction), kl = f.value(f.kl);
      const Gradients once = f.gradients();
      run(twice, kRows);
      EXPECT_NEAR(f.value(f.reconstruction), reconstruction, 1e-12 * std::abs(reconstruction));
      EXPECT_NEAR(f.value(f.kl), kl, 1e-12 * kl);
      f.expect_gradients(once, fp64_tolerance());
      if (config.kind == ModelKind::kAutoencoder) continue;
      run(twice, nullptr);  // without the hook each copy has noise of its own
      EXPECT_GT(std::abs(f.value(f.reconstruction) - reconstruction), 1e-6);
    }
  }
}

/// N draws an image in one pass are the mean of N passes of one draw.
TEST(loss_conventions, several_draws_are_the_mean_of_single_ones) {
  constexpr int kDraws = 5;
  for (const ModelConfig& config : configs()) {
    ModelFixture f(config);
    double reconstruction = 0, kl = 0;
    Gradients gradients;
    for (int32_t draw = 0; draw < kDraws; ++draw) {
      f.restart();
      Batch batch = f.batch();
      batch.noise.first_draw = &draw;
      f.differentiate(batch, 1, 0.4);
      reconstruction += f.value(f.reconstruction) / kDraws;
      kl = f.value(f.kl);  // knows no draws
      const Gradients single = scaled(f.gradients(), 1.0 / kDraws);
      gradients.resize(single.size());
      for (size_t k = 0; k < single.size(); ++k) {
        gradients[k].resize(single[k].size());
        for (size_t i = 0; i < single[k].size(); ++i) gradients[k][i] += single[k][i];
      }
    }
    f.restart();
    f.differentiate(f.batch(), kDraws, 0.4);
    EXPECT_NEAR(f.value(f.reconstruction), reconstruction, 1e-12 * std::abs(reconstruction));
    EXPECT_NEAR(f.value(f.kl), kl, 1e-12 * kl);
    f.expect_gradients(gradients, Tolerance{1e-11});
  }
}

}  // namespace
}  // namespace hourglass::test
