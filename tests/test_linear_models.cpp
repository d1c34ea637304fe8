// SPDX-License-Identifier: Apache-2.0
// Linear models, whose answers are known: a linear-Gaussian VAE has a log-likelihood in closed form, and a linear
// autoencoder spans the principal subspace.
#include <cmath>
#include <numbers>
#include <numeric>

#include "models/evaluation.h"
#include "models/trainer.h"
#include "tests/model_fixture.h"

namespace hourglass::test {
namespace {

using Values = std::vector<double>;

// ---------------------------------------------------------------- a linear-Gaussian VAE

constexpr int kImages = 16, kPixels = 6;
constexpr double kSigma = 0.6;
// The decoder z -> W z + b. The columns of W are orthogonal, so that the exact posterior is diagonal.
const Values kColumns[2] = {{0.9, 0.9, 0.9, 0, 0, 0.3}, {0.5, -0.5, 0, 0.7, -0.2, 0}};
const Values kOffset{0.1, -0.2, 0.3, 0, 0.5, 0.4};

double dot(const Values& a, const Values& b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); }

/// log N(residual; 0, covariance) by Cholesky's factor.
double log_normal(Values covariance, Values residual) {
  const size_t n = residual.size();
  double log_density = -0.5 * static_cast<double>(n) * std::log(2 * std::numbers::pi);
  for (size_t i = 0; i < n; ++i) {
    double* row = covariance.data() + i * n;
    for (size_t j = 0; j <= i; ++j) {
      const double* other = covariance.data() + j * n;
      const double rest = row[j] - std::inner_product(row, row + j, other, 0.0);
      row[j] = i == j ? std::sqrt(rest) : rest / other[j];
    }
    residual[i] = (residual[i] - std::inner_product(row, row + i, residual.begin(), 0.0)) / row[i];
    log_density -= 0.5 * residual[i] * residual[i] + std::log(row[i]);
  }
  return log_density;
}

struct LinearGaussian : ModelFixture {
  LinearGaussian() : ModelFixture(config()), images(random_values<float>(kImages * kPixels, 9, -1.5, 2)) {
    std::iota(split.begin(), split.end(), 0);
    Values w(2 * kPixels), covariance(kPixels * kPixels);
    for (size_t i = 0; i < kPixels; ++i) {
      for (size_t d = 0; d < 2; ++d) w[2 * i + d] = kColumns[d][i];
      for (size_t j = 0; j < kPixels; ++j) {
        covariance[i * kPixels + j] =
            kColumns[0][i] * kColumns[0][j] + kColumns[1][i] * kColumns[1][j] + (i == j) * kSigma * kSigma;
      }
    }
    assign(find(parameters, "decoder.0.weight"), w);
    assign(find(parameters, "decoder.0.bias"), kOffset);
    for (size_t n = 0; n < kImages; ++n) log_likelihood += log_normal(covariance, residual(n)) / kImages;
    set_posterior(0, 0);
  }
  static ModelConfig config() {
    ModelConfig c;
    c.height = 2;
    c.width = 3;
    c.hidden = {};
    c.latent = 2;
    c.likelihood = LikelihoodKind::kGaussian;
    c.sigma = kSigma;
    return c;
  }
  Values residual(size_t n) const {
    Values r(kPixels);
    for (size_t i = 0; i < kPixels; ++i) r[i] = images[n * kPixels + i] - kOffset[i];
    return r;
  }
  double posterior_variance(size_t d) const { return 1 / (1 + dot(kColumns[d], kColumns[d]) / (kSigma * kSigma)); }

