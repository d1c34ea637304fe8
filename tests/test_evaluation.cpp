// SPDX-License-Identifier: Apache-2.0
// What `eval` reports: each image counted once whatever the batch, equal digits for equal seeds, values against an
// independent computation, absent values with a reason, and no trace left in training.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "models/evaluation.h"
#include "models/row_function.h"
#include "tests/model_fixture.h"
#include "tests/small_data.h"

namespace hourglass::test {
namespace {

TrainerOptions options_of(ModelKind kind, LikelihoodKind likelihood, Dtype dtype = Dtype::kF32) {
  TrainerOptions options = small_trainer_options();
  options.model.kind = kind;
  options.model.likelihood = likelihood;
  options.model.sigma = 0.3;
  options.dtype = dtype;
  return options;
}

/// A small model after a few steps. 75 images: a multiple of no batch below but 1.
struct Trained {
  explicit Trained(const TrainerOptions& o = small_trainer_options(), int64_t steps = 100)
      : options(o), trainer(runtime, data.store(), data.split, options) {
    trainer.run(steps);
  }
  Evaluation evaluate(const EvaluationOptions& e, const std::vector<int32_t>& split) const {
    Runtime own({"cpu", 1});
    return Evaluator(own, trainer.model(), data.store(), split, e, options.dtype).run();
  }
  Evaluation evaluate(const EvaluationOptions& e = {}) const { return evaluate(e, data.split); }

