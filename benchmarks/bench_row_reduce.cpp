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

void add_log_sum_exp_backward(RowReduceShape s) {
  add_forms_bf16({"row_log_sum_exp_backward", extents({s.N, s.D}), nullptr}, {.elements = 2.0 * s.N * s.D},
                 [=](auto lane) {
                   using T = typename decltype(lane)::type;
                   const int64_t n = int64_t{s.N} * s.D;
                   return [=, x = values<T>(lane, n), y = values<T>(lane, s.N, 2, 5, 6), dy = values<T>(lane, s.N, 3),
                           dx = zeros<T>(lane, n)] {
                     BENCH_OP(row_log_sum_exp_backward)(lane, s, x.data(), y.data(), dy.data(), Grad{dx.data()});
                   };
                 });
}

void add_log_sum_exp_update(RowReduceShape s) {
  add_forms({"log_sum_exp_update", extents({s.N, s.D}), nullptr}, {.elements = double(s.N) * s.D}, [=](auto lane) {
    return [=, x = values<float>(lane, int64_t{s.N} * s.D), max = zeros<double>(lane, s.N),
            sum = zeros<double>(lane, s.N)] {
      BENCH_OP(log_sum_exp_update)(lane, s, x.data(), max.data(), sum.data());
    };
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
    add_log_sum_exp_backward(s);
    add_log_sum_exp_update(s);
  }
  return run(argc, argv);
}
