// SPDX-License-Identifier: Apache-2.0
// Models with batch-norm and group-norm in their layers: what they are made of, what they learn from a batch, and that
// only training looks at the batch.
#include <limits>

#include "models/autoencoder.h"
#include "models/evaluation.h"
#include "tests/model_fixture.h"
#include "tests/small_data.h"

namespace hourglass::test {
namespace {

ModelConfig with_encoder(ModelKind kind, const std::string& encoder) {
  ModelConfig c;
  c.kind = kind;
  c.height = c.width = 4;
  c.hidden = {};
  c.encoder = encoder;
  c.latent = 2;
  c.activation = Activation::kTanh;
  return c;
}

std::vector<std::string> names_of(const Parameters& parameters) {
  std::vector<std::string> names;
  for (const Parameter& p : parameters.all()) names.push_back(p.name);
  for (const State& s : parameters.states()) names.push_back(s.name);
  return names;
}

TEST(norm_models, a_norm_stands_in_place_of_the_bias) {
  ModelFixture f(with_encoder(ModelKind::kAutoencoder, "conv 4 2 2 batch-norm; dense 6 group-norm:3"));
  EXPECT_EQ(names_of(f.parameters),
            (std::vector<std::string>{
                "encoder.0.weight", "encoder.0.norm.weight", "encoder.0.norm.bias", "encoder.1.weight",
                "encoder.1.norm.weight", "encoder.1.norm.bias", "encoder.2.weight", "encoder.2.bias",  // the code
                "decoder.0.weight", "decoder.0.bias",                                                  // from the code
                "decoder.1.weight", "decoder.1.bias",  // 16 units: three groups do not divide them
                "decoder.2.weight", "decoder.2.bias", "encoder.0.norm.running_mean", "encoder.0.norm.running_var"}));
}

TEST(norm_models, a_norm_starts_as_the_identity) {
  ModelFixture f(with_encoder(ModelKind::kAutoencoder, "conv 4 2 2 batch-norm; dense 6 group-norm:3"));
  for (const std::string norm : {"encoder.0.norm", "encoder.1.norm"}) {
    for (double scale : doubles(find(f.parameters, norm + ".weight").var)) EXPECT_EQ(scale, 1) << norm;
    for (double shift : doubles(find(f.parameters, norm + ".bias").var)) EXPECT_EQ(shift, 0) << norm;
  }
}

/// The code of a model, computed from the ops.
TEST(norm_models, the_activation_follows_the_norm) {
  ModelFixture f(with_encoder(ModelKind::kAutoencoder, "conv 4 2 2 batch-norm; dense 6 group-norm:3 sigmoid"));
  const auto value = [&](const std::string& name) { return find(f.parameters, name).var; };
  assign(value("encoder.0.norm.weight"), {2, 0.5, 1, -1});
  assign(value("encoder.0.norm.bias"), {0, 0.5, -0.25, 1});
  assign(value("encoder.1.norm.bias"), {0.1, 0.2, 0.3, 0.4, 0.5, 0.6});
  const std::deque<State>& states = f.parameters.states();
  assign(states[0].var, {0.1, -0.2, 0.3, 0.05});
  assign(states[1].var, {0.5, 2, 0.1, 1});
  f.tape.rewind(Mode::kEvaluate);
  const Batch batch = f.batch();
  const Var code = f.model->posterior(f.tape, batch.x).mu;

  Conv2dOptions same;
  same.same = true;
  same.stride = 2;
  std::vector<double> h = doubles(conv2d(f.tape, reshape(batch.x, {4, 4, 4, 1}), value("encoder.0.weight"), {}, same));
  for (size_t i = 0; i < h.size(); ++i) {
    const auto of = [&](const Var& v) { return doubles(v)[i % 4]; };
    h[i] = std::tanh(of(value("encoder.0.norm.weight")) * (h[i] - of(states[0])) / std::sqrt(of(states[1]) + 1e-5) +
                     of(value("encoder.0.norm.bias")));
  }
  const Var hidden = f.tape.constant({4, 16}, Dtype::kF64);
  assign(hidden, h);
  const Var sums = linear(f.tape, hidden, value("encoder.1.weight"), {});
  const Var second =
      activation(f.tape, group_norm(f.tape, sums, value("encoder.1.norm.weight"), value("encoder.1.norm.bias"), 3),
                 Activation::kSigmoid);
  const Var want = linear(f.tape, second, value("encoder.2.weight"), value("encoder.2.bias"));
  expect_close(doubles(code), doubles(want), fp64_tolerance());
}

TEST(norm_models, gradients) {
  for (const ModelKind kind : {ModelKind::kVae, ModelKind::kAutoencoder}) {
    ModelFixture f(with_encoder(kind, "conv 2 3 2 batch-norm; conv 4 2 group-norm:2; dense 4 batch-norm"));
    const auto objective = [&] {
      const LossTerms loss = f.model->train(f.tape, f.batch(), 1);
      std::vector<Term> terms{{loss.reconstruction, 1.0, f.reconstruction}};
      if (loss.kl.node >= 0) terms.emplace_back(loss.kl, 0.5, f.kl);
      return terms;
    };
    check_gradients(f, objective, [&] {
      const std::vector<Term> terms = objective();
      f.tape.backward(terms.data(), terms.size());
      return f.value(f.reconstruction) + (terms.size() > 1 ? 0.5 * f.value(f.kl) : 0);
    });
  }
}

TrainerOptions options_with(const std::string& encoder) {
  TrainerOptions options = small_trainer_options();
  options.model.hidden = {};
  options.model.encoder = encoder;
  return options;
}

/// The states of a model, in host memory.
std::vector<float> running_of(const Parameters& parameters) {
  std::vector<float> all;
  for (const State& s : parameters.states()) {
    all.insert(all.end(), s.var.as<float>(), s.var.as<float>() + s.shape.elements());
  }
  return all;
}

/// A figure of an image does not depend on the images beside it, once training is over.
TEST(norm_models, evaluation_does_not_look_at_the_batch) {
  const SmallData data(100);
  for (const char* encoder : {"conv 8 4 2 batch-norm; dense 16 batch-norm", "conv 8 4 2 group-norm:4"}) {
    Runtime runtime({.device = "cpu", .threads = 1});
    Trainer trainer(runtime, data.store(), data.split, options_with(encoder));
    const auto evaluate = [&](int batch) {
      EvaluationOptions e;
      e.batch = batch;
      e.iwae_samples = 3;
      Evaluator evaluator(runtime, trainer.model(), data.store(), data.split, e);
      return evaluator.run();
    };
    const double start = evaluate(100).neg_elbo();
    trainer.run(60);
    const std::vector<float> running = running_of(trainer.parameters());
    const Evaluation whole = evaluate(100), few = evaluate(7), single = evaluate(1);
    EXPECT_LT(whole.neg_elbo(), start) << encoder;
    for (const Evaluation& other : {few, single}) {
      EXPECT_NEAR(other.neg_elbo(), whole.neg_elbo(), 1e-5 * whole.neg_elbo()) << encoder;
      EXPECT_NEAR(*other.iwae_bound, *whole.iwae_bound, 1e-5 * whole.neg_elbo()) << encoder;
      EXPECT_NEAR(other.mse, whole.mse, 1e-5 * whole.mse) << encoder;
    }
    EXPECT_EQ(running_of(trainer.parameters()), running) << "evaluation changes nothing";
  }
}

TEST(norm_models, a_refused_step_leaves_the_running_moments) {
  const SmallData data(64);
  std::vector<float> floats(data.bytes.size());
  for (size_t i = 0; i < floats.size(); ++i) floats[i] = static_cast<float>(data.bytes[i]) / 255;
  SampleStore store = data.store();
  store.data = floats.data();
  store.dtype = Dtype::kF32;
  Runtime runtime({.device = "cpu", .threads = 1});
  Trainer trainer(runtime, store, data.split, options_with("conv 8 4 2 batch-norm; dense 16"));
  const std::vector<float> start = running_of(trainer.parameters());
  trainer.run(1);
  const std::vector<float> after = running_of(trainer.parameters());
  EXPECT_NE(after, start);
  // Too large for its square: the first moments of the batch that are not finite are those of the norm.
  std::fill(floats.begin(), floats.end(), 1e30f);
  floats[0] = -1e30f;
  expect_error([&] { trainer.run(1); }, Exit::kNotFinite, {"step 1"});
  EXPECT_EQ(running_of(trainer.parameters()), after);
}

/// A batch of one image still has many pixels, a dense layer has one value.
TEST(norm_models, one_value_a_channel_is_refused_before_the_first_step) {
  const SmallData data(64);
  Runtime runtime({.device = "cpu", .threads = 1});
  TrainerOptions options = options_with("dense 6 batch-norm");
  options.batch.batch = 1;
  expect_error([&] { Trainer(runtime, data.store(), data.split, options); }, Exit::kUsage,
               {"batch_norm", "more than one value a channel", "(1, 6)"});
  options.model.encoder = "conv 4 4 2 batch-norm; dense 6 group-norm:2";
  Trainer(runtime, data.store(), data.split, options).run(2);
}

}  // namespace
}  // namespace hourglass::test
