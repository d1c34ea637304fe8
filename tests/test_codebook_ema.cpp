// SPDX-License-Identifier: Apache-2.0
#include <set>

#include "kernels/base/codebook_ema_rules.h"
#include "kernels/codebook_ema.h"
#include "tests/cases/codebook_ema.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

template <class T>
struct State {
  std::vector<T> counts, sums, codebook;
  CodebookEma<T> pointers() { return {counts.data(), sums.data(), codebook.data()}; }
};

template <class T>
State<T> started(const CodebookEmaShape& s, uint64_t seed = 3) {
  State<T> state{std::vector<T>(s.K), std::vector<T>(int64_t{s.K} * s.D), random_values<T>(int64_t{s.K} * s.D, seed)};
  cpu::start_codebook_ema<T>({}, s, state.pointers());
  return state;
}

TEST(CodebookEma, FollowsTheFormulaStepByStep) {
  // Two codes of one dimension, decay 0.5, eps 1: every number can be checked by hand.
  const CodebookEmaShape s{4, 1, 2};
  CodebookEmaOptions options;
  options.decay = 0.5;
  options.epsilon = 1;
  State<double> state{{1, 1}, {2, -4}, {2, -4}};
  const std::vector<double> counts = {3, 1}, sums = {9, -2};
  cpu::codebook_ema_update<double>({}, s, options, nullptr, counts.data(), sums.data(), nullptr, {}, state.pointers());
  EXPECT_EQ(state.counts, (std::vector<double>{2, 1}));
  EXPECT_EQ(state.sums, (std::vector<double>{5.5, -3}));
  // n = 3, S = (N + 1) 3 / 5
  EXPECT_DOUBLE_EQ(state.codebook[0], 5.5 / (3 * 3.0 / 5));
  EXPECT_DOUBLE_EQ(state.codebook[1], -3 / (2 * 3.0 / 5));
  cpu::codebook_ema_update<double>({}, s, options, nullptr, counts.data(), sums.data(), nullptr, {}, state.pointers());
  EXPECT_EQ(state.counts, (std::vector<double>{2.5, 1}));  // the smoothed counts were not stored
  EXPECT_EQ(state.sums, (std::vector<double>{7.25, -2.5}));
}

TEST(CodebookEma, WithoutRestartTheCountsSumToTheirAverage) {
  for (const CodebookEmaShape& s : kCodebookEmaCases) {
    State<double> state = started<double>(s);
    const auto counts = random_integers<double>(s.K, 1, 0, 20), sums = random_values<double>(int64_t{s.K} * s.D, 2);
    double n = s.K, rows = 0;
    for (const double count : counts) rows += count;
    for (int step = 0; step < 5; ++step) {
      cpu::codebook_ema_update<double>({}, s, {}, nullptr, counts.data(), sums.data(), nullptr, {}, state.pointers());
      n = 0.99 * n + 0.01 * rows;
    }
    double total = 0;
    for (const double count : state.counts) total += count;
    EXPECT_NEAR(total, n, 1e-9 * n);
  }
}

TEST(CodebookEma, DeadCodesRestartOnDifferentRowsWithTheirAverages) {
  const CodebookEmaShape s{200, 5, 120};
  const int64_t step = 17;
  const Noise noise{7, stream_id("test/restart"), &step};
  CodebookEmaOptions options;
  options.restart_threshold = 1;
  State<float> state = started<float>(s);
  std::vector<float> counts(s.K, 10), sums = random_values<float>(int64_t{s.K} * s.D, 2);
  for (int k = 0; k < s.K; k += 2) {
    counts[k] = 0;  // 0.99 after the update
    std::fill_n(sums.begin() + int64_t{k} * s.D, s.D, 0.0f);
  }
  const auto x = random_values<float>(int64_t{s.N} * s.D, 5);
  State<float> alive = state;
  cpu::codebook_ema_update<float>({}, s, {}, nullptr, counts.data(), sums.data(), nullptr, {}, alive.pointers());
  cpu::codebook_ema_update<float>({}, s, options, nullptr, counts.data(), sums.data(), x.data(), noise,
                                  state.pointers());
  std::set<int32_t> rows;
  for (int k = 0; k < s.K; ++k) {
    if (k % 2) {
      EXPECT_EQ(state.counts[k], alive.counts[k]);
      EXPECT_EQ(state.codebook[k * s.D], alive.codebook[k * s.D]);
      continue;
    }
    const int32_t row = restart_row(noise, k, s.N);
    EXPECT_TRUE(rows.insert(row).second) << "two codes restart from row " << row;
    EXPECT_GE(state.counts[k], 2);
    for (int d = 0; d < s.D; ++d) {
      EXPECT_EQ(state.codebook[k * s.D + d], x[row * s.D + d]);
      EXPECT_FLOAT_EQ(state.sums[k * s.D + d], state.counts[k] * x[row * s.D + d]);
    }
  }
  // The next step leaves a revived code near its row: the average went with it.
  const State<float> before = state;
  cpu::codebook_ema_update<float>({}, s, options, nullptr, counts.data(), sums.data(), x.data(), noise,
                                  state.pointers());
  for (int i = 0; i < s.D; ++i) EXPECT_NEAR(state.codebook[i], before.codebook[i], 1e-4);
}

