// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "kernels/optimal_gaussian.h"
#include "tests/cases/optimal_gaussian.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  const RowLossShape s = kOptimalGaussianCases.front();
  const int64_t n = int64_t{s.N} * s.D;
  // Both passes: the mean squared error, then value and gradient.
  add_forms_bf16({"optimal_gaussian", extents({s.N, s.D})}, {.elements = 5.0 * static_cast<double>(n)}, [=](auto lane) {
    using T = typename decltype(lane)::type;
    return [=, y = values<T>(lane, n, 1), x = values<T>(lane, n, 2), dy = zeros<T>(lane, n), mse = one<float>(lane),
            value = one<float>(lane)] {
      BENCH_OP(optimal_gaussian_forward)(lane, s, y.data(), x.data(), mse.data());
      BENCH_OP(optimal_gaussian_loss)
      (lane, s, y.data(), x.data(), mse.data(), Weight{}, Grad{value.data()}, Grad{dy.data()});
    };
  });
  return run(argc, argv);
}
