// SPDX-License-Identifier: Apache-2.0
// Promises of training: same seed, same bits, whatever the threads; exact resume from any step; no allocation in a
// step; accumulation sees the same images and noise; nothing that is not finite reaches the parameters.
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <new>

#include "models/trainer.h"
#include "tests/harness.h"
#include "tests/small_data.h"

namespace {
thread_local bool counting = false;
thread_local long allocations = 0;
}  // namespace

#if !defined(HOURGLASS_SANITIZED)  // which replaces them itself
// g++ 12 sees malloc through new and calls the pair mismatched.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

// Counts what the calling thread allocates between two points.
void* operator new(std::size_t bytes) {
  if (counting) ++allocations;
  if (void* p = std::malloc(bytes ? bytes : 1)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
#endif

namespace hourglass::test {
namespace {

std::vector<float> train(const SmallData& data, const TrainerOptions& options, int64_t steps, int threads = 1) {
  Runtime runtime({"cpu", threads});
  Trainer trainer(runtime, data.store(), data.split, options);
  trainer.run(steps);
  return values_of(trainer.parameters());
}

TEST(trainer, lowers_the_objective) {
  const SmallData data;
  Runtime runtime({"cpu", 1});
  Trainer trainer(runtime, data.store(), data.split, small_trainer_options());
  trainer.run(20);
  const double before = trainer.take_log().reconstruction;
  trainer.run(300);
  trainer.take_log();
  trainer.run(20);
  EXPECT_LT(trainer.take_log().reconstruction, 0.8 * before);
}

TEST(trainer, ten_runs_give_the_same_bits) {
  const SmallData data;
  const std::vector<float> first = train(data, small_trainer_options(), 30);
  for (int run = 1; run < 10; ++run) expect_same_bits(train(data, small_trainer_options(), 30), first);
  TrainerOptions other = small_trainer_options();
  other.batch.seed = 1;
  EXPECT_NE(train(data, other, 30), first);
}

TEST(trainer, the_number_of_threads_changes_no_bit) {
  const SmallData data(512, 28, 28);
  TrainerOptions options = small_trainer_options();
  options.model.height = options.model.width = 28;
  options.model.hidden = {100, 60};
  options.batch.batch = 128;
  options.samples = 2;
  const std::vector<float> one = train(data, options, 10, 1);
  for (int threads : {2, 4}) expect_same_bits(train(data, options, 10, threads), one);
}

TEST(trainer, accumulation_sees_the_same_images_and_noise) {
  const SmallData data;
  TrainerOptions options = small_trainer_options();
  options.dtype = Dtype::kF64;
  const auto run = [&](int parts) {
    options.micro_batches = parts;
    Runtime runtime({"cpu", 1});
    Trainer trainer(runtime, data.store(), data.split, options);
    trainer.run(20);
    const LogPoint log = trainer.take_log();
    const double* values = static_cast<const double*>(trainer.parameters().values());
    std::vector<double> all(values, values + trainer.parameters().slab_elements());
    all.push_back(log.reconstruction);
    all.push_back(log.kl);
    return all;
  };
  const std::vector<double> whole = run(1);
  expect_close(run(2), whole, Tolerance{1e-9, 0});
  expect_close(run(4), whole, Tolerance{1e-9, 0});
}

TEST(trainer, a_warm_step_allocates_nothing) {
#if defined(HOURGLASS_SANITIZED)
  GTEST_SKIP() << "AddressSanitizer replaces operator new, which this test counts";
#endif
  const SmallData data;
  for (const int64_t data_memory : {0, 1}) {  // held, streamed
    SCOPED_TRACE(data_memory);
    Runtime runtime({"cpu", 1});
    TrainerOptions options = small_trainer_options();
    options.batch.data_memory = data_memory;
    Trainer trainer(runtime, data.store(), data.split, options);
    trainer.run(3);
    trainer.take_log();
    // The log is read on the host between steps; a step itself is what lies inside one more run of it.
    const long per_run = [&] {
      counting = true;
      allocations = 0;
      trainer.run(1);
      counting = false;
      return allocations;
    }();
    counting = true;
    allocations = 0;
    trainer.run(2);
    counting = false;
    EXPECT_LE(allocations - per_run, 1) << "the second step allocated (one is the host's row of the log)";
  }
}

/// Stop after every step, save, start anew from the file: the end is the uninterrupted run's, bit for bit.
TEST(trainer, resumes_from_any_step_with_the_same_bits) {
  const SmallData data;
  for (OptimizerKind kind :
       {OptimizerKind::kSgd, OptimizerKind::kAdam, OptimizerKind::kAdamW, OptimizerKind::kAdadelta}) {
    TrainerOptions options = small_trainer_options();
    options.optimizer.kind = kind;
    options.optimizer.momentum = kind == OptimizerKind::kSgd ? 0.9 : 0;
    options.optimizer.clip_norm = 5;
    options.lr.kind = LrScheduleKind::kCosine;
    options.lr.decay_steps = 20;
    options.lr.warmup = 4;
    options.beta_warmup = 10;
    options.batch.binarize = Binarization::kDynamic;
    Runtime runtime({"cpu", 1});
    Trainer whole(runtime, data.store(), data.split, options);
    whole.run(20);
    const LogPoint whole_log = whole.take_log();
    const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "resume.safetensors";
    for (int64_t stop = 1; stop < 20; stop += kind == OptimizerKind::kAdam ? 1 : 6) {
      {
        Runtime other({"cpu", 1});
        Trainer first(other, data.store(), data.split, options);
        first.run(stop);
        save_checkpoint(path, first.state_tensors(), {});
      }
      Runtime other({"cpu", 1});
      Trainer second(other, data.store(), data.split, options);
      second.restore(open_checkpoint(path));
      EXPECT_EQ(second.step(), stop);
      second.run(20 - stop);
      expect_same_bits(values_of(second.parameters()), values_of(whole.parameters()));
      const LogPoint log = second.take_log();
      EXPECT_EQ(log.steps, whole_log.steps);
      EXPECT_EQ(log.reconstruction, whole_log.reconstruction);
      EXPECT_EQ(log.kl, whole_log.kl);
    }
    std::filesystem::remove(path);
  }
}

TEST(trainer, a_loss_that_is_not_finite_stops_before_the_parameters) {
  SmallData data;
  std::vector<float> floats(data.bytes.size());
  for (size_t i = 0; i < floats.size(); ++i) floats[i] = static_cast<float>(data.bytes[i]) / 255;
  SampleStore store = data.store();
  store.data = floats.data();
  store.dtype = Dtype::kF32;
  Runtime runtime({"cpu", 1});
  Trainer trainer(runtime, store, data.split, small_trainer_options());
  trainer.run(5);
  const std::vector<float> before = values_of(trainer.parameters());
  for (float& x : floats) x = std::numeric_limits<float>::infinity();
  expect_error([&] { trainer.run(1); }, Exit::kNotFinite, {"step 5", "expected finite values"});
  EXPECT_EQ(trainer.step(), 5);
  expect_same_bits(values_of(trainer.parameters()), before);
}

TEST(trainer, a_refused_step_leaves_nothing_behind) {
  const SmallData data;
  std::vector<float> good(data.bytes.size());
  for (size_t i = 0; i < good.size(); ++i) good[i] = static_cast<float>(data.bytes[i]) / 255;
  std::vector<float> floats = good;
  SampleStore store = data.store();
  store.data = floats.data();
  store.dtype = Dtype::kF32;
  TrainerOptions options = small_trainer_options();
  options.model.kind = ModelKind::kAutoencoder;
  options.model.likelihood = LikelihoodKind::kGaussian;
  for (bool detect_anomaly : {false, true}) {
    options.detect_anomaly = detect_anomaly;
    Runtime runtime({"cpu", 1});
    Trainer trainer(runtime, store, data.split, options), undisturbed(runtime, store, data.split, options);
    trainer.run(5);
    undisturbed.run(10);
    // Every value is finite but the products of the last gradients, after others have been written.
    for (float& x : floats) x = 1e30f;
    expect_error([&] { trainer.run(1); }, Exit::kNotFinite, {"step 5", "gradient of a parameter"});
    floats = good;
    trainer.run(5);
    expect_same_bits(values_of(trainer.parameters()), values_of(undisturbed.parameters()));
  }
}

TEST(trainer, a_checkpoint_of_a_negative_step_is_refused) {
  const SmallData data;
  Runtime runtime({"cpu", 1});
  Trainer trainer(runtime, data.store(), data.split, small_trainer_options());
  std::vector<StateTensor> tensors = trainer.state_tensors();
  int64_t step = -5;
  for (StateTensor& t : tensors) {
    if (t.name == "training/step") t.data = &step;
  }
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "negative.safetensors";
  save_checkpoint(path, tensors, {});
  expect_error([&] { trainer.restore(open_checkpoint(path)); }, Exit::kCheckpoint, {"training/step", "-5"});
  std::filesystem::remove(path);
}

TEST(trainer, a_diverging_run_is_named_and_keeps_its_parameters) {
  const SmallData data;
  TrainerOptions options = small_trainer_options();
  options.optimizer.kind = OptimizerKind::kSgd;
  options.lr.lr = 1e30;
  Runtime runtime({"cpu", 1});
  Trainer trainer(runtime, data.store(), data.split, options);
  expect_error([&] { trainer.run(50); }, Exit::kNotFinite, {"step "});
  for (float value : values_of(trainer.parameters())) ASSERT_TRUE(std::isfinite(value));
}

TEST(trainer, fewer_samples_than_a_batch_are_refused_with_both_numbers) {
  const SmallData data(20);
  Runtime runtime({"cpu", 1});
  expect_error([&] { Trainer(runtime, data.store(), data.split, small_trainer_options()); }, Exit::kUsage,
               {"a batch of 32", "20 samples", "always full"});
}

TEST(trainer, learning_rate_schedules) {
  LrSchedule s;
  s.lr = 2;
  s.warmup = 4;
  s.decay_steps = 10;
  s.gamma = 0.5;
  EXPECT_DOUBLE_EQ(s.at(0), 0.5);
  EXPECT_DOUBLE_EQ(s.at(3), 2);
  EXPECT_DOUBLE_EQ(s.at(1000), 2);
  s.kind = LrScheduleKind::kCosine;
  EXPECT_DOUBLE_EQ(s.at(4), 2);
  EXPECT_NEAR(s.at(9), 1, 1e-15);
  EXPECT_NEAR(s.at(14), 0, 1e-15);
  EXPECT_NEAR(s.at(99), 0, 1e-15);
  s.kind = LrScheduleKind::kStep;
  EXPECT_DOUBLE_EQ(s.at(13), 2);
  EXPECT_DOUBLE_EQ(s.at(14), 1);
  EXPECT_DOUBLE_EQ(s.at(24), 0.5);
  s.kind = LrScheduleKind::kExponential;
  EXPECT_DOUBLE_EQ(s.at(14), 1);
  EXPECT_NEAR(s.at(9), 2 * std::sqrt(0.5), 1e-15);
}

}  // namespace
}  // namespace hourglass::test
