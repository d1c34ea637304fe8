// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "kernels/gaussian_nll.h"
#include "tests/cases/gaussian_nll.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  for (const GaussianNllShape& s : test::kGaussianNllCases) {
    const int64_t n = int64_t{s.N} * s.D;
    if (n < 10000) continue;
    const double size = static_cast<double>(n);
    const std::string shape = extents({s.N, s.D, s.draws, s.log_sigma_count});
    add_forms_bf16({"gaussian_nll_loss", shape}, {.flops = 8 * size, .elements = size * (2 + 1.0 / s.draws)},
                   [=](auto lane) {
                     using T = typename decltype(lane)::type;
                     return [=, y = values<T>(lane, n, 1), x = values<T>(lane, n / s.draws, 2, 0, 1),
                             log_sigma = values<acc_t<T>>(lane, s.log_sigma_count, 3), dy = zeros<T>(lane, n),
                             dlog_sigma = zeros<float>(lane, s.log_sigma_count), value = one<float>(lane)] {
                       BENCH_OP(gaussian_nll_loss)
                       (lane, s, y.data(), x.data(), log_sigma.data(), Weight{}, Grad{value.data()}, Grad{dy.data()},
                        Grad{dlog_sigma.data()});
                     };
                   });
    add_forms_bf16({"gaussian_nll_forward", shape}, {.flops = 8 * size, .elements = size * (1 + 1.0 / s.draws)},
                   [=](auto lane) {
                     using T = typename decltype(lane)::type;
                     return [=, y = values<T>(lane, n, 1), x = values<T>(lane, n / s.draws, 2, 0, 1),
                             log_sigma = values<acc_t<T>>(lane, s.log_sigma_count, 3), nll = zeros<float>(lane, s.N)] {
                       BENCH_OP(gaussian_nll_forward)
                       (lane, s, y.data(), x.data(), log_sigma.data(), nll.data());
                     };
                   });
  }
  return run(argc, argv);
}
