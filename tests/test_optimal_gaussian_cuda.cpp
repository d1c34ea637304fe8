// SPDX-License-Identifier: Apache-2.0
#include "kernels/optimal_gaussian.h"
#include "tests/cases/optimal_gaussian.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

template <class T>
void check(const RowLossShape& s, int offset) {
  const int64_t size = int64_t{s.N} * s.D;
  const auto y = random_values<T>(size, 1), x = random_values<T>(size / s.draws, 2, 0, 1);
  const std::vector<double> wide_y(y.begin(), y.end()), wide_x(x.begin(), x.end());
  std::vector<double> mse(1), value(1), dy(y.size());
  cpu::optimal_gaussian_forward<double>({}, s, wide_y.data(), wide_x.data(), mse.data());
  cpu::optimal_gaussian_loss<double>({}, s, wide_y.data(), wide_x.data(), mse.data(), {1.5}, {value.data()},
                                     {dy.data()});
  const DeviceArray<T> device_y(y, offset), device_x(x, offset);
  const DeviceArray<double> scheduled(std::vector<double>{0.5});
  const auto got = on_cuda([&](const Context& ctx) {
    DeviceArray<float> out(1);
    cuda::optimal_gaussian_forward<T>(ctx, s, device_y.data(), device_x.data(), out.data());
    return out.values();
  });
  expect_close(got, mse, cuda_tolerance<float>(size), "mse");
  const DeviceArray<float> at(got);
  const auto loss = [&](const Context& ctx, Grad<float> v, Grad<T> g) {
    cuda::optimal_gaussian_loss<T>(ctx, s, device_y.data(), device_x.data(), at.data(), {3, scheduled.data()}, v, g);
  };
  expect_close(expect_set_and_add_on_cuda<float>(1, [&](const Context& ctx, Grad<float> v) { loss(ctx, v, {}); }),
               value, cuda_tolerance<float>(size, s.D), "value");
  expect_close(expect_set_and_add_on_cuda<T>(size, [&](const Context& ctx, Grad<T> g) { loss(ctx, {}, g); }), dy,
               cuda_tolerance<T>(size), "dy");
}

using OptimalGaussianCuda = CudaTest;

TEST_F(OptimalGaussianCuda, MeetsTheReference) {
  for (RowLossShape s : kOptimalGaussianCases) {
    if (s.N == 128) s.N = 16;
    for (int offset : {0, 1}) {
      SCOPED_TRACE(describe("optimal_gaussian", {s.N, s.D, s.draws, offset}));
      check<float>(s, offset);
      check<bf16>(s, offset);
    }
  }
}

TEST_F(OptimalGaussianCuda, Refusals) {
  expect_error(
      [] {
        cuda::optimal_gaussian_forward<float>(cuda_context(), {0, 3}, nullptr, nullptr, nullptr);
      },
      Exit::kUsage, {"optimal_gaussian", "N = 0"});
}

}  // namespace
}  // namespace hourglass::test
