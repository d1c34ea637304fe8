// SPDX-License-Identifier: Apache-2.0
#include "kernels/cast.h"
#include "tests/cases/cast.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

template <class From, class To>
void check_cast(const CastShape& s, int offset) {
  const auto x = random_values<From>(s.n, 1), before = random_values<From>(s.n, 2);
  const auto start = converted<To>(before);
  std::vector<To> set = start, added = start;
  cpu::cast(Context{}, s, x.data(), Grad<To>{set.data()});
  cpu::cast(Context{}, s, x.data(), Grad<To>{added.data(), Write::kAdd});
  const DeviceArray<From> device_x(x, offset);
  const auto got = on_cuda([&](const Context& ctx) {
    DeviceArray<To> a(s.n, offset), b(start, offset);
    cuda::cast(ctx, s, device_x.data(), Grad<To>{a.data()});
    cuda::cast(ctx, s, device_x.data(), Grad<To>{b.data(), Write::kAdd});
    cuda::cast(ctx, s, device_x.data(), Grad<To>{});
    return std::tuple(a.values(), b.values());
  });
  expect_same_bits(std::get<0>(got), set, "set");
  expect_same_bits(std::get<1>(got), added, "added");
}

using CastCuda = CudaTest;

TEST_F(CastCuda, HasTheBitsOfTheReference) {
  for (const CastShape& s : kCastCases) {
    for (const int offset : {0, 1}) {
      SCOPED_TRACE(describe("cast", {s.n, offset}));
      check_cast<float, float>(s, offset);
      check_cast<float, bf16>(s, offset);
      check_cast<bf16, float>(s, offset);
      check_cast<bf16, bf16>(s, offset);
    }
  }
}

TEST_F(CastCuda, RefusesANegativeCount) {
  expect_error([] { cuda::cast<float, bf16>(cuda_context(), {-1}, nullptr, {}); }, Exit::kUsage, {"cast", "-1"});
}

}  // namespace
}  // namespace hourglass::test
