// SPDX-License-Identifier: Apache-2.0
#include <numeric>

#include "kernels/batch.h"
#include "tests/cases/batch.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

template <class T>
struct Gathered {
  std::vector<T> x;
  std::vector<int32_t> indices;
};

template <class T, bool kTimed, class S>
Gathered<T> gather(const Context& ctx, const BatchShape& s, const std::vector<S>& data, BatchOrder order,
                   Binarize binarize = {}) {
  Guarded<T> x(int64_t{s.N} * s.D);
  Guarded<int32_t> indices(s.N);
  if constexpr (kTimed) {
    cpu::gather_batch(ctx, s, data.data(), order, binarize, x.data(), indices.data());
  } else {
    cpu::gather_batch<S, T>(ctx, s, data.data(), order, binarize, x.data(), indices.data());
  }
  return {x.values(), indices.values()};
}

/// A store of the shape's samples; large ones are cut to keep the test small (`dataset` stays what the case says).
std::vector<uint8_t> bytes_for(const BatchShape& s) {
  return random_integers<uint8_t>(int64_t{s.dataset} * s.D, 1, 0, 255);
}

std::string name_of(const BatchShape& s) {
  return describe("batch", {s.N, s.D, s.first_row, s.global_batch, s.dataset});
}

const std::vector<Binarize> kBinarize = {
    {}, {Binarization::kStatic, 5, stream_id("binarize")}, {Binarization::kDynamic, 5, stream_id("train/binarize")}};

TEST(Batch, AllFormsAgree) {
  for (const BatchShape& s : kBatchCases) {
    SCOPED_TRACE(name_of(s));
    const auto bytes = bytes_for(s);
    const auto floats = random_values<float>(int64_t{s.dataset} * s.D, 2, 0, 1);
    const int64_t step = 3;
    const BatchOrder order{7, &step};
    for (const Binarize& binarize : kBinarize) {
      const auto want = gather<float, false>({}, s, bytes, order, binarize);
      const auto in_double = gather<double, false>({}, s, bytes, order, binarize);
      const auto timed = gather<float, true>({}, s, bytes, order, binarize);
      expect_same_bits(timed.x, want.x, "u8");
      expect_same_bits(timed.indices, want.indices, "indices");
      expect_close(want.x, in_double.x, fp32_tolerance(1), "u8 against double");
      const auto from_floats = gather<float, false>({}, s, floats, order, binarize);
      expect_same_bits(gather<float, true>({}, s, floats, order, binarize).x, from_floats.x, "f32");
      expect_close(gather<double, false>({}, s, floats, order, binarize).x, from_floats.x, exact(), "f32 in double");
      expect_same_bits_for_threads(
          [&](const Context& ctx) { return gather<float, true>(ctx, s, bytes, order, binarize).x; });
    }
  }
}

TEST(Batch, CopiesTheSampleThatTheIndexNames) {
  for (const BatchShape& s : kBatchCases) {
    SCOPED_TRACE(name_of(s));
    const auto bytes = bytes_for(s);
    const auto got = gather<float, true>({}, s, bytes, {7});
    for (int64_t r = 0; r < s.N; ++r) {
      const int64_t index = got.indices[static_cast<size_t>(r)];
      ASSERT_TRUE(index >= 0 && index < s.dataset);
      for (int64_t d = 0; d < s.D; ++d) {
        ASSERT_EQ(got.x[static_cast<size_t>(r * s.D + d)],
                  static_cast<float>(bytes[static_cast<size_t>(index * s.D + d)]) / 255.0f);
      }
    }
  }
}

/// Counts how often each of 103 samples is seen in each of three epochs of ten batches of 10.
std::vector<std::vector<int>> visits(uint32_t seed) {
  const std::vector<uint8_t> data(103);
  std::vector<std::vector<int>> seen(3, std::vector<int>(103));
  for (int64_t step = 0; step < 30; ++step) {
    for (int32_t index : gather<float, true>({}, {10, 1, 0, 10, 103}, data, {seed, &step}).indices) {
      ++seen[static_cast<size_t>(step / 10)][static_cast<size_t>(index)];
    }
  }
  return seen;
}

TEST(Batch, AnEpochSeesEachSampleAtMostOnceAndDropsAnotherEnd) {
  const auto seen = visits(11);
  for (const auto& epoch : seen) {
    EXPECT_EQ(std::accumulate(epoch.begin(), epoch.end(), 0), 100);
    EXPECT_EQ(*std::max_element(epoch.begin(), epoch.end()), 1);
  }
  EXPECT_NE(seen[0], seen[1]);
  EXPECT_NE(seen[1], seen[2]);
  EXPECT_NE(visits(12)[0], seen[0]) << "the seed orders";
}

