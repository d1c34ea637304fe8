// SPDX-License-Identifier: Apache-2.0
// Profiled steps: their rows are the tape's, add up, and leave what steps that nobody looks at leave.
#include <gtest/gtest.h>

#include <chrono>
#include <numeric>

#include "tests/small_data.h"

namespace hourglass::test {
namespace {

std::vector<std::string> names_of(const std::vector<ProfileRow>& rows) {
  std::vector<std::string> names;
  for (const ProfileRow& row : rows) names.push_back(row.name);
  return names;
}

class Profile : public testing::Test {
 protected:
  Trainer& trainer(const TrainerOptions& options) {
    trainer_ = std::make_unique<Trainer>(runtime_, data_.store(), data_.split, options);
    return *trainer_;
  }
  const SmallData data_{128};
  Runtime runtime_{{"cpu", 1}};
  std::unique_ptr<Trainer> trainer_;
};

TEST_F(Profile, RowsAreTheEntriesOfTheTape) {
  TrainerOptions options = small_trainer_options();
  options.profile_steps = 5;
  Trainer& t = trainer(options);
  t.run(Profiler::kWarmUp + 5);
  const std::vector<ProfileRow> rows = t.profiler()->rows();
  EXPECT_EQ(names_of(rows), (std::vector<std::string>{"batch", "linear", "gaussian_head", "linear", "linear_bce",
                                                      "gradient check", "optimizer", "commits", "log"}));
  EXPECT_EQ(rows[1].shape, (Shape{32, 24}));
  EXPECT_EQ(rows[2].shape, (Shape{32, 3}));
  EXPECT_EQ(rows[4].shape.rank(), 0) << "a loss";
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_GT(rows[i].forward, 0) << rows[i].name;
    EXPECT_EQ(rows[i].backward > 0, i >= 1 && i <= 4) << rows[i].name;
  }
}

TEST_F(Profile, RowsAddUpToTheStep) {
  TrainerOptions options = small_trainer_options();
  options.profile_steps = 20;
  Trainer& t = trainer(options);
  t.run(Profiler::kWarmUp);
  const auto before = std::chrono::steady_clock::now();
  t.run(20);
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
  EXPECT_EQ(t.profiler()->steps(), 20);
  const std::vector<ProfileRow> rows = t.profiler()->rows();
  const double sum = std::accumulate(rows.begin(), rows.end(), 0.0,
                                     [](double s, const ProfileRow& row) { return s + row.forward + row.backward; });
  EXPECT_DOUBLE_EQ(t.profiler()->step_seconds(), sum);
  EXPECT_LE(20 * sum, took) << "the steps lie within the call that runs them";
}

TEST_F(Profile, OnlyTheFirstStepsAreMeasured) {
  TrainerOptions options = small_trainer_options();
  EXPECT_EQ(trainer(options).profiler(), nullptr);
  options.profile_steps = 4;
  Trainer& t = trainer(options);
  t.run(Profiler::kWarmUp);
  EXPECT_EQ(t.profiler()->steps(), 0);
  EXPECT_EQ(t.profiler()->step_seconds(), 0);
  t.run(2);
  EXPECT_EQ(t.profiler()->steps(), 2);
  t.run(10);
  EXPECT_EQ(t.profiler()->steps(), 4);
  const double measured = t.profiler()->step_seconds();
  t.run(3);
  EXPECT_EQ(t.profiler()->step_seconds(), measured);
}

TEST_F(Profile, TheStepsAreTheSame) {
  TrainerOptions options = small_trainer_options();
  trainer(options).run(12);
  const std::vector<float> want = values_of(trainer_->parameters());
  options.profile_steps = 6;
  trainer(options).run(12);
  EXPECT_EQ(values_of(trainer_->parameters()), want);
}

TEST_F(Profile, PartsOfABatchShareTheirRows) {
  TrainerOptions options = small_trainer_options();
  options.profile_steps = 2;
  trainer(options).run(Profiler::kWarmUp + 2);
  const auto whole = names_of(trainer_->profiler()->rows());
  options.micro_batches = 4;
  trainer(options).run(Profiler::kWarmUp + 2);
  EXPECT_EQ(names_of(trainer_->profiler()->rows()), whole);
}

}  // namespace
}  // namespace hourglass::test
