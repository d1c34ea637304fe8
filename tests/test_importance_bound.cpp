// SPDX-License-Identifier: Apache-2.0
// The IWAE bound: its definition computed plainly, and how it lies between ELBO and log-likelihood.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/base/philox.h"
#include "models/evaluation.h"
#include "models/importance_bound.h"
#include "tests/model_fixture.h"
#include "tests/small_data.h"

namespace hourglass::test {
namespace {

constexpr int kLatent = 3, kPixels = 64;

/// A VAE in double after a few steps on 40 images: a last batch of 8 of 16. Trained with a small weight of the KL, its
/// posterior is narrow and its ELBO well below the log-likelihood.
struct Fitted {
  Fitted() : trainer(runtime, data.store(), data.split, options()) { trainer.run(300); }
  static TrainerOptions options() {
    TrainerOptions o = small_trainer_options();
    o.dtype = Dtype::kF64;
    o.beta = 0.1;
    return o;
  }
  Evaluation evaluate(int samples, uint32_t seed, const Corruption& corruption = {}) const {
    Runtime own({"cpu", 1});
    EvaluationOptions e;
    e.corruption = corruption;
    e.iwae_samples = samples;
    e.seed = seed;
    return Evaluator(own, trainer.model(), data.store(), data.split, e, Dtype::kF64).run();
  }

  SmallData data{40};
  Runtime runtime{RuntimeOptions{"cpu", 1}};
  Trainer trainer;
};

double log_normal(double x, double mean, double variance) {
  return -0.5 * (std::log(2 * std::numbers::pi * variance) + (x - mean) * (x - mean) / variance);
}

/// What the encoder sees of x, the first image of `first`.
Var seen(Tape& tape, const Var& x, int32_t first, uint32_t seed, const Corruption& corruption) {
  if (corruption.amount == 0) return x;
  Noise noise;
  noise.seed = seed;
  noise.stream = stream_id("corrupt");
  noise.first_row = first;
  return corrupt(tape, x, corruption, noise);
}

/// log (1/K) sum_k p(x | z_k) p(z_k) / q(z_k | what the encoder sees of x) of one image, term by term.
double log_mean_weight(const Fitted& fitted, Tape& tape, int32_t image, int samples, uint32_t seed,
                       const Corruption& corruption) {
  tape.rewind(Mode::kEvaluate);
  Var x = tape.constant({1, kPixels}, Dtype::kF64);
  for (int i = 0; i < kPixels; ++i) {
    x.as<double>()[i] = fitted.data.bytes[static_cast<size_t>(image * kPixels + i)] / 255.0;
  }
  const Model& model = fitted.trainer.model();
  const Posterior q = model.posterior(tape, seen(tape, x, image, seed, corruption));
  Noise noise;
  noise.seed = seed;
  noise.stream = stream_id("evaluate/importance");
  noise.first_row = image;
  noise.draws = samples;
  Var z = tape.constant({samples, kLatent}, Dtype::kF64);
  std::vector<double> log_weight(static_cast<size_t>(samples));
  for (int k = 0; k < samples; ++k) {
    for (int d = 0; d < kLatent; ++d) {
      const double mu = q.mu.as<double>()[d], variance = std::exp(q.logvar.as<double>()[d]);
      double& value = z.as<double>()[k * kLatent + d];
      value = mu + std::sqrt(variance) * normal<double>(noise, k, d);
      log_weight[static_cast<size_t>(k)] += log_normal(value, 0, 1) - log_normal(value, mu, variance);
    }
  }
  const Var y = model.decode(tape, z);
  for (int k = 0; k < samples; ++k) {
    for (int i = 0; i < kPixels; ++i) {
      const double p = 1 / (1 + std::exp(-y.as<double>()[k * kPixels + i])), pixel = x.as<double>()[i];
      log_weight[static_cast<size_t>(k)] += pixel * std::log(p) + (1 - pixel) * std::log(1 - p);
    }
  }
  const double largest = *std::max_element(log_weight.begin(), log_weight.end());
  double sum = 0;
  for (double w : log_weight) sum += std::exp(w - largest);
  return largest + std::log(sum / samples);
}

/// One chunk, exactly one, one and a rest, two and a rest: the streamed sum is the plain one, on the same draws. And of
/// a denoising VAE, whose encoder sees what it sees for the ELBO.
TEST(importance_bound, is_its_definition) {
  const Fitted fitted;
  Runtime runtime({"cpu", 1});
  runtime.arena().reserve(runtime.ctx(), size_t{8} << 20);
  Tape tape(runtime.ctx(), runtime.arena());
  const auto check = [&](int samples, const Corruption& corruption) {
    double expected = 0;
    for (int32_t image = 0; image < 40; ++image) {
      expected += log_mean_weight(fitted, tape, image, samples, 3, corruption) / 40;
    }
    const Evaluation e = fitted.evaluate(samples, 3, corruption);
    EXPECT_NEAR(e.iwae_bound.value(), expected, 1e-10 * std::abs(expected)) << samples << " samples";
    EXPECT_EQ(e.iwae_samples, samples);
  };
  for (int samples : {1, 5, 64, 100, 130}) check(samples, {});
  check(5, {CorruptionKind::kMask, 0.7});
}

struct Estimate {
  double mean = 0, error = 0;  ///< standard error
};

template <class F>
Estimate over_seeds(int seeds, F&& value) {
  double sum = 0, squares = 0;
  for (int seed = 0; seed < seeds; ++seed) {
    const double v = value(static_cast<uint32_t>(seed));
    sum += v;
    squares += v * v;
  }
  const double mean = sum / seeds;
  return {mean, std::sqrt((squares / seeds - mean * mean) / (seeds - 1))};
}

/// With one sample it estimates the ELBO; more samples raise it.
TEST(importance_bound, starts_at_the_elbo_and_grows_with_the_samples) {
  const Fitted fitted;
  const Estimate gap = over_seeds(40, [&](uint32_t seed) {
    const Evaluation e = fitted.evaluate(1, seed);
    return *e.iwae_bound - e.elbo();
  });
  EXPECT_LT(std::abs(gap.mean), 5 * gap.error);
  EXPECT_LT(gap.error, 0.2);
  Estimate before = over_seeds(10, [&](uint32_t seed) { return fitted.evaluate(0, seed).elbo(); });
  for (int samples : {4, 16, 200}) {
    const Estimate bound = over_seeds(10, [&](uint32_t seed) {
      const Evaluation e = fitted.evaluate(samples, seed);
      EXPECT_GE(*e.iwae_bound, e.elbo()) << samples << " samples, seed " << seed;
      return *e.iwae_bound;
    });
    EXPECT_GT(bound.mean - before.mean, 3 * std::hypot(bound.error, before.error)) << samples << " samples";
    before = bound;
  }
}

TEST(importance_bound, autoencoders_have_none) {
  const SmallData data(20);
  TrainerOptions options = small_trainer_options();
  options.model.kind = ModelKind::kAutoencoder;
  options.batch.batch = 20;
  Runtime runtime({"cpu", 1});
  const Trainer trainer(runtime, data.store(), data.split, options);
  EvaluationOptions e;
  e.iwae_samples = 10;
  EXPECT_FALSE(Evaluator(runtime, trainer.model(), data.store(), data.split, e).run().iwae_bound);
}

}  // namespace
}  // namespace hourglass::test
