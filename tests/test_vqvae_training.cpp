// SPDX-License-Identifier: Apache-2.0
// Training, evaluation and use of a VQ-VAE: what is learned, what is logged, what a resumed run repeats to the bit, and
// what is refused.
#include <cmath>
#include <limits>

#include "engine/checkpoint.h"
#include "models/evaluation.h"
#include "tests/model_fixture.h"
#include "tests/vqvae_model.h"

namespace hourglass::test {
namespace {

/// Everything that a checkpoint has, as bytes.
std::vector<std::byte> state_of(Trainer& trainer) {
  std::vector<std::byte> bytes;
  for (const StateTensor& t : trainer.state_tensors()) {
    const size_t size = static_cast<size_t>(checked_array_bytes(t.shape, t.type));
    bytes.insert(bytes.end(), static_cast<const std::byte*>(t.data), static_cast<const std::byte*>(t.data) + size);
  }
  return bytes;
}

/// Restarts happen, and noise on the input.
TrainerOptions lively() {
  TrainerOptions options = vqvae_trainer_options();
  options.model.quantizer.restart_threshold = 20;
  options.model.quantizer.decay = 0.8;
  options.corruption = {CorruptionKind::kMask, 0.2};
  return options;
}

struct Trained {
  explicit Trained(const TrainerOptions& options, int64_t steps = 0, int threads = 1)
      : runtime({"cpu", threads}), trainer(runtime, data.store(), data.split, options) {
    trainer.run(steps);
  }
  SmallData data{75};
  Runtime runtime;
  Trainer trainer;
};

TEST(vqvae_training, lowers_the_error_and_logs_the_use_of_the_codes) {
  Trained t(vqvae_trainer_options(), 1);
  const LogPoint first = t.trainer.take_log();
  EXPECT_GT(perplexity(first.code_usage), 3) << "live from step 1";
  EXPECT_GT(first.commitment, 0);
  t.trainer.run(400);
  t.trainer.take_log();
  t.trainer.run(10);
  const LogPoint last = t.trainer.take_log();
  EXPECT_LT(last.reconstruction, 0.35 * first.reconstruction);
  EXPECT_EQ(std::accumulate(last.code_usage.begin(), last.code_usage.end(), int64_t{0}), 10 * 16 * 16);
  EXPECT_GT(perplexity(last.code_usage), 5);
  EXPECT_EQ(t.trainer.take_log().code_usage, std::vector<int64_t>(8)) << "each window counts anew";
}

TEST(vqvae_training, k_means_puts_the_codes_among_the_vectors) {
  TrainerOptions options = vqvae_trainer_options();
  Trained kmeans(options, 1);
  options.model.quantizer.kmeans = false;
  Trained uniform(options, 1);
  EXPECT_LT(kmeans.trainer.take_log().commitment, 0.3 * uniform.trainer.take_log().commitment);
}

TEST(vqvae_training, resumes_from_any_step_with_the_same_bits) {
  TrainerOptions learned = vqvae_trainer_options(plain(small_vqvae()));
  learned.model.quantizer.kmeans = true;
  for (const TrainerOptions& options : {lively(), learned}) {
    Trained whole(options, 12);
    const std::vector<std::byte> want = state_of(whole.trainer);
    const LogPoint log = whole.trainer.take_log();
    const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "vqvae-resume.safetensors";
    for (int64_t stop = 0; stop < 12; ++stop) {
      SCOPED_TRACE(stop);
      {
        Trained first(options, stop);
        save_checkpoint(path, first.trainer.state_tensors(), {});
      }
      Trained second(options);
      second.trainer.restore(open_checkpoint(path));
      second.trainer.run(12 - stop);
      EXPECT_TRUE(state_of(second.trainer) == want);
      EXPECT_EQ(second.trainer.take_log().code_usage, log.code_usage);
    }
    std::filesystem::remove(path);
  }
}

TEST(vqvae_training, restarts_change_the_run) {
  TrainerOptions options = lively();
  Trained with(options, 12);
  options.model.quantizer.restart_threshold = 0;
  Trained without(options, 12);
  EXPECT_FALSE(state_of(with.trainer) == state_of(without.trainer)) << "the test of resuming would show nothing";
}

TEST(vqvae_training, threads_and_streamed_data_change_no_bit) {
  TrainerOptions options = lively();
  Trained one(options, 12), two(options, 12, 2);
  EXPECT_TRUE(state_of(two.trainer) == state_of(one.trainer));
  options.batch.data_memory = 1;
  Trained streamed(options, 12);
  EXPECT_TRUE(state_of(streamed.trainer) == state_of(one.trainer));
}

TEST(vqvae_training, two_micro_batches_are_one_batch) {
  for (const ModelConfig& model : {small_vqvae(), plain(small_vqvae())}) {
    TrainerOptions options = vqvae_trainer_options(model);
    options.dtype = Dtype::kF64;
    options.model.quantizer.restart_threshold = 0;  // restarts draw from the last part
    const auto run = [&](int parts) {
      options.micro_batches = parts;
      Trained t(options, 10);
      const double* values = static_cast<const double*>(t.trainer.parameters().values());
      std::vector<double> all(values, values + t.trainer.parameters().slab_elements());
      const LogPoint log = t.trainer.take_log();
      for (const double value : {log.reconstruction, log.commitment}) all.push_back(value);
      for (const int64_t n : log.code_usage) all.push_back(static_cast<double>(n));
      return all;
    };
    expect_close(run(2), run(1), Tolerance{1e-9, 0});
  }
}

/// Independent of its batch, and equal to a count over the whole split by hand.
TEST(vqvae_training, evaluation_is_that_of_the_whole_split) {
  TrainerOptions options = vqvae_trainer_options();
  options.dtype = Dtype::kF64;
  Trained t(options, 30);
  const VqVae& model = dynamic_cast<const VqVae&>(t.trainer.model());
  Runtime runtime({"cpu", 1});
  runtime.arena().reserve(runtime.ctx(), size_t{4} << 20);
  Tape tape(runtime.ctx(), runtime.arena());
  tape.rewind(Mode::kEvaluate);
  const Var x = tape.constant({75, 64}, Dtype::kF64);
  for (size_t i = 0; i < t.data.bytes.size(); ++i) x.as<double>()[i] = t.data.bytes[i] / 255.0;
  const std::vector<double> y = doubles(model.decode(tape, model.posterior(tape, x).mu)), pixels = doubles(x);
  const Var index = model.codes(tape, x);
  const std::vector<double> z = doubles(model.vectors(tape, x)), codebook = doubles(model.codebook());
  double mse = 0, commitment = 0;
  std::vector<int64_t> usage(8);
  for (size_t i = 0; i < y.size(); ++i) mse += (y[i] - pixels[i]) * (y[i] - pixels[i]) / (75 * 64);
  for (size_t n = 0; n < 75 * 16; ++n) {
    const size_t k = static_cast<size_t>(index.as<int32_t>()[n]);
    ++usage[k];
    for (size_t d = 0; d < 3; ++d) commitment += std::pow(z[3 * n + d] - codebook[3 * k + d], 2) / (75 * 16 * 3);
  }
  for (const int batch : {75, 7, 500}) {
    Runtime own({"cpu", 1});
    EvaluationOptions e;
    e.batch = batch;
    const Evaluation got = Evaluator(own, model, t.data.store(), t.data.split, e, Dtype::kF64).run();
    ASSERT_TRUE(got.codes);
    EXPECT_NEAR(got.mse, mse, 1e-12);
    EXPECT_NEAR(got.codes->commitment_loss, commitment, 1e-12);
    EXPECT_NEAR(got.objective, mse + 0.25 * commitment, 1e-12);
    EXPECT_EQ(got.codes->usage, usage);
    EXPECT_EQ(got.codes->used(), std::count_if(usage.begin(), usage.end(), [](int64_t n) { return n > 0; }));
    const Json json = to_json(got);
    for (const char* key : {"mse", "psnr", "perplexity", "codes_used", "codebook_loss", "commitment_loss"}) {
      EXPECT_TRUE(json.find(key) && json.at(key).is_number()) << key;
    }
  }
}

TEST(vqvae_training, a_loaded_model_gives_codes_and_images_back) {
  Trained t(vqvae_trainer_options(), 20);
  const std::string path = testing::TempDir() + "/vqvae.safetensors";
  save_checkpoint(path, t.trainer.state_tensors(), {{"model", to_json(t.trainer.model().config()).dump()}});
  Inference model = VqVae::load(path, {"cpu", 1});
  Matrix x(300, 64);  // more than a batch of inference
  for (size_t i = 0; i < x.values.size(); ++i) {
    x.values[i] = static_cast<float>(t.data.bytes[i % t.data.bytes.size()]) / 255;
  }
  const std::vector<int32_t> codes = model.encode_codes(x);
  ASSERT_EQ(codes.size(), 300u * 16);
  EXPECT_EQ(model.decode_codes(codes).values, model.reconstruct(x).values);
  EXPECT_EQ(model.encode(x).cols, 48);
  expect_error([&] { model.decode_codes({1, 2}); }, Exit::kUsage, {"decode_codes", "16 codes an image", "2"});
  std::vector<int32_t> other(16);
  other[5] = 8;
  expect_error([&] { model.decode_codes(other); }, Exit::kData, {"element 5", "0 to 7", "8"});
  expect_error([&] { model.encode_codes(Matrix(2, 63)); }, Exit::kUsage, {"encode_codes", "64", "63"});
  expect_error([&] { model.encode(Matrix(2, 63)); }, Exit::kUsage, {"encode", "rows of 64 values", "2 rows of 63"});
  Matrix torn(2, 64);
  torn.values.pop_back();
  expect_error([&] { model.encode(torn); }, Exit::kUsage, {"encode", "rows of 64 values"});
  expect_error([&] { model.encode_logvar(x); }, Exit::kUsage, {"encode_logvar"});
}

TEST(vqvae_training, what_is_not_finite_is_named_and_changes_nothing) {
  SmallData data(64);
  std::vector<float> good(data.bytes.size());
  for (size_t i = 0; i < good.size(); ++i) good[i] = static_cast<float>(data.bytes[i]) / 255;
  for (const ModelConfig& model : {small_vqvae(), plain(small_vqvae())}) {
    std::vector<float> floats = good;
    SampleStore store = data.store();
    store.data = floats.data();
    store.dtype = Dtype::kF32;
    Runtime runtime({"cpu", 1});
    Trainer trainer(runtime, store, data.split, vqvae_trainer_options(model));
    trainer.run(3);
    const std::vector<std::byte> before = state_of(trainer);
    for (float& x : floats) x = std::numeric_limits<float>::infinity();
    expect_error([&] { trainer.run(2); }, Exit::kNotFinite, {"step 3", "conv2d", "expected finite values"});
    EXPECT_TRUE(state_of(trainer) == before);
    floats = good;
    const VqVae& vqvae = dynamic_cast<const VqVae&>(trainer.model());
    vqvae.codebook().as<float>()[3 * 5 + 1] = std::numeric_limits<float>::quiet_NaN();
    expect_error([&] { trainer.run(2); }, Exit::kNotFinite, {"step 3", "code 5 of the codebook"});
    EXPECT_EQ(trainer.step(), 3);
  }
  std::vector<float> broken(good.size(), std::numeric_limits<float>::infinity());
  SampleStore store = data.store();
  store.data = broken.data();
  store.dtype = Dtype::kF32;
  Runtime runtime({"cpu", 1});
  Trainer trainer(runtime, store, data.split, vqvae_trainer_options());
  expect_error([&] { trainer.run(1); }, Exit::kNotFinite, {"the codebook's start", "kmeans", "not finite"});
}

}  // namespace
}  // namespace hourglass::test
