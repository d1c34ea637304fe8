// SPDX-License-Identifier: Apache-2.0
// The VQ-VAE as mathematics: what its objective is, where its gradients go, and what its codes say.
#include <algorithm>
#include <cmath>

#include "tests/model_fixture.h"
#include "tests/vqvae_model.h"

namespace hourglass::test {
namespace {

struct VqVaeFixture : ModelFixture {
  explicit VqVaeFixture(const ModelConfig& config) : ModelFixture(config), vqvae(dynamic_cast<VqVae&>(*model)) {
    // Codes within reach of the vectors, several of them in use.
    const Var codebook = vqvae.codebook();
    std::vector<double> values(static_cast<size_t>(codebook.shape.elements()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = 0.3 * std::sin(2.3 * static_cast<double>(i));
    assign(codebook, values);
    vqvae.start(runtime.ctx());
  }
  /// The objective, as the trainer weighs it.
  std::vector<Term> terms(const Batch& batch) {
    const ModelConfig& c = vqvae.config();
    const LossTerms loss = vqvae.train(tape, batch, 1);
    std::vector<Term> list{{loss.reconstruction, 1.0 / c.pixels(), reconstruction},
                           {loss.commitment, c.quantizer.commitment_weight, commitment}};
    if (loss.codebook.node >= 0) list.emplace_back(loss.codebook, 1.0);
    return list;
  }
  void differentiate(const Batch& batch) {
    const std::vector<Term> list = terms(batch);
    tape.backward(list.data(), list.size());
    parameters.complete_gradients(runtime.ctx(), kAllGroups);
  }
  double mean_square(const std::vector<double>& a, const std::vector<double>& b) const {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum / static_cast<double>(a.size());
  }

  VqVae& vqvae;
  Leaf* commitment = kl;  // the second statistic of the fixture
};

/// As the paper's code: uniform in -1/K .. 1/K. k-means, where it is wanted, comes later.
TEST(vqvae, a_codebook_starts_small) {
  for (const ModelConfig& config : {small_vqvae(), plain(small_vqvae())}) {
    ModelFixture f(config);
    const std::vector<double> values = doubles(dynamic_cast<VqVae&>(*f.model).codebook());
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    const double bound = 1.0 / config.quantizer.codes;
    EXPECT_GE(*low, -bound);
    EXPECT_LE(*low, -bound / 2);
    EXPECT_GE(*high, bound / 2);
    EXPECT_LE(*high, bound);
  }
}

/// The straight-through estimate is the gradient of a surrogate: the decoder reads z + sg[c - z], the commitment loss
/// z and sg[c], the codebook loss sg[z] and c. Differences of that, for every parameter.
TEST(vqvae, gradients_are_those_of_the_straight_through_surrogate) {
  for (const bool ema : {true, false}) {
    SCOPED_TRACE(ema ? "moving average" : "learned");
    ModelConfig config = ema ? small_vqvae() : plain(small_vqvae());
    config.activation = Activation::kTanh;
    config.height = config.width = 4;
    config.latent = 2 * 2 * 3;
    VqVaeFixture f(config);
    f.restart();
    const VqVae::Output at = f.vqvae.forward(f.tape, f.batch());
    const std::vector<double> z0 = doubles(at.z), c0 = doubles(at.quantized.codes);
    const int32_t* const first = at.quantized.nearest.index.as<int32_t>();
    const std::vector<int32_t> index(first, first + z0.size() / 3);
    const auto value = [&] {
      const Batch batch = f.batch();
      const std::vector<double> z = doubles(f.vqvae.vectors(f.tape, batch.x));
      std::vector<double> read(z.size()), codes(z.size());
      for (size_t i = 0; i < z.size(); ++i) {
        read[i] = z[i] + c0[i] - z0[i];
        codes[i] = doubles(f.vqvae.codebook())[static_cast<size_t>(3 * index[i / 3]) + i % 3];
      }
      const Var input = f.tape.constant({4, config.latent}, Dtype::kF64);
      assign(input, read);
      const double mse = f.mean_square(doubles(f.vqvae.decode(f.tape, input)), doubles(batch.x));
      return mse + 0.25 * f.mean_square(z, c0) + (ema ? 0 : f.mean_square(z0, codes));
    };
    check_gradients(
        f, [&] { return f.terms(f.batch()); }, value);
  }
}

TEST(vqvae, the_objective_does_not_depend_on_the_number_of_images) {
  VqVaeFixture f(plain(small_vqvae()));
  std::vector<double> x = doubles(f.batch().x);
  f.restart();
  f.differentiate(f.batch_of(x));
  const std::vector<std::vector<double>> gradients = f.gradients();
  const double mse = f.value(f.reconstruction), commitment = f.value(f.commitment);
  const std::vector<double> copy = x;
  x.insert(x.end(), copy.begin(), copy.end());
  f.restart();
  f.differentiate(f.batch_of(x));
  f.expect_gradients(gradients, fp64_tolerance());
  EXPECT_NEAR(f.value(f.reconstruction), mse, 1e-12);
  EXPECT_NEAR(f.value(f.commitment), commitment, 1e-12);
}

TEST(vqvae, the_default_network_of_28_x_28_images) {
  ModelConfig c = small_vqvae();
  c.height = c.width = 28;
  c.encoder = "conv 64 4 2; conv 64 4 2; residual 32; residual 32";
  c.quantizer = {};
  c.latent = 7 * 7 * 64;
  Parameters parameters;
  const auto model = make_model(parameters, c);
  parameters.allocate(0);
  EXPECT_EQ(to_string(c.code_grid()), "7 x 7 x 64");
  EXPECT_EQ(to_text(c.encoder_layers()), "conv 64 4 2; conv 64 4 2; residual 32; residual 32; conv 64 1 none");
  EXPECT_EQ(to_text(c.decoder_layers()),
            "conv 64 1; residual 32; residual 32; conv-transpose 64 4 2; conv-transpose 1 4 2 none");
  EXPECT_EQ(parameters.count(), 223937);
  EXPECT_EQ(dynamic_cast<const VqVae&>(*model).codebook().shape, (Shape{512, 64}));
}

TEST(vqvae, any_image_size_and_a_code_of_one_position) {
  for (const auto& [height, width, encoder] :
       {std::tuple{7, 10, "conv 4 4 2; conv 4 4 2"}, {8, 8, "conv 4 3; max-pool 2"}, {5, 3, "conv 4 3 2; dense 6"}}) {
    ModelConfig c = small_vqvae();
    c.height = height;
    c.width = width;
    c.encoder = encoder;
    c.latent = static_cast<int>(c.code_grid().elements());
    VqVaeFixture f(c);
    f.restart();
    const Batch batch = f.batch(2);
    const VqVae::Output out = f.vqvae.forward(f.tape, batch);
    EXPECT_EQ(out.y.shape, (Shape{2, c.pixels()}));
    EXPECT_EQ(out.z.shape, (Shape{2, c.code_grid().height, c.code_grid().width, 3}));
  }
}

TEST(vqvae, codes_decode_to_the_reconstruction_bit_for_bit) {
  VqVaeFixture f(small_vqvae());
  f.tape.rewind(Mode::kEvaluate);
  const Batch batch = f.batch();
  const Var index = f.vqvae.codes(f.tape, batch.x);
  ASSERT_EQ(index.shape, (Shape{4, 4, 4}));
  EXPECT_EQ(index.dtype, Dtype::kI32);
  const std::vector<double> of_codes = doubles(f.vqvae.decode_codes(f.tape, index));
  EXPECT_EQ(of_codes, doubles(f.vqvae.decode(f.tape, f.vqvae.posterior(f.tape, batch.x).mu)));
  EXPECT_EQ(of_codes, doubles(f.vqvae.forward(f.tape, batch).y));
  std::vector<double> nearest;
  const std::vector<double> z = doubles(f.vqvae.vectors(f.tape, batch.x)), c = doubles(f.vqvae.codebook());
  for (int n = 0; n < 64; ++n) {
    const auto distance = [&](int k) {
      double sum = 0;
      for (int d = 0; d < 3; ++d)
        sum += std::pow(z[static_cast<size_t>(3 * n + d)] - c[static_cast<size_t>(3 * k + d)], 2);
      return sum;
    };
    for (int k = 0; k < 8; ++k) EXPECT_LE(distance(index.as<int32_t>()[n]), distance(k));
  }
}

TEST(vqvae, evaluation_reads_the_noisy_image_and_compares_with_the_clean_one) {
  VqVaeFixture f(small_vqvae());
  f.tape.rewind(Mode::kEvaluate);
  const Batch noisy = corrupt_batch(f.tape, f.batch(), {CorruptionKind::kMask, 0.5});
  const EvaluationTerms terms = f.vqvae.evaluate(f.tape, noisy);
  const std::vector<double> y = doubles(f.vqvae.decode(f.tape, f.vqvae.posterior(f.tape, noisy.corrupted).mu));
  const std::vector<double> x = doubles(noisy.x), error = doubles(terms.squared_error);
  for (size_t n = 0; n < 4; ++n) {
    double sum = 0;
    for (size_t i = 64 * n; i < 64 * (n + 1); ++i) sum += (y[i] - x[i]) * (y[i] - x[i]);
    EXPECT_NEAR(error[n], sum, 1e-12 * sum);
  }
}

TEST(vqvae, configuration_round_trips_and_refuses_nonsense) {
  ModelConfig c = plain(small_vqvae());
  c.quantizer.decay = 0.5;
  const std::string text = to_json(c).dump();
  EXPECT_EQ(to_json(model_config_from_json(Json::parse(text, "config", Exit::kCheckpoint))).dump(), text);
  const auto refused = [](auto change, std::initializer_list<const char*> parts) {
    ModelConfig bad = small_vqvae();
    change(bad);
    expect_error([&] { bad.check(); }, Exit::kUsage, parts);
  };
  refused([](ModelConfig& m) { m.quantizer.codes = 0; }, {"--codebook-size", "1 to 1048576", "0"});
  refused([](ModelConfig& m) { m.quantizer.decay = 1; }, {"--ema-decay", "below 1"});
  refused([](ModelConfig& m) { m.quantizer.ema = false; }, {"--restart-threshold", "--no-ema"});
  refused([](ModelConfig& m) { m.quantizer.commitment_weight = NAN; }, {"--commitment-weight"});
  refused([](ModelConfig& m) { m.likelihood = LikelihoodKind::kBernoulli; }, {"--likelihood", "bernoulli"});
  refused([](ModelConfig& m) { m.latent = 5; }, {"--latent", "encoder's output", "5"});
  refused([](ModelConfig& m) { m.encoder = ""; }, {"--encoder"});
}

}  // namespace
}  // namespace hourglass::test