  /// q = N(mu* + shift, s* exp(widening)) with the exact posterior's mu* = s* w.(x - b) / sigma^2 and variance s*.
  void set_posterior(double shift, double widening) {
    Values weight(4 * kPixels), bias(4);
    for (size_t d = 0; d < 2; ++d) {
      const double scale = posterior_variance(d) / (kSigma * kSigma);
      for (size_t i = 0; i < kPixels; ++i) weight[d * kPixels + i] = scale * kColumns[d][i];
      bias[d] = shift - scale * dot(kColumns[d], kOffset);
      bias[2 + d] = std::log(posterior_variance(d)) + widening;
    }
    assign(find(parameters, "head.weight"), weight);
    assign(find(parameters, "head.bias"), bias);
  }
  Evaluation evaluate(uint32_t seed, int iwae_samples = 0) {
    EvaluationOptions e;
    e.seed = seed;
    e.iwae_samples = iwae_samples;
    return Evaluator(runtime, *model, {images.data(), Dtype::kF32, kImages, kPixels}, split, e, Dtype::kF64).run();
  }
  /// log p(x) - ELBO over 400 seeds of the noise, within five standard errors of `expected`.
  void expect_gap(double expected) {
    constexpr int kSeeds = 400;
    double sum = 0, squares = 0;
    for (uint32_t seed = 0; seed < kSeeds; ++seed) {
      const double gap = log_likelihood - evaluate(seed).elbo();
      sum += gap;
      squares += gap * gap;
    }
    const double mean = sum / kSeeds, error = std::sqrt((squares / kSeeds - mean * mean) / (kSeeds - 1));
    EXPECT_LT(std::abs(mean - expected), 5 * error) << mean << " expected " << expected;
    EXPECT_LT(error, 0.03);
  }