TEST(Batch, AFullEpochIsAPermutationAndShuffles) {
  const std::vector<uint8_t> data(96);
  std::vector<std::vector<int32_t>> orders(2);
  for (int64_t step = 0; step < 24; ++step) {
    const auto got = gather<float, true>({}, {8, 1, 0, 8, 96}, data, {1, &step}).indices;
    auto& order = orders[static_cast<size_t>(step / 12)];
    order.insert(order.end(), got.begin(), got.end());
  }
  EXPECT_NE(orders[0], orders[1]);
  std::vector<int32_t> identity(96);
  std::iota(identity.begin(), identity.end(), 0);
  for (auto& order : orders) {
    EXPECT_NE(order, identity);
    std::sort(order.begin(), order.end());
    EXPECT_EQ(order, identity);
  }
}

TEST(Batch, TwoMicroBatchesSeeWhatOneBatchSees) {
  const auto data = random_integers<uint8_t>(1000 * 20, 3, 0, 255);
  for (const Binarize& binarize : kBinarize) {
    for (int64_t step : {0, 6, 7, 100}) {
      const BatchOrder order{9, &step};
      const auto whole = gather<float, true>({}, {128, 20, 0, 128, 1000}, data, order, binarize);
      auto halves = gather<float, true>({}, {64, 20, 0, 128, 1000}, data, order, binarize);
      const auto second = gather<float, true>({}, {64, 20, 64, 128, 1000}, data, order, binarize);
      halves.x.insert(halves.x.end(), second.x.begin(), second.x.end());
      halves.indices.insert(halves.indices.end(), second.indices.begin(), second.indices.end());
      expect_same_bits(halves.x, whole.x);
      expect_same_bits(halves.indices, whole.indices);
    }
  }
}

TEST(Batch, EvaluationTakesTheRowsItIsGiven) {
  const std::vector<float> data = {0, 1, 2, 3, 4, 5, 6, 7};
  const std::vector<int32_t> rows = {3, -1, 0, 3};
  for (const bool timed : {false, true}) {
    const BatchShape s{4, 2, 0, 0, 4};
    const BatchOrder order{.rows = rows.data()};
    const auto got = timed ? gather<float, true>({}, s, data, order) : gather<float, false>({}, s, data, order);
    expect_same_bits(got.x, std::vector<float>{6, 7, 0, 0, 0, 1, 6, 7});
    expect_same_bits(got.indices, std::vector<int32_t>{3, -1, 0, 3});
  }
}

TEST(Batch, TheTableMapsSamplesToTheStore) {
  std::vector<float> data(20);
  std::iota(data.begin(), data.end(), 0.0f);
  const std::vector<int32_t> table = {19, 3, 8, 11}, rows = {1, 0};
  const BatchOrder evaluation{.rows = rows.data(), .table = table.data()};
  expect_same_bits(gather<float, true>({}, {2, 1, 0, 0, 4}, data, evaluation).indices, std::vector<int32_t>{3, 19});
  for (const bool timed : {false, true}) {
    const BatchShape s{4, 1, 0, 4, 4};
    const BatchOrder order{.seed = 2, .table = table.data()};
    auto got = timed ? gather<float, true>({}, s, data, order) : gather<float, false>({}, s, data, order);
    std::sort(got.indices.begin(), got.indices.end());
    expect_same_bits(got.indices, std::vector<int32_t>{3, 8, 11, 19});
  }
}

/// Grey 3/4 in 200 samples of 100 pixels: about three quarters are drawn 1, and the keys are those the header names.
class BatchBinarize : public testing::Test {
 protected:
  static constexpr int kSamples = 200, kPixels = 100;
  std::vector<float> data_ = std::vector<float>(kSamples * kPixels, 0.75f);

  Gathered<float> at(int64_t step, Binarization mode, uint32_t seed = 5) const {
    return gather<float, true>({}, {kSamples, kPixels, 0, kSamples, kSamples}, data_, {3, &step}, {mode, seed});
  }
  Gathered<float> evaluated(const std::vector<int32_t>& rows, Binarization mode) const {
    return gather<float, true>({}, {static_cast<int>(rows.size()), kPixels, 0, 0, kSamples}, data_,
                               {.rows = rows.data()}, {mode, 5});
  }
  /// The picture of a sample in a batch.
  static std::vector<float> picture(const Gathered<float>& batch, int32_t sample) {
    const auto row = std::find(batch.indices.begin(), batch.indices.end(), sample) - batch.indices.begin();
    return {batch.x.begin() + row * kPixels, batch.x.begin() + (row + 1) * kPixels};
  }
};

TEST_F(BatchBinarize, DrawsWithTheProbabilityOfThePixel) {
  for (const Binarization mode : {Binarization::kStatic, Binarization::kDynamic}) {
    const auto x = at(0, mode).x;
    for (const float pixel : x) ASSERT_TRUE(pixel == 0 || pixel == 1);
    const double mean = std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
    EXPECT_NEAR(mean, 0.75, 5 * std::sqrt(0.75 * 0.25 / static_cast<double>(x.size())));
  }
}

