// SPDX-License-Identifier: Apache-2.0
#include "kernels/step_state.h"
#include "tests/cases/step_state.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

template <class T>
std::vector<T> one(T value) {
  return {value};
}

using StepStateCuda = CudaTest;

TEST_F(StepStateCuda, ScheduleLoadsTheRowOfTheStepOrSetsTheFault) {
  for (const TableShape& s : kStepStateCases) {
    SCOPED_TRACE(describe("table", {s.rows, s.columns}));
    const auto table = random_values<double>(int64_t{s.rows} * s.columns, 1);
    const DeviceArray<double> device_table(table);
    const int64_t base = 1000;
    const DeviceArray<int64_t> device_base(one(base));
    for (const int64_t r : {-1, 0, s.rows / 2, s.rows - 1, s.rows}) {
      for (const Fault& before : {Fault{}, Fault{6, 0, 3, 4}}) {
        const int64_t step = base + r;
        const DeviceArray<int64_t> device_step(one(step));
        std::vector<double> row(static_cast<size_t>(s.columns), -7);
        Fault fault = before;
        const auto got = on_cuda([&](const Context& ctx) {
          DeviceArray<double> device_row(row);
          DeviceArray<Fault> device_fault(one(before));
          cuda::schedule_load(ctx, {s, device_table.data(), device_base.data(), device_row.data()}, device_step.data(),
                              device_fault.data());
          return std::tuple(device_row.values(), device_fault.values());
        });
        cpu::schedule_load({}, {s, table.data(), &base, row.data()}, &step, &fault);
        expect_same_bits(std::get<0>(got), row);
        EXPECT_EQ(std::memcmp(&std::get<1>(got)[0], &fault, sizeof(Fault)), 0) << r;
      }
    }
  }
}

/// log_write, advance_step, and both in one launch, against the reference.
TEST_F(StepStateCuda, LogsAndAdvancesUnlessTheFaultIsSet) {
  for (const TableShape& s : kStepStateCases) {
    SCOPED_TRACE(describe("table", {s.rows, s.columns}));
    const auto statistics = random_values<float>(s.columns - 1, 2);
    const auto before = random_values<double>(int64_t{s.rows} * s.columns, 3);
    const DeviceArray<float> device_statistics(statistics);
    const Norm norm{2.5, 1};
    const DeviceArray<Norm> device_norm(one(norm));
    for (const Fault& fault : {Fault{}, Fault{6, 0, 3, 4}}) {
      for (const bool with_norm : {true, false}) {
        DeviceArray<Fault> device_fault(one(fault));
        const Norm* const norm_there = with_norm ? device_norm.data() : nullptr;
        int64_t step = 3 * s.rows + s.rows / 2;
        Fault same = fault;
        auto want = before;
        const auto got = on_cuda([&](const Context& ctx) {
          DeviceArray<double> apart(before), together(before);
          DeviceArray<int64_t> step_apart(one(step)), step_together(one(step));
          cuda::log_write(ctx, s, device_statistics.data(), norm_there, step_apart.data(), device_fault.data(),
                          apart.data());
          cuda::advance_step(ctx, device_fault.data(), step_apart.data());
          cuda::finish_step(ctx, s, device_statistics.data(), norm_there, device_fault.data(), together.data(),
                            step_together.data(), {});
          return std::tuple(apart.values(), step_apart.values(), together.values(), step_together.values());
        });
        cpu::finish_step({}, s, statistics.data(), with_norm ? &norm : nullptr, &same, want.data(), &step, {});
        EXPECT_EQ(step, 3 * s.rows + s.rows / 2 + (fault.code == 0));
        expect_same_bits(std::get<0>(got), want);
        expect_same_bits(std::get<1>(got), one(step));
        expect_same_bits(std::get<2>(got), want);
        expect_same_bits(std::get<3>(got), one(step));
      }
    }
  }
}

/// The row of the next step, or the fault that there is none, as on the CPU.
TEST_F(StepStateCuda, FinishingLoadsTheRowOfTheNextStep) {
  for (const TableShape& s : kStepStateCases) {
    SCOPED_TRACE(describe("table", {s.rows, s.columns}));
    const auto table = random_values<double>(int64_t{s.rows} * s.columns, 1);
    const DeviceArray<double> device_table(table);
    const int64_t base = 1000;
    const DeviceArray<int64_t> device_base(one(base));
    for (const int64_t r : {-2, -1, s.rows - 2, s.rows - 1}) {
      for (const Fault& before : {Fault{}, Fault{6, 0, 3, 4}}) {
        int64_t step = base + r;
        std::vector<double> row(static_cast<size_t>(s.columns), -7);
        const auto got = on_cuda([&](const Context& ctx) {
          DeviceArray<double> device_row(row);
          DeviceArray<Fault> device_fault(one(before));
          DeviceArray<int64_t> device_step(one(step));
          cuda::finish_step<float>(ctx, {}, nullptr, nullptr, device_fault.data(), nullptr, device_step.data(),
                                   {s, device_table.data(), device_base.data(), device_row.data()});
          return std::tuple(device_row.values(), device_fault.values(), device_step.values());
        });
        Fault fault = before;
        cpu::finish_step<float>({}, {}, nullptr, nullptr, &fault, nullptr, &step, {s, table.data(), &base, row.data()});
        expect_same_bits(std::get<0>(got), row);
        const Fault found = std::get<1>(got)[0];
        EXPECT_EQ(found.code, fault.code);
        EXPECT_EQ(found.op, fault.op);
        EXPECT_EQ(found.step, fault.step);
        EXPECT_EQ(found.index, fault.index);
        expect_same_bits(std::get<2>(got), one(step));
      }
    }
  }
}

/// A run that logs nothing still counts its steps.
TEST_F(StepStateCuda, AnEmptyTableOnlyAdvances) {
  DeviceArray<Fault> fault(one(Fault{}));
  DeviceArray<int64_t> step(one(int64_t{5}));
  cuda::finish_step<float>(cuda_context(), {}, nullptr, nullptr, fault.data(), nullptr, step.data(), {});
  EXPECT_EQ(step.values()[0], 6);
}

}  // namespace
}  // namespace hourglass::test