  SmallData data{75};
  TrainerOptions options;
  Runtime runtime{RuntimeOptions{"cpu", 1}};
  Trainer trainer;
};

void expect_same_metrics(const Evaluation& got, const Evaluation& want, Tolerance tolerance) {
  const auto compare = [&](const char* name, double a, double b) {
    expect_close(std::vector<double>{a}, std::vector<double>{b}, tolerance, name);
  };
  EXPECT_EQ(got.n, want.n);
  compare("reconstruction", got.reconstruction, want.reconstruction);
  compare("kl", got.kl, want.kl);
  compare("objective", got.objective, want.objective);
  compare("neg_elbo", got.neg_elbo(), want.neg_elbo());
  compare("mse", got.mse, want.mse);
  compare("psnr", got.psnr, want.psnr);
  EXPECT_EQ(got.active_units, want.active_units);
}

std::string digits(Evaluation e) {
  e.seconds = 0;
  return to_json(e).dump();
}

TEST(evaluation, does_not_depend_on_its_batch) {
  for (Dtype dtype : {Dtype::kF32, Dtype::kF64}) {
    const Tolerance tolerance = dtype == Dtype::kF64 ? fp64_tolerance() : fp32_tolerance(8 * 8);
    for (const TrainerOptions& options : {options_of(ModelKind::kVae, LikelihoodKind::kBernoulli, dtype),
                                          options_of(ModelKind::kVae, LikelihoodKind::kGaussian, dtype),
                                          options_of(ModelKind::kAutoencoder, LikelihoodKind::kBernoulli, dtype)}) {
      const Trained trained(options);
      for (Binarization binarize : {Binarization::kNone, Binarization::kDynamic}) {
        EvaluationOptions e;
        e.binarize = binarize;
        e.beta = 0.5;
        e.batch = 75;
        const Evaluation whole = trained.evaluate(e);
        EXPECT_EQ(whole.n, 75);
        for (int batch : {1, 7, 128, 10000}) {
          SCOPED_TRACE(std::string(name_of(options.model.kind)) + ", batch " + std::to_string(batch));
          e.batch = batch;
          expect_same_metrics(trained.evaluate(e), whole, tolerance);
        }
      }
    }
  }
}

TEST(evaluation, of_parameters_that_are_not_finite_is_refused) {
  Trained trained;
  static_cast<float*>(trained.trainer.parameters().values())[0] = std::numeric_limits<float>::quiet_NaN();
  expect_error([&] { trained.evaluate(); }, Exit::kNotFinite, {"evaluation", "75 images", "not finite"});
}

/// Masked rows of the last batch count nothing, and a split's images keep their noise: its means are those of its
/// images, evaluated one by one.
TEST(evaluation, counts_each_image_of_a_ragged_split_exactly_once) {
  const Trained trained(options_of(ModelKind::kVae, LikelihoodKind::kBernoulli, Dtype::kF64));
  const std::vector<int32_t> split{70, 3, 41, 8, 9, 66, 12, 30, 31, 2};
  Evaluation sum;
  for (int32_t row : split) {
    const Evaluation one = trained.evaluate({}, {row});
    sum.n += one.n;
    sum.reconstruction += one.reconstruction / 10;
    sum.kl += one.kl / 10;
    sum.objective += one.objective / 10;
    sum.mse += one.mse / 10;
    sum.psnr += one.psnr / 10;
  }
  EvaluationOptions e;
  e.batch = 7;
  const Evaluation all = trained.evaluate(e, split);
  sum.active_units = all.active_units;  // a variance over images has no share of one image
  expect_same_metrics(all, sum, fp64_tolerance());
}

TEST(evaluation, equal_seeds_give_equal_digits) {
  const Trained trained;
  EvaluationOptions e;
  e.iwae_samples = 20;
  e.binarize = Binarization::kDynamic;
  const std::string first = digits(trained.evaluate(e));
  EXPECT_EQ(digits(trained.evaluate(e)), first);
  Runtime runtime({"cpu", 1});
  Evaluator evaluator(runtime, trained.trainer.model(), trained.data.store(), trained.data.split, e);
  EXPECT_EQ(digits(evaluator.run()), first);
  EXPECT_EQ(digits(evaluator.run()), first);
  e.seed = 1;
  EXPECT_NE(digits(trained.evaluate(e)), first);
}

TEST(evaluation, objective_is_weighted_and_the_elbo_is_not) {
  const Trained trained;
  EvaluationOptions e;
  e.beta = 0.25;
  const Evaluation weighted = trained.evaluate(e), plain = trained.evaluate();
  EXPECT_DOUBLE_EQ(weighted.objective, weighted.reconstruction + 0.25 * weighted.kl);
  EXPECT_DOUBLE_EQ(weighted.neg_elbo(), weighted.reconstruction + weighted.kl);
  EXPECT_EQ(weighted.elbo(), -weighted.neg_elbo());
  EXPECT_EQ(weighted.elbo(), plain.elbo());
  EXPECT_GT(weighted.kl, 0.1);
}

/// As a run does it: evaluators made before the first step, on the runtime of training.
TEST(evaluation, in_between_changes_no_bit_of_training_and_follows_it) {
  EvaluationOptions e;
  e.iwae_samples = 70;
  e.batch = 7;
  Trained alone(small_trainer_options(), 60), watched(small_trainer_options(), 0);
  Evaluator evaluator(watched.runtime, watched.trainer.model(), watched.data.store(), watched.data.split, e);
  std::vector<double> neg_elbo;
  for (int64_t steps : {1, 2, 7, 50}) {
    neg_elbo.push_back(evaluator.run().neg_elbo());
    watched.trainer.run(steps);
    evaluator.run();
  }
  expect_same_bits(values_of(watched.trainer.parameters()), values_of(alone.trainer.parameters()));
  EXPECT_LT(evaluator.run().neg_elbo(), neg_elbo.front());
  EXPECT_EQ(digits(evaluator.run()), digits(alone.evaluate(e)));
}

/// mse and psnr from the model's layers and the definition: at z = mu, over pixels and images, on the 0..1 scale.
TEST(evaluation, mse_and_psnr_against_the_definition) {
  for (ModelKind kind : {ModelKind::kVae, ModelKind::kAutoencoder}) {
    for (LikelihoodKind likelihood : {LikelihoodKind::kBernoulli, LikelihoodKind::kGaussian}) {
      const Trained trained(options_of(kind, likelihood, Dtype::kF64));
      Runtime runtime({"cpu", 1});
      runtime.arena().reserve(runtime.ctx(), size_t{1} << 20);
      Tape tape(runtime.ctx(), runtime.arena());
      tape.rewind(Mode::kEvaluate);
      Var x = tape.constant({75, 64}, Dtype::kF64);
      for (int i = 0; i < 75 * 64; ++i) x.as<double>()[i] = trained.data.bytes[static_cast<size_t>(i)] / 255.0;
      const Model& model = trained.trainer.model();
      const Var y = model.decode(tape, model.posterior(tape, x).mu);
      double mse = 0, psnr = 0;
      for (int n = 0; n < 75; ++n) {
        double image = 0;
        for (int i = 64 * n; i < 64 * (n + 1); ++i) {
          const double out = y.as<double>()[i];
          const double mean = likelihood == LikelihoodKind::kBernoulli ? 1 / (1 + std::exp(-out)) : out;
          image += std::pow(mean - x.as<double>()[i], 2) / 64;
        }
        mse += image / 75;
        psnr += 10 * std::log10(1 / image) / 75;
      }
      const Evaluation e = trained.evaluate();
      EXPECT_NEAR(e.mse, mse, 1e-12 * mse);
      EXPECT_NEAR(e.psnr, psnr, 1e-12 * psnr);
    }
  }
}

/// With the optimal sigma the value is that of the fixed sigma it stands for, the least of all, whatever the batch.
TEST(evaluation, an_optimal_sigma_is_the_best_of_the_split) {
  TrainerOptions options = options_of(ModelKind::kVae, LikelihoodKind::kGaussian);
  options.model.optimal_sigma = true;
  const Evaluation best = Trained(options, 0).evaluate();
  // reconstruction = D/2 log(2 pi e v)
  const double variance = std::exp(2 * best.reconstruction / 64 - 1) / (2 * std::numbers::pi);
  EvaluationOptions seven;
  seven.batch = 7;
  EXPECT_NEAR(Trained(options, 0).evaluate(seven).reconstruction, best.reconstruction,
              1e-6 * std::abs(best.reconstruction));
  options.model.optimal_sigma = false;
  for (const double factor : {1.0, 0.9, 1.1}) {
    options.model.sigma = factor * std::sqrt(variance);
    const double fixed = Trained(options, 0).evaluate().reconstruction;
    if (factor == 1.0) {
      EXPECT_NEAR(fixed, best.reconstruction, 1e-5 * std::abs(fixed));
    } else {
      EXPECT_GT(fixed, best.reconstruction + 0.1);
    }
  }
}

TEST(evaluation, an_optimal_sigma_has_an_importance_bound) {
  TrainerOptions options = options_of(ModelKind::kVae, LikelihoodKind::kGaussian);
  options.model.optimal_sigma = true;
  EvaluationOptions e;
  e.iwae_samples = 20;
  const Evaluation trained = Trained(options, 300).evaluate(e);
  EXPECT_GT(*trained.iwae_bound, trained.elbo());
  EXPECT_LT(*trained.iwae_bound, trained.elbo() + 5);
  EXPECT_LT(trained.neg_elbo(), Trained(options, 0).evaluate().neg_elbo());
}

TEST(evaluation, a_logistic_likelihood_gives_bits_per_dimension_of_bytes) {
  const Trained trained(options_of(ModelKind::kVae, LikelihoodKind::kLogistic), 300);
  const Evaluation e = trained.evaluate();
  ASSERT_TRUE(e.bits_per_dim);
  EXPECT_NEAR(*e.bits_per_dim, e.neg_elbo() / 64 / std::log(2.0), 1e-12);
  EXPECT_LT(*e.bits_per_dim, 8);  // 8 bits a pixel is what no model at all needs
  std::vector<float> floats(trained.data.bytes.begin(), trained.data.bytes.end());
  for (float& value : floats) value /= 255;
  Runtime runtime({"cpu", 1});
  const SampleStore store{floats.data(), Dtype::kF32, 75, 64};
  const Evaluation of_floats = Evaluator(runtime, trained.trainer.model(), store, trained.data.split, {}).run();
  EXPECT_FALSE(of_floats.bits_per_dim);
  EXPECT_NE(of_floats.note.find("8-bit"), std::string::npos);
}

/// Locations far beyond black and white, where they are surest: as pictures they are black and white.
TEST(evaluation, a_logistic_location_counts_as_the_pixel_it_means) {
  ModelConfig config = options_of(ModelKind::kAutoencoder, LikelihoodKind::kLogistic).model;
  ModelFixture f(config);
  for (const Parameter& p : f.parameters.all()) std::fill_n(f.values(p), p.shape.elements(), 0.0);
  double* const last_bias =
      f.values(*std::find_if(f.parameters.all().begin(), f.parameters.all().end(),
                             [](const auto& p) { return p.shape == Shape{64} && p.name.find("decoder") == 0; }));
  for (int i = 0; i < 64; ++i) last_bias[i] = i % 4 == 0 ? -7 : i % 4 == 1 ? 9 : i % 4 == 2 ? 0.25 : 1;
  std::vector<float> x(64);
  for (size_t i = 0; i < 64; ++i) x[i] = i % 4 == 0 ? 0 : i % 4 == 1 ? 1 : i % 4 == 2 ? 0.25f : 0.5f;
  const Evaluation e = Evaluator(f.runtime, *f.model, {x.data(), Dtype::kF32, 1, 64}, {0}, {}, Dtype::kF64).run();
  EXPECT_DOUBLE_EQ(e.mse, 0.25 / 4);
}

TEST(evaluation, psnr_of_a_perfect_picture_is_bounded) {
  ModelConfig config = options_of(ModelKind::kAutoencoder, LikelihoodKind::kGaussian).model;
  ModelFixture f(config);
  for (const Parameter& p : f.parameters.all()) std::fill_n(f.values(p), p.shape.elements(), 0.0);
  const std::vector<float> black(3 * 64);
  const Evaluation e =
      Evaluator(f.runtime, *f.model, {black.data(), Dtype::kF32, 3, 64}, {0, 1, 2}, {}, Dtype::kF64).run();
  EXPECT_EQ(e.mse, 0);
  EXPECT_EQ(e.psnr, 100);
}

/// Latents that vary over the data by just more and just less than 0.01, and large means that do not vary.
TEST(evaluation, active_units_are_those_whose_mean_varies) {
  ModelConfig config;
  config.height = 1;
  config.width = 3;
  config.hidden = {};
  config.latent = 4;
  ModelFixture f(config);
  std::vector<float> x;
  for (int n = 0; n < 40; ++n) x.insert(x.end(), {static_cast<float>(n % 2), 0.5f, 0.25f});  // Var of the first: 1/4
  std::vector<double> weight(8 * 3), bias(8);
  const double slope[] = {0.21, 0.19, 0.5, 0}, offset[] = {0, 0, 50, -50};
  for (size_t d = 0; d < 4; ++d) {
    weight[3 * d] = slope[d];
    weight[3 * d + 1] = 7;
    bias[d] = offset[d];
  }
  assign(find(f.parameters, "head.weight"), weight);
  assign(find(f.parameters, "head.bias"), bias);
  std::vector<int32_t> split(40);
  std::iota(split.begin(), split.end(), 0);
  for (int batch : {7, 40}) {
    EvaluationOptions e;
    e.batch = batch;
    EXPECT_EQ(Evaluator(f.runtime, *f.model, {x.data(), Dtype::kF32, 40, 3}, split, e, Dtype::kF64).run().active_units,
              2);
  }
}

TEST(evaluation, bits_per_dim_is_given_for_binary_pixels_only) {
  const Trained trained;
  const Evaluation grey = trained.evaluate();
  EXPECT_FALSE(grey.bits_per_dim);
  EXPECT_TRUE(to_json(grey).at("bits_per_dim").is_null());
  EXPECT_NE(to_json(grey).get_string("note").find("grey"), std::string::npos);

  EvaluationOptions binarized;
  binarized.binarize = Binarization::kStatic;
  const Evaluation binary = trained.evaluate(binarized);
  ASSERT_TRUE(binary.bits_per_dim);
  EXPECT_NEAR(*binary.bits_per_dim, binary.neg_elbo() / 64 / std::log(2.0), 1e-12);
  EXPECT_EQ(to_json(binary).find("note"), nullptr);

  // Pixels that are 0 or 255, but one: it matters only to a split that holds it.
  std::vector<uint8_t> pixels(trained.data.bytes.size());
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = trained.data.bytes[i] > 127 ? 255 : 0;
  pixels[5] = 254;
  const std::vector<float> floats(pixels.begin(), pixels.end());
  Runtime runtime({"cpu", 1});
  const auto given = [&](const SampleStore& store, const std::vector<int32_t>& split) {
    return Evaluator(runtime, trained.trainer.model(), store, split, {}).run().bits_per_dim.has_value();
  };
  SampleStore store = trained.data.store();
  store.data = pixels.data();
  EXPECT_FALSE(given(store, trained.data.split));
  EXPECT_TRUE(given(store, {1, 2, 3}));

  const Trained gaussian(options_of(ModelKind::kVae, LikelihoodKind::kGaussian));
  const Evaluation density = gaussian.evaluate(binarized);
  EXPECT_FALSE(density.bits_per_dim);
  EXPECT_NE(to_json(density).get_string("note").find("density"), std::string::npos);
}

std::vector<std::string> keys(const Json& json) {
  std::vector<std::string> names;
  for (const auto& [name, value] : json.members()) names.push_back(name);
  return names;
}

TEST(evaluation, keys_are_the_documented_ones) {
  const Trained vae;
  EvaluationOptions e;
  e.binarize = Binarization::kStatic;
  e.iwae_samples = 3;
  const Json json = to_json(vae.evaluate(e));
  EXPECT_EQ(keys(json),
            (std::vector<std::string>{"n", "elbo", "neg_elbo", "reconstruction", "kl", "objective", "bits_per_dim",
                                      "mse", "psnr", "active_units", "iwae_bound", "iwae_samples", "seconds"}));
  EXPECT_EQ(json.get_integer("iwae_samples"), 3);
  EXPECT_TRUE(to_json(vae.evaluate()).at("iwae_bound").is_null());
  EXPECT_NE(to_json(vae.evaluate(), "test_").find("test_neg_elbo"), nullptr);

  const Trained ae(options_of(ModelKind::kAutoencoder, LikelihoodKind::kBernoulli));
  const Evaluation code = ae.evaluate();
  EXPECT_EQ(keys(to_json(code)),
            (std::vector<std::string>{"n", "bce", "mse", "psnr", "reconstruction", "objective", "seconds"}));
  EXPECT_DOUBLE_EQ(code.bce.value(), code.reconstruction / 64);
  const Trained continuous(options_of(ModelKind::kAutoencoder, LikelihoodKind::kGaussian));
  EXPECT_TRUE(to_json(continuous.evaluate()).at("bce").is_null());
}

TEST(evaluation, refuses_images_of_another_size_and_empty_splits) {
  const Trained trained;
  const SmallData other(4, 4, 8);
  Runtime runtime({"cpu", 1});
  expect_error([&] { Evaluator(runtime, trained.trainer.model(), other.store(), other.split, {}); }, Exit::kData,
               {"images of 32 values", "8 x 8 x 1 = 64"});
  expect_error([&] { trained.evaluate({}, {}); }, Exit::kData, {"split is empty"});
}

/// Where a row has a million values, batches are of two: what they take does not depend on the size of images.
TEST(evaluation, batches_of_large_images_are_small) {
  constexpr int kSide = 1024, kRows = 5;
  constexpr size_t kMost = size_t{128} << 20;
  Runtime runtime({"cpu", 2});
  RowFunction twice(runtime, kSide * kSide, kSide * kSide, [](Tape& t, const Var& x) { return scale(t, x, 2); });
  ASSERT_LE(twice.bytes(), kMost);
  ModelConfig config;
  config.height = config.width = kSide;
  config.hidden = {1};
  config.latent = 1;
  Parameters parameters;
  const auto model = make_model(parameters, config);
  parameters.allocate(0, runtime.ctx());
  const SmallData data(3, kSide, kSide);
  EvaluationOptions e;
  e.batch = 1;
  e.iwae_samples = 100;
  Evaluator evaluator(runtime, *model, data.store(), data.split, e);
  ASSERT_LE(evaluator.bytes(), kMost);

  Matrix x(kRows, kSide * kSide);
  for (size_t i = 0; i < x.values.size(); ++i) x.values[i] = static_cast<float>(i % 1009);
  const Matrix y = twice("twice", x);
  for (size_t i = 0; i < x.values.size(); i += 997) ASSERT_EQ(y.values[i], 2 * x.values[i]) << i;
}

}  // namespace
}  // namespace hourglass::test
