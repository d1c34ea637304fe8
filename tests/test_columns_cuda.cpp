// SPDX-License-Identifier: Apache-2.0
#include "kernels/columns.h"
#include "tests/cases/columns.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

/// A few more: aligned blocks inside wider rows, and ends that cut a quad.
std::vector<ColumnsShape> cases() {
  auto all = kColumnsCases;
  all.push_back({9, 24, 16, 8, 4, 8});
  all.push_back({9, 24, 16, 8, 4, 7});
  all.push_back({2, 3000, 2500, 4, 8, 2400});
  return all;
}

template <class T>
void check_columns_on_cuda(const ColumnsShape& s, int offset) {
  const auto x = random_values<T>(s.rows * s.src_cols, 1), before = random_values<T>(s.rows * s.dst_cols, 77);
  const DeviceArray<T> device_x(x, offset);
  const auto x64 = converted<double>(x);
  auto want = converted<double>(before);
  cpu::copy_columns<double>({}, s, x64.data(), want.data());
  const auto got = on_cuda([&](const Context& ctx) {
    DeviceArray<T> y(before, offset);
    cuda::copy_columns(ctx, s, device_x.data(), y.data());
    return y.values();
  });
  expect_close(got, want, exact(), "plain");
  cpu::copy_columns<double>({}, s, x64.data(), Grad<double>{want.data()});
  const auto gradient = expect_set_and_add_on_cuda<T>(
      s.rows * s.dst_cols, [&](const Context& ctx, Grad<T> y) { cuda::copy_columns(ctx, s, device_x.data(), y); });
  expect_close(gradient, want, exact(), "gradient");
}

using ColumnsCuda = CudaTest;

TEST_F(ColumnsCuda, MatchesTheReference) {
  for (const ColumnsShape& s : cases()) {
    for (const int offset : {0, 1}) {
      if (s.rows > 1000 && offset) continue;
      SCOPED_TRACE(describe("columns", {s.rows, s.src_cols, s.dst_cols, s.src_first, s.dst_first, s.count, offset}));
      check_columns_on_cuda<float>(s, offset);
      check_columns_on_cuda<bf16>(s, offset);
    }
  }
}

TEST_F(ColumnsCuda, RefusesABlockOutside) {
  const auto run = [] { cuda::copy_columns<float>(cuda_context(), {1, 4, 4, 2, 0, 3}, nullptr, Grad<float>{}); };
  expect_error(run, Exit::kUsage, {"copy_columns", "source", "[2, 5)"});
}

}  // namespace
}  // namespace hourglass::test
