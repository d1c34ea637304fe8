// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "kernels/optimal_gaussian.h"
#include "tests/cases/optimal_gaussian.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  const RowLossShape s = kOptimalGaussianCases.front();
  const int64_t n = int64_t{s.N} * s.D;
  const auto setup = [=](auto run) {
    return [=](const Context& ctx) {
      return [=, y = values<float>(n, 1), x = values<float>(n, 2), dy = values<float>(n, 3)]() mutable {
        float mse = 0, value = 0;
        run(ctx, y.data(), x.data(), &mse, &value, dy.data());
      };
    };
  };
  const Work work{.bytes = 20.0 * static_cast<double>(n)};
  add_threads({"optimal_gaussian", "reference", extents({s.N, s.D})}, work, 1,
              setup([s](const Context& ctx, const float* y, const float* x, float* mse, float* value, float* dy) {
                cpu::optimal_gaussian_forward<float>(ctx, s, y, x, mse);
                cpu::optimal_gaussian_loss<float>(ctx, s, y, x, mse, {}, Grad<float>{value}, Grad<float>{dy});
              }));
  add({"optimal_gaussian", "simd", extents({s.N, s.D})}, work,
      setup([s](const Context& ctx, const float* y, const float* x, float* mse, float* value, float* dy) {
        cpu::optimal_gaussian_forward(ctx, s, y, x, mse);
        cpu::optimal_gaussian_loss(ctx, s, y, x, mse, {}, Grad<float>{value}, Grad<float>{dy});
      }));
  return run(argc, argv);
}
