// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "kernels/step_state.h"
#include "tests/cases/step_state.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  for (const TableShape& s : test::kStepStateCases) {
    add_threads({"step_state", "reference", extents({s.rows, s.columns})}, {}, 1, [=](const Context& ctx) {
      return [=, table = values<double>(int64_t{s.rows} * s.columns), row = values<double>(s.columns),
              statistics = values<float>(s.columns), fault = Fault{}, step = int64_t{0}]() mutable {
        const int64_t base = step;
        cpu::schedule_load(ctx, {s, table.data(), &base, row.data()}, &step, &fault);
        cpu::log_write(ctx, s, statistics.data(), nullptr, &step, &fault, table.data());
        cpu::advance_step(ctx, &fault, &step);
      };
    });
  }
  return run(argc, argv);
}
