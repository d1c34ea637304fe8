// SPDX-License-Identifier: Apache-2.0
#include "kernels/step_state.h"
#include "tests/cases/step_state.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

TEST(StepState, ScheduleLoadsTheRowOfTheStep) {
  for (const TableShape& s : kStepStateCases) {
    const auto table = random_values<double>(int64_t{s.rows} * s.columns, 1);
    for (const int64_t r : {0, s.rows / 2, s.rows - 1}) {
      const int64_t base = 1000, step = base + r;
      Guarded<double> row(s.columns);
      Fault fault;
      cpu::schedule_load({}, {s, table.data(), &base, row.data()}, &step, &fault);
      expect_same_bits(row, std::vector<double>(table.begin() + r * s.columns, table.begin() + (r + 1) * s.columns));
      EXPECT_EQ(fault.code, 0);
    }
  }
}

TEST(StepState, ScheduleWithoutARowIsAFault) {
  const std::vector<double> table(4, 1);
  for (const int64_t step : {9, 12}) {
    const int64_t base = 10;
    Guarded<double> row(2);
    Fault fault;
    cpu::schedule_load({}, {{2, 2}, table.data(), &base, row.data()}, &step, &fault);
    EXPECT_TRUE(std::isnan(row[0]) && std::isnan(row[1]));
    EXPECT_EQ(fault.code, 1);
    EXPECT_EQ(fault.op, kFaultSchedule);
    EXPECT_EQ(fault.step, step);
    EXPECT_EQ(fault.index, step - base);
    fault = {6, 0, 3, 4};
    cpu::schedule_load({}, {{2, 2}, table.data(), &base, row.data()}, &step, &fault);
    EXPECT_EQ(fault.code, 6) << "the first fault stays";
  }
}

template <class T>
void check_log(const TableShape& s) {
  const auto statistics = random_values<T>(s.columns - 1, 2);
  const Norm norm{2.5, 1};
  Guarded<double> table(int64_t{s.rows} * s.columns);
  const Fault none;
  const int64_t step = 3 * s.rows + s.rows / 2;
  cpu::log_write({}, s, statistics.data(), &norm, &step, &none, table.data());
  for (int64_t r = 0; r < s.rows; ++r) {
    for (int64_t c = 0; c < s.columns; ++c) {
      const double got = table[r * s.columns + c];
      if (r != s.rows / 2) {
        EXPECT_TRUE(std::isnan(got)) << r << "," << c;
      } else {
        EXPECT_EQ(got, c < s.columns - 1 ? static_cast<double>(statistics[static_cast<size_t>(c)]) : 2.5) << c;
      }
    }
  }
  cpu::log_write<T>({}, s, statistics.data(), nullptr, &step, &none, table.data());
  EXPECT_EQ(table[(s.rows / 2 + 1) * s.columns - 1], 0);
}

TEST(StepState, LogWritesTheRowOfTheStep) {
  for (const TableShape& s : kStepStateCases) {
    check_log<float>(s);
    check_log<double>(s);
  }
}

TEST(StepState, NothingMovesWhileTheFaultIsSet) {
  const std::vector<float> statistics(3, 1);
  const Fault fault{6, 0, 0, 0}, none;
  int64_t step = 7;
  Guarded<double> table(8);
  cpu::log_write({}, {2, 4}, statistics.data(), nullptr, &step, &fault, table.data());
  for (const double entry : table) EXPECT_TRUE(std::isnan(entry));
  cpu::advance_step({}, &fault, &step);
  EXPECT_EQ(step, 7);
  cpu::advance_step({}, &none, &step);
  EXPECT_EQ(step, 8);
}

TEST(StepState, FinishingLogsTheStepAndThenAdvances) {
  const std::vector<float> statistics = {1, 2, 3};
  Fault fault{6, 0, 0, 0}, none;
  int64_t step = 7;
  Guarded<double> table(8);
  cpu::finish_step({}, {2, 4}, statistics.data(), nullptr, &fault, table.data(), &step, {});
  EXPECT_EQ(step, 7);
  cpu::finish_step({}, {2, 4}, statistics.data(), nullptr, &none, table.data(), &step, {});
  EXPECT_EQ(step, 8);
  EXPECT_TRUE(std::isnan(table[0]));
  expect_same_bits(std::vector<double>(table.begin() + 4, table.end()), std::vector<double>{1, 2, 3, 0});
}

TEST(StepState, FinishingLoadsTheRowOfTheNextStep) {
  const std::vector<double> scheduled = {0, 1, 10, 11, 20, 21};
  const int64_t base = 7;
  int64_t step = 7;
  std::vector<double> row = {-1, -1};
  const Schedule schedule{{3, 2}, scheduled.data(), &base, row.data()};
  Fault fault{6, 0, 0, 0};
  const auto finish = [&] { cpu::finish_step<float>({}, {}, nullptr, nullptr, &fault, nullptr, &step, schedule); };
  finish();
  EXPECT_EQ(row, (std::vector<double>{-1, -1})) << "a refused step keeps its row";
  fault = {};
  finish();
  EXPECT_EQ(row, (std::vector<double>{10, 11}));
  finish();
  EXPECT_EQ(row, (std::vector<double>{20, 21}));
  EXPECT_EQ(fault.code, 0);
  finish();
  EXPECT_EQ(step, 10);
  EXPECT_EQ(row, (std::vector<double>{20, 21}));
  EXPECT_EQ(fault.op, kFaultSchedule);
  EXPECT_EQ(fault.step, 10);
  EXPECT_EQ(fault.index, 3);
}

}  // namespace
}  // namespace hourglass::test