TEST_F(BatchBinarize, NeverChangesBlackAndWhite) {
  std::fill(data_.begin(), data_.begin() + kSamples * kPixels / 2, 0.0f);
  std::fill(data_.begin() + kSamples * kPixels / 2, data_.end(), 1.0f);
  for (const Binarization mode : {Binarization::kStatic, Binarization::kDynamic}) {
    expect_same_bits(at(4, mode).x, at(4, Binarization::kNone).x);
  }
}

TEST_F(BatchBinarize, StaticIsOnePictureInEveryStepAndInEvaluation) {
  const auto first = at(0, Binarization::kStatic), later = at(5, Binarization::kStatic);
  const auto evaluation = evaluated({17, 4}, Binarization::kStatic);
  EXPECT_NE(first.indices, later.indices);
  for (const int32_t sample : {4, 17}) {
    expect_same_bits(picture(later, sample), picture(first, sample));
    expect_same_bits(picture(evaluation, sample), picture(first, sample));
  }
  EXPECT_NE(picture(first, 4), picture(first, 17));
  EXPECT_NE(at(0, Binarization::kStatic, 6).x, first.x) << "the seed draws";
}

TEST_F(BatchBinarize, DynamicIsRedrawnEachStepButNotInEvaluation) {
  EXPECT_NE(picture(at(0, Binarization::kDynamic), 4), picture(at(1, Binarization::kDynamic), 4));
  expect_same_bits(at(1, Binarization::kDynamic).x, at(1, Binarization::kDynamic).x);
  expect_same_bits(picture(evaluated({17, 4}, Binarization::kDynamic), 4),
                   picture(evaluated({4}, Binarization::kDynamic), 4));
}

TEST(Batch, StagedBatchesAreReadInsteadOfTheStore) {
  constexpr int kRows = 50, kColumns = 6, kBatch = 8, kSlots = 3;
  const auto data = random_integers<uint8_t>(kRows * kColumns, 1, 0, 255);
  const std::vector<int32_t> rows = {3, -1, 0, 49, 2};
  for (const int64_t step : {0, 4, 11}) {
    const BatchShape s{5, kColumns, 3, kBatch, kRows};  // the later part of a batch
    for (BatchOrder order : {BatchOrder{7, &step}, BatchOrder{7, nullptr, rows.data()}}) {
      BatchShape shape = s;
      if (order.rows) shape.first_row = 0;
      std::vector<float> want(5 * kColumns), got(want.size()), simd(want.size());
      std::vector<int32_t> index(5), staged_index(5);
      cpu::gather_batch<uint8_t, float>({}, shape, data.data(), order, {}, want.data(), index.data());
      // The slot of the step has the rows of the batch; the others have nothing that may be read.
      std::vector<uint8_t> slot(kBatch * kColumns);
      for (int r = 0; r < 5; ++r) {
        if (index[r] < 0) continue;
        std::copy_n(data.data() + index[r] * kColumns, kColumns, slot.data() + (shape.first_row + r) * kColumns);
      }
      std::vector<const void*> slots(kSlots);
      slots[static_cast<size_t>(order.rows ? 0 : step % kSlots)] = slot.data();
      order.staged = {slots.data(), kSlots};
      const uint8_t* const none = nullptr;
      cpu::gather_batch<uint8_t, float>({}, shape, none, order, {}, got.data(), staged_index.data());
      EXPECT_EQ(got, want);
      EXPECT_EQ(staged_index, index);
      cpu::gather_batch({}, shape, none, order, {}, simd.data(), staged_index.data());
      EXPECT_EQ(simd, want);
    }
  }
}

TEST(Batch, ScalesEveryByteExactly) {
  std::vector<uint8_t> data(256);
  std::iota(data.begin(), data.end(), uint8_t{0});
  const std::vector<int32_t> rows = {0};
  const auto x = gather<float, true>({}, {1, 256, 0, 0, 1}, data, {.rows = rows.data()}).x;
  for (int i = 0; i < 256; ++i) EXPECT_EQ(x[static_cast<size_t>(i)], static_cast<float>(i / 255.0)) << i;
}

TEST(Batch, RefusesBadShapes) {
  float x = 0;
  int32_t index = 0;
  const uint8_t data = 0;
  const auto run = [&](BatchShape s) { cpu::gather_batch({}, s, &data, {}, {}, &x, &index); };
  expect_error([&] { run({1, 1, 0, 128, 100}); }, Exit::kUsage, {"batch", "1 to 100", "got 128"});
  expect_error([&] { run({64, 1, 65, 128, 1000}); }, Exit::kUsage, {"global batch of 128", "64 rows from 65"});
  expect_error([&] { run({-1, 1, 0, 1, 1}); }, Exit::kUsage, {"N = -1"});
}

}  // namespace
}  // namespace hourglass::test
