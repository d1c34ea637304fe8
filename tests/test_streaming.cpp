// SPDX-License-Identifier: Apache-2.0
// Samples beyond --data-memory: brought to the step batch by batch, with the bits of a run that holds them all.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/streaming_checks.h"

namespace hourglass::test {
namespace {

TrainerOptions small_batches() {
  TrainerOptions options = small_trainer_options();
  options.batch.batch = 16;
  return options;
}

TEST(Streaming, ATrainingHasTheBitsOfOneThatHoldsItsData) {
  for (const int threads : {1, 2}) check_streaming({"cpu", threads}, small_batches());
}

TEST(Streaming, MicroBatchesBinarisationAndImportanceSamples) {
  TrainerOptions options = small_batches();
  options.micro_batches = 4;
  options.batch.binarize = Binarization::kDynamic;
  check_streaming({"cpu", 1}, options, 3);
}

TEST(Streaming, FloatSamples) {
  const SmallData data(64);
  std::vector<float> floats;
  for (const uint8_t byte : data.bytes) floats.push_back(static_cast<float>(byte) / 255);
  const SampleStore store{floats.data(), Dtype::kF32, 64, data.columns};
  TrainerOptions options = small_batches();
  const Trained held = train_and_evaluate({"cpu", 1}, store, data.split, options, 0);
  options.batch.data_memory = 1;
  expect_same_training(train_and_evaluate({"cpu", 1}, store, data.split, options, 0), held);
}

TEST(Streaming, DataThatFitAreHeld) {
  const SmallData data(100);
  const FileData file(data);
  Runtime runtime({"cpu", 1});
  const auto streams = [&](const SampleStore& store, int64_t memory) {
    return BatchSource(runtime.ctx(), store, data.split, {.batch = 8, .data_memory = memory}, Dtype::kF32).streams();
  };
  EXPECT_FALSE(streams(data.store(), 0));
  EXPECT_FALSE(streams(data.store(), 6400));
  EXPECT_TRUE(streams(data.store(), 6399));
  EXPECT_TRUE(streams(file.store(), 0));
}

/// Steps that do not follow one another: a resumed run begins in the middle, a fault goes back.
TEST(Streaming, AnyStepCanBeTheNext) {
  const SmallData data(100);
  BatchStream::Rows rows = [](int64_t number, int32_t* to) {
    for (int r = 0; r < 3; ++r) to[r] = static_cast<int32_t>((7 * number + r) % 100);
  };
  BatchStream stream({}, data.store(), 3, rows);
  for (const int64_t number : {0, 1, 2, 3, 4, 5, 6, 5, 5, 900, 901, 3, 4, 8, 0}) {
    stream.acquire(number);
    const auto* slot = static_cast<const uint8_t*>(stream.slots()[number % BatchStream::kSlots]);
    for (int r = 0; r < 3; ++r) {
      const uint8_t* const want = data.bytes.data() + (7 * number + r) % 100 * data.columns;
      EXPECT_TRUE(std::equal(want, want + data.columns, slot + r * data.columns)) << number << " " << r;
    }
    stream.point_to(number);
    EXPECT_EQ(*stream.pointed(), slot);
  }
}

TEST(Streaming, AFileThatBecomesShorterIsNamedAndTheStepsBeforeStand) {
  const SmallData data(100);
  const FileData file(data);
  Runtime runtime({"cpu", 1});
  Trainer trainer(runtime, file.store(), data.split, small_batches());
  trainer.run(2);
  const std::vector<float> before = values_of(trainer.parameters());
  std::filesystem::resize_file(file.path, 64);
  expect_error([&] { trainer.run(20); }, Exit::kData, {file.path.c_str(), "shorter"});
  EXPECT_LE(trainer.step(), 2 + BatchStream::kSlots);
  // Whole again, it goes on from there.
  std::filesystem::resize_file(file.path, data.bytes.size());
  trainer.run(1);
  EXPECT_NE(values_of(trainer.parameters()), before);
}

TEST(Streaming, AFaultIsExplainedFromItsOwnBatch) {
  const SmallData data(64);
  std::vector<float> floats(data.bytes.size(), 0.5f);
  floats[64 * 20 + 3] = std::numeric_limits<float>::infinity();
  const SampleStore store{floats.data(), Dtype::kF32, 64, data.columns};
  std::vector<std::string> messages;
  for (const int64_t memory : {0, 1}) {
    Runtime runtime({"cpu", 1});
    TrainerOptions options = small_batches();
    options.batch.data_memory = memory;
    Trainer trainer(runtime, store, data.split, options);
    try {
      trainer.run(40);
      ADD_FAILURE() << "no fault";
    } catch (const Error& error) {
      messages.push_back(error.what());
    }
  }
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[0], messages[1]);
}

}  // namespace
}  // namespace hourglass::test