  std::vector<float> images;
  std::vector<int32_t> split = std::vector<int32_t>(kImages);
  double log_likelihood = 0;  ///< mean over images, exact
};

TEST(linear_gaussian_vae, elbo_of_the_exact_posterior_is_the_log_likelihood) {
  LinearGaussian vae;
  vae.expect_gap(0);
}

/// All importance weights are p(x) itself: no Monte Carlo error for any number of samples.
TEST(linear_gaussian_vae, importance_bound_of_the_exact_posterior_is_the_log_likelihood) {
  LinearGaussian vae;
  for (int samples : {1, 3, 64, 100}) {
    EXPECT_NEAR(vae.evaluate(7, samples).iwae_bound.value(), vae.log_likelihood, 1e-11) << samples << " samples";
  }
}

TEST(linear_gaussian_vae, kl_is_the_closed_form) {
  LinearGaussian vae;
  double kl = 0;
  for (size_t n = 0; n < kImages; ++n) {
    for (size_t d = 0; d < 2; ++d) {
      const double s = vae.posterior_variance(d), mu = s / (kSigma * kSigma) * dot(kColumns[d], vae.residual(n));
      kl += 0.5 * (s + mu * mu - 1 - std::log(s)) / kImages;
    }
  }
  EXPECT_NEAR(vae.evaluate(0).kl, kl, 1e-12);
}

/// log p(x) - ELBO = KL(q || exact posterior); importance samples close it.
TEST(linear_gaussian_vae, another_posterior_loses_its_kl_and_importance_sampling_wins_it_back) {
  LinearGaussian vae;
  constexpr double kShift = 0.3, kWidening = 0.5;
  vae.set_posterior(kShift, kWidening);
  double loss = 0;
  for (size_t d = 0; d < 2; ++d) {
    loss += 0.5 * (std::exp(kWidening) + kShift * kShift / vae.posterior_variance(d) - 1 - kWidening);
  }
  vae.expect_gap(loss);
  const double few = vae.evaluate(0, 4).iwae_bound.value(), many = vae.evaluate(0, 5000).iwae_bound.value();
  EXPECT_LT(vae.log_likelihood - few, loss);
  EXPECT_LT(vae.log_likelihood - many, vae.log_likelihood - few);
  EXPECT_NEAR(many, vae.log_likelihood, 0.01);
}

// ---------------------------------------------------------------- a linear autoencoder

constexpr int kSide = 4, kDim = kSide * kSide, kSamples = 200, kCode = 3;

/// Points near a 5-dimensional subspace with decaying spread, off the origin.
std::vector<float> points() {
  const double spread[] = {1.5, 1.1, 0.8, 0.35, 0.2};
  const Values directions = random_values<double>(5 * kDim, 3), coordinates = random_values<double>(5 * kSamples, 4),
               grain = random_values<double>(kSamples * kDim, 5, -0.1, 0.1);
  std::vector<float> x(kSamples * kDim);
  for (size_t n = 0; n < kSamples; ++n) {
    for (size_t i = 0; i < kDim; ++i) {
      double value = 0.4 + grain[n * kDim + i];
      for (size_t k = 0; k < 5; ++k) value += spread[k] * coordinates[n * 5 + k] * directions[k * kDim + i];
      x[n * kDim + i] = static_cast<float>(value);
    }
  }
  return x;
}

/// Makes `v` orthogonal to the unit vectors of `basis` and of length 1.
void orthonormalise(Values& v, const std::vector<Values>& basis) {
  for (int twice = 0; twice < 2; ++twice) {
    for (const Values& b : basis) {
      const double along = dot(v, b);
      for (size_t i = 0; i < v.size(); ++i) v[i] -= along * b[i];
    }
  }
  const double length = std::sqrt(dot(v, v));
  for (double& value : v) value /= length;
}

struct Pca {
  std::vector<Values> axes;  ///< the first kCode, by power iteration
  double mse = 0;            ///< of the projection, mean over values
};

Pca pca(const std::vector<float>& x) {
  Values mean(kDim), covariance(kDim * kDim);
  for (size_t k = 0; k < x.size(); ++k) mean[k % kDim] += x[k] / kSamples;
  double trace = 0;
  for (size_t n = 0; n < kSamples; ++n) {
    for (size_t i = 0; i < kDim; ++i) {
      for (size_t j = 0; j < kDim; ++j) {
        const double product = (x[n * kDim + i] - mean[i]) * (x[n * kDim + j] - mean[j]) / kSamples;
        covariance[i * kDim + j] += product;
        trace += i == j ? product : 0;
      }
    }
  }
  Pca result;
  for (int k = 0; k < kCode; ++k) {
    Values axis = random_values<double>(kDim, 6);
    double eigenvalue = 0;
    for (int iteration = 0; iteration < 3000; ++iteration) {
      orthonormalise(axis, result.axes);
      Values next(kDim);
      for (size_t i = 0; i < kDim; ++i) {
        next[i] =
            std::inner_product(axis.begin(), axis.end(), covariance.begin() + static_cast<int64_t>(i) * kDim, 0.0);
      }
      eigenvalue = dot(axis, next);
      axis = next;
    }
    orthonormalise(axis, result.axes);
    result.axes.push_back(axis);
    trace -= eigenvalue;
  }
  result.mse = trace / kDim;
  return result;
}

/// Sine of the largest principal angle between the column space of w (kDim, kCode) and the axes, at most.
double largest_sine(const Values& w, const std::vector<Values>& axes) {
  std::vector<Values> columns;
  double squares = 0;
  for (size_t c = 0; c < kCode; ++c) {
    Values column(kDim);
    for (size_t i = 0; i < kDim; ++i) column[i] = w[i * kCode + c];
    orthonormalise(column, columns);
    columns.push_back(column);
    squares += 1;
    for (const Values& axis : axes) squares -= std::pow(dot(column, axis), 2);
  }
  return std::sqrt(std::max(0.0, squares));
}

TEST(linear_autoencoder, spans_the_principal_subspace) {
  const std::vector<float> x = points();
  const Pca expected = pca(x);
  std::vector<int32_t> split(kSamples);
  std::iota(split.begin(), split.end(), 0);
  const SampleStore store{x.data(), Dtype::kF32, kSamples, kDim};
  for (bool tied : {false, true}) {
    SCOPED_TRACE(tied ? "tied" : "untied");
    TrainerOptions options;
    options.model.kind = ModelKind::kAutoencoder;
    options.model.height = options.model.width = kSide;
    options.model.hidden = {};
    options.model.latent = kCode;
    options.model.likelihood = LikelihoodKind::kGaussian;
    options.model.tied_weights = tied;
    options.batch.batch = kSamples;
    options.lr = {LrScheduleKind::kCosine, 0.02, 0, 3000};
    Runtime runtime({"cpu", 1});
    Trainer trainer(runtime, store, split, options);
    Evaluator evaluator(runtime, trainer.model(), store, split, {});
    EXPECT_GT(evaluator.run().mse, 2 * expected.mse);
    trainer.run(3000);
    const double mse = evaluator.run().mse;
    EXPECT_LT(mse, 1.001 * expected.mse);
    EXPECT_GT(mse, 0.999 * expected.mse) << "no rank-3 map is better than PCA";
    // Tied, the decoder's matrix is the encoder's transposed: its columns are the encoder's rows.
    Values w = doubles(find(trainer.parameters(), tied ? "encoder.0.weight" : "decoder.0.weight"));
    if (tied) {
      const Values rows = w;
      for (size_t i = 0; i < kDim; ++i) {
        for (size_t c = 0; c < kCode; ++c) w[i * kCode + c] = rows[c * kDim + i];
      }
    }
    EXPECT_LT(largest_sine(w, expected.axes), 1e-2);
  }
}

}  // namespace
}  // namespace hourglass::test
