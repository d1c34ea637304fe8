// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/row_reduce.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

template <class Forward>
void add_reduction(const char* op, RowReduceShape s, Forward forward) {
  add_forms_bf16({op, extents({s.N, s.D}), nullptr}, {.elements = double(s.N) * s.D}, [=](auto lane) {
    using T = typename decltype(lane)::type;
    return
        [=, x = values<T>(lane, int64_t{s.N} * s.D), y = zeros<T>(lane, s.N)] { forward(lane, s, x.data(), y.data()); };
  });
}

}  // namespace

int main(int argc, char** argv) {
  for (const RowReduceShape& s : kRowReduceCases) {
    if (s.N * s.D < 1000) continue;
    add_reduction("row_sum", s, BENCH_OP(row_sum_forward));
    add_reduction("row_mean", s, BENCH_OP(row_mean_forward));
    add_reduction("row_norm", s, BENCH_OP(row_norm_forward));
    add_reduction("row_log_sum_exp", s, BENCH_OP(row_log_sum_exp_forward));
  }
  return run(argc, argv);
}