TEST(CodebookEma, AnotherStepRestartsFromOtherRows) {
  int64_t step = 0;
  const Noise noise{7, stream_id("test/restart"), &step};
  std::set<int32_t> rows;
  for (; step < 40; ++step) rows.insert(restart_row(noise, 3, 1000));
  EXPECT_GT(rows.size(), 30u);
}

TEST(CodebookEma, FloatAgreesWithDouble) {
  for (const CodebookEmaShape& s : kCodebookEmaCases) {
    SCOPED_TRACE(describe("codebook_ema", {s.N, s.D, s.K}));
    CodebookEmaOptions options;
    options.restart_threshold = 0.995;
    State<float> narrow = started<float>(s);
    State<double> wide = started<double>(s);
    const auto counts = random_integers<float>(s.K, 1, 0, 3), sums = random_values<float>(int64_t{s.K} * s.D, 2);
    const auto x = random_values<float>(int64_t{s.N} * s.D, 4);
    cpu::codebook_ema_update<float>({}, s, options, nullptr, counts.data(), sums.data(), x.data(), {},
                                    narrow.pointers());
    cpu::codebook_ema_update<double>({}, s, options, nullptr, converted<double>(counts).data(),
                                     converted<double>(sums).data(), converted<double>(x).data(), {}, wide.pointers());
    expect_close(narrow.counts, wide.counts, fp32_tolerance(1), "counts");
    expect_close(narrow.sums, wide.sums, fp32_tolerance(1), "sums");
    expect_close(narrow.codebook, wide.codebook, fp32_tolerance(1), "codebook");
  }
}

TEST(CodebookEma, WritesNothingWhileTheFaultIsSet) {
  const CodebookEmaShape s{3, 2, 4};
  State<float> state = started<float>(s);
  const State<float> before = state;
  const Fault fault{6, 0, 0, 0};
  const std::vector<float> nan(8, std::nanf(""));
  CodebookEmaOptions options;
  options.restart_threshold = 5;
  cpu::codebook_ema_update<float>({}, s, options, &fault, nan.data(), nan.data(), nan.data(), {}, state.pointers());
  expect_same_bits(state.counts, before.counts);
  expect_same_bits(state.sums, before.sums);
  expect_same_bits(state.codebook, before.codebook);
}

TEST(CodebookEma, CodesStayWhereNothingWasEverCounted) {
  const CodebookEmaShape s{1, 1, 2};
  CodebookEmaOptions options;
  options.decay = 0;
  State<float> state = started<float>(s);
  const auto codebook = state.codebook;
  const std::vector<float> zeros(2);
  cpu::codebook_ema_update<float>({}, s, options, nullptr, zeros.data(), zeros.data(), nullptr, {}, state.pointers());
  EXPECT_EQ(state.codebook, codebook);
}

TEST(CodebookEma, RefusesWhatHasNoMeaning) {
  const auto update = [](CodebookEmaShape s, double decay, double epsilon, double threshold) {
    cpu::codebook_ema_update<float>({}, s, {decay, epsilon, threshold}, nullptr, nullptr, nullptr, nullptr, {}, {});
  };
  expect_error([&] { update({1, 1, -1}, 0.5, 1, 0); }, Exit::kUsage, {"codebook_ema", "K = -1"});
  expect_error([&] { update({1, 1, 1}, 1.5, 1, 0); }, Exit::kUsage, {"decay", "1.5"});
  expect_error([&] { update({1, 1, 1}, std::nan(""), 1, 0); }, Exit::kUsage, {"decay"});
  expect_error([&] { update({1, 1, 1}, 0.5, 0, 0); }, Exit::kUsage, {"epsilon"});
  expect_error([&] { update({1, 1, 1}, 0.5, 1, -1); }, Exit::kUsage, {"threshold"});
  expect_error([&] { update({0, 1, 1}, 0.5, 1, 1); }, Exit::kUsage, {"rows to restart from"});
}

}  // namespace
}  // namespace hourglass::test
