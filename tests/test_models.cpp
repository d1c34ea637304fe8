// SPDX-License-Identifier: Apache-2.0
// The models as mathematics: gradients of whole models, identities between them, and cases whose answer is known.
#include <cmath>
#include <numeric>

#include "models/autoencoder.h"
#include "models/vae.h"
#include "tests/model_fixture.h"

namespace hourglass::test {
namespace {

ModelConfig small_config(ModelKind kind) {
  ModelConfig c;
  c.kind = kind;
  c.height = 3;
  c.width = 2;
  c.hidden = {5, 4};
  c.latent = 2;
  c.activation = Activation::kTanh;
  return c;
}

void check_model(const ModelConfig& config, int samples) {
  ModelFixture f(config);
  constexpr double kBeta = 0.4;
  const auto terms = [&] {
    const LossTerms loss = f.model->train(f.tape, f.batch(), samples);
    std::vector<Term> list{{loss.reconstruction, 1.0}};
    if (loss.kl.node >= 0) list.emplace_back(loss.kl, kBeta);
    return list;
  };
  // The objective by other means: per-sample ops on the same draws.
  const auto value = [&] {
    const Batch b = f.batch();
    if (const auto* vae = dynamic_cast<const Vae*>(f.model.get())) {
      Noise noise = b.noise;
      noise.stream = stream_id("train/latent");
      noise.draws = samples;
      const Vae::Output out = vae->forward(f.tape, b.x, noise);
      return mean(f.tape, f.model->likelihood().nll_per_sample(f.tape, out.y, b.x)).as<double>()[0] +
             kBeta * mean(f.tape, out.latent.kl_per_sample).as<double>()[0];
    }
    const EvaluationTerms e = f.model->evaluate(f.tape, b);
    return mean(f.tape, e.reconstruction).as<double>()[0];
  };
  check_gradients(f, terms, value);
}

TEST(models, gradients_of_whole_models) {
  for (bool tied : {false, true}) {
    for (LikelihoodKind likelihood : {LikelihoodKind::kBernoulli, LikelihoodKind::kGaussian}) {
      SCOPED_TRACE(std::string(name_of(likelihood)) + (tied ? ", tied" : ""));
      ModelConfig vae = small_config(ModelKind::kVae), ae = small_config(ModelKind::kAutoencoder);
      for (ModelConfig* c : {&vae, &ae}) {
        c->tied_weights = tied;
        c->likelihood = likelihood;
        c->learned_sigma = likelihood == LikelihoodKind::kGaussian;
      }
      check_model(vae, 1);
      check_model(vae, 3);
      check_model(ae, 1);
      if (!tied && likelihood == LikelihoodKind::kGaussian) {
        vae.likelihood = LikelihoodKind::kLogistic;
        check_model(vae, 2);
      }
      ae.code_activation = Activation::kSigmoid;
      ae.hidden = {};
      check_model(ae, 1);
    }
  }
}

TEST(models, gradients_of_convolutional_models) {
  for (const char* encoder : {"conv 3 4 2; conv 2 3 2", "conv 2 3; max-pool 2; residual 3; conv-transpose 2 2 2",
                              "conv 2 2 valid none; avg-pool 3 1; dense 4", "dense 6; dense 4"}) {
    SCOPED_TRACE(encoder);
    ModelConfig c = small_config(ModelKind::kVae);
    c.encoder = encoder;
    c.height = 4;  // a larger objective would drown the differences in rounding
    c.width = 2;
    c.channels = 2;
    check_model(c, 1);
    c.kind = ModelKind::kAutoencoder;
    check_model(c, 1);
    c.spatial_code = true;
    c.latent = c.trunk_size();
    check_model(c, 1);
  }
}

/// The code of an encoder that begins with a pooling, computed from the op.
TEST(models, a_pooling_takes_the_maximum_or_the_mean) {
  for (const bool maximum : {true, false}) {
    ModelConfig c = small_config(ModelKind::kAutoencoder);
    c.hidden = {};
    c.encoder = maximum ? "max-pool 3 2" : "avg-pool 3 2";
    c.height = c.width = 4;
    ModelFixture f(c);
    f.tape.rewind(Mode::kEvaluate);
    const Batch batch = f.batch();
    const Var code = f.model->posterior(f.tape, batch.x).mu, image = reshape(batch.x, {4, 4, 4, 1});
    Pool2d pool;
    pool.window_h = pool.window_w = 3;
    pool.stride_h = pool.stride_w = 2;
    pool.same = true;
    const Var pooled = maximum ? max_pool2d(f.tape, image, pool) : average_pool2d(f.tape, image, pool);
    const Var want = linear(f.tape, reshape(pooled, {4, 4}), find(f.parameters, "encoder.1.weight").var,
                            find(f.parameters, "encoder.1.bias").var);
    expect_close(doubles(code), doubles(want), fp64_tolerance(), c.encoder);
  }
}

TEST(models, parameters_of_the_convolutional_vae) {
  Parameters p;
  ModelConfig c;
  c.encoder = "conv 32 4 2; conv 64 4 2";
  make_model(p, c);
  p.allocate(0);
  std::string shapes;
  for (const Parameter& q : p.all()) shapes += q.name + to_string(q.shape) + " ";
  EXPECT_EQ(shapes,
            "encoder.0.weight(32, 4, 4, 1) encoder.0.bias(32) encoder.1.weight(64, 4, 4, 32) encoder.1.bias(64) "
            "head.weight(40, 3136) head.bias(40) decoder.0.weight(3136, 20) decoder.0.bias(3136) "
            "decoder.1.weight(64, 4, 4, 32) decoder.1.bias(32) decoder.2.weight(32, 4, 4, 1) decoder.2.bias(1) ");
}

TEST(models, parameter_names_and_counts_are_documented_ones) {
  Parameters p;
  ModelConfig c;  // 784-400-20
  make_model(p, c);
  p.allocate(0);
  std::vector<std::string> names;
  for (const Parameter& q : p.all()) names.push_back(q.name);
  const std::vector<std::string> expected{"encoder.0.weight", "encoder.0.bias", "head.weight",      "head.bias",
                                          "decoder.0.weight", "decoder.0.bias", "decoder.1.weight", "decoder.1.bias"};
  EXPECT_EQ(names, expected);
  EXPECT_EQ(p.count(), 652824);
}

TEST(models, tied_weights_leave_one_matrix_a_layer) {
  ModelConfig c = small_config(ModelKind::kAutoencoder);
  Parameters untied, tied;
  make_model(untied, c);
  c.tied_weights = true;
  make_model(tied, c);
  const int weights = 6 * 5 + 5 * 4 + 4 * 2;
  EXPECT_EQ(untied.count() - tied.count(), weights);
}

TEST(models, configuration_round_trips_and_refuses_nonsense) {
  ModelConfig c = small_config(ModelKind::kVae);
  c.likelihood = LikelihoodKind::kGaussian;
  c.sigma = 0.1;
  const std::string text = to_json(c).dump();
  EXPECT_EQ(to_json(model_config_from_json(Json::parse(text, "config", Exit::kCheckpoint))).dump(), text);
  Json bad = to_json(c);
  bad.set("latent", 0);
  expect_error([&] { model_config_from_json(Json::parse(bad.dump(), "config", Exit::kCheckpoint)); }, Exit::kCheckpoint,
               {"--latent", "at least 1", "0"});
  bad = to_json(c);
  bad.set("model", "gan");
  expect_error([&] { model_config_from_json(Json::parse(bad.dump(), "config", Exit::kCheckpoint)); }, Exit::kCheckpoint,
               {"model", "gan"});
  c.latent = -3;
  expect_error([&] { c.check(); }, Exit::kUsage, {"--latent", "at least 1", "-3"});
  c.latent = 2000000000;  // the head is twice as wide
  expect_error([&] { c.check(); }, Exit::kUsage, {"--latent", "at most 2^26", "2000000000"});
  c.latent = 2;
  c.height = c.width = c.channels = 1 << 26;
  expect_error([&] { c.check(); }, Exit::kUsage, {"image size", "at most 2^26 values"});
}

/// Without noise and KL a VAE is an autoencoder of the means: the same step, whatever the weights of its logvar half.
TEST(models, a_vae_without_noise_and_kl_is_an_autoencoder) {
  ModelConfig config = small_config(ModelKind::kVae);
  ModelFixture vae(config);
  config.kind = ModelKind::kAutoencoder;
  ModelFixture ae(config);
  const int d = config.latent, h = config.hidden.back();
  // sigma = exp(logvar / 2) = 0 to the last bit.
  for (const Parameter& p : vae.parameters.all()) {
    if (p.name == "head.weight") std::fill_n(vae.values(p) + d * h, d * h, 0.0);
    if (p.name == "head.bias") std::fill_n(vae.values(p) + d, d, -2000.0);
  }
  for (Parameter& p : ae.parameters.all()) {
    std::string twin = p.name;
    if (p.name.rfind("encoder.2.", 0) == 0) twin = "head." + p.name.substr(10);
    std::copy_n(vae.values(find(vae.parameters, twin)), p.shape.elements(), ae.values(p));
  }
  for (int step = 0; step < 5; ++step) {
    vae.restart();
    ae.restart();
    const LossTerms v = vae.model->train(vae.tape, vae.batch(), 1);
    const LossTerms a = ae.model->train(ae.tape, ae.batch(), 1);
    vae.tape.backward({{v.reconstruction, 1.0}, {v.kl, 0.0}});
    ae.tape.backward({{a.reconstruction, 1.0}});
    for (Parameter& p : ae.parameters.all()) {
      std::string twin = p.name;
      if (p.name.rfind("encoder.2.", 0) == 0) twin = "head." + p.name.substr(10);
      Parameter& q = find(vae.parameters, twin);
      for (int64_t i = 0; i < p.shape.elements(); ++i) {
        ASSERT_EQ(ae.gradient(p)[i], vae.gradient(q)[i]) << p.name << " element " << i << " at step " << step;
        ae.values(p)[i] -= 0.1 * ae.gradient(p)[i];
        vae.values(q)[i] -= 0.1 * vae.gradient(q)[i];
      }
    }
  }
}

TEST(models, log_variance_of_ten_thousand_stays_finite) {
  for (double extreme : {1e4, -1e4}) {
    ModelFixture f(small_config(ModelKind::kVae));
    for (const Parameter& p : f.parameters.all()) {
      if (p.name == "head.bias") std::fill_n(f.values(p), p.shape.elements(), extreme);
    }
    f.restart();
    const LossTerms loss = f.model->train(f.tape, f.batch(), 2);
    f.tape.backward({{loss.reconstruction, 1.0}, {loss.kl, 1.0}});
    f.parameters.complete_gradients(f.runtime.ctx(), kAllGroups);
    for (const Parameter& p : f.parameters.all()) {
      for (int64_t i = 0; i < p.shape.elements(); ++i) ASSERT_TRUE(std::isfinite(f.gradient(p)[i])) << p.name;
    }
  }
}

}  // namespace
}  // namespace hourglass::test
