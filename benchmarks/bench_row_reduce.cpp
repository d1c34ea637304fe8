// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/row_reduce.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

using Forward = void (*)(const Context&, RowReduceShape, const float*, float*);

}  // namespace

int main(int argc, char** argv) {
  const std::pair<const char*, Forward> ops[] = {{"row_sum", cpu::row_sum_forward<float>},
                                                 {"row_mean", cpu::row_mean_forward<float>},
                                                 {"row_norm", cpu::row_norm_forward<float>},
                                                 {"row_log_sum_exp", cpu::row_log_sum_exp_forward<float>}};
  for (const RowReduceShape& s : kRowReduceCases) {
    if (s.N * s.D < 1000) continue;
    for (const auto& [name, forward] : ops) {
      const auto op = forward;
      add_threads({name, "reference", extents({s.N, s.D})}, {.bytes = 4.0 * s.N * s.D}, 1, [=](const Context& ctx) {
        return [=, x = values<float>(int64_t{s.N} * s.D), y = std::vector<float>(static_cast<size_t>(s.N))]() mutable {
          op(ctx, s, x.data(), y.data());
        };
      });
    }
  }
  return run(argc, argv);
}
