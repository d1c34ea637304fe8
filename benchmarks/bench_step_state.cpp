// SPDX-License-Identifier: Apache-2.0
// The bookkeeping of one step: scheduled values in, log row out, counter on. The step stands still on the device's
// copies of the fault word: the work is the same.
#include "benchmarks/harness.h"
#include "kernels/step_state.h"
#include "tests/cases/step_state.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  for (const TableShape& s : test::kStepStateCases) {
    const auto setup = [=](auto lane) {
      return [=, table = values<double>(lane, int64_t{s.rows} * s.columns), row = values<double>(lane, s.columns),
              statistics = values<float>(lane, s.columns), fault = one<Fault>(lane), step = one<int64_t>(lane)] {
        const float* from = statistics.data();
        schedule_load(lane, Schedule{s, table.data(), step.data(), row.data()}, step.data(), fault.data());
        log_write(lane, s, from, nullptr, step.data(), fault.data(), table.data());
        advance_step(lane, fault.data(), step.data());
      };
    };
    const std::string shape = extents({s.rows, s.columns});
    add_threads({"step_state", "reference", shape}, {}, 1,
                [=](const Context& ctx) { return setup(lane_of<cpu::Lane<float>>(ctx)); });
#if defined(HOURGLASS_CUDA_KERNELS)
    add_device({"step_state", "kernel", shape}, {}, Dtype::kF32,
               [=](const Context& ctx) { return setup(lane_of<cuda::Lane<float>>(ctx)); });
#endif
  }
  return run(argc, argv);
}
