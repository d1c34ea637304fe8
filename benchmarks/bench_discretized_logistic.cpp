// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/discretized_logistic.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  DiscretizedLogisticShape s = kDiscretizedLogisticCases.front();
  s.N = kEmulated ? 8 : 128;
  const int64_t n = int64_t{s.N} * s.D;
  const std::string shape = extents({s.N, s.D, s.log_scale_count});
  const auto elements = static_cast<double>(n);
  add_forms_bf16({"discretized_logistic_loss", shape}, {.elements = 3 * elements}, [=](auto lane) {
    using T = typename decltype(lane)::type;
    return [=, mu = values<T>(lane, n, 1, 0, 1), x = values<T>(lane, n, 2, 0, 1), dmu = zeros<T>(lane, n),
            log_scale = values<acc_t<T>>(lane, s.log_scale_count, 4, -4, -2),
            slope = zeros<float>(lane, s.log_scale_count), value = one<float>(lane)] {
      BENCH_OP(discretized_logistic_loss)
      (lane, s, mu.data(), x.data(), log_scale.data(), Weight{}, Grad{value.data()}, Grad{dmu.data()},
       Grad{slope.data()});
    };
  });
  add_forms_bf16({"discretized_logistic_forward", shape}, {.elements = 2 * elements}, [=](auto lane) {
    using T = typename decltype(lane)::type;
    return [=, mu = values<T>(lane, n, 1, 0, 1), x = values<T>(lane, n, 2, 0, 1),
            log_scale = values<acc_t<T>>(lane, s.log_scale_count, 4, -4, -2), nll = zeros<float>(lane, s.N)] {
      BENCH_OP(discretized_logistic_forward)(lane, s, mu.data(), x.data(), log_scale.data(), nll.data());
    };
  });
  return run(argc, argv);
}
