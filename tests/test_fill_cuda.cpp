// SPDX-License-Identifier: Apache-2.0
#include "kernels/fill.h"
#include "tests/cases/fill.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

template <class T>
void check_fill(FillShape s, int offset) {
  const auto got = on_cuda([&](const Context& ctx) {
    const DeviceArray<double> beta(std::vector<double>{0.5});
    DeviceArray<T> constant(s.n, offset), scheduled(s.n, offset);
    cuda::fill(ctx, s, Weight{-3, nullptr}, constant.data());
    cuda::fill(ctx, s, Weight{-3, beta.data()}, scheduled.data());
    return std::tuple(constant.values(), scheduled.values());
  });
  expect_close(std::get<0>(got), std::vector<double>(static_cast<size_t>(s.n), -3), exact());
  expect_close(std::get<1>(got), std::vector<double>(static_cast<size_t>(s.n), -1.5), exact());
}

using FillCuda = CudaTest;

TEST_F(FillCuda, WritesTheWeightEverywhere) {
  for (const FillShape& s : kFillCases) {
    for (const int offset : {0, 1}) {
      SCOPED_TRACE(describe("fill", {s.n, offset}));
      check_fill<float>(s, offset);
      check_fill<bf16>(s, offset);
    }
  }
}

TEST_F(FillCuda, RefusesANegativeCount) {
  expect_error([] { cuda::fill<float>(cuda_context(), {-1}, {}, nullptr); }, Exit::kUsage, {"fill", "-1"});
}

}  // namespace
}  // namespace hourglass::test
