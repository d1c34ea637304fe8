// SPDX-License-Identifier: Apache-2.0
#include "kernels/upsample2d.h"
#include "tests/cases/upsample2d.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

using S = Upsample2dShape;

/// Small integers: copies and sums are exact in every lane.
template <class T>
void check(const S& s, int offset) {
  const int64_t inputs = int64_t{s.N} * s.H * s.W * s.C, outputs = inputs * s.factor_h * s.factor_w;
  const int64_t most = s.factor_h * s.factor_w > 64 ? 0 : 3;  // 256 is the last integer bf16 counts to
  const auto x = random_integers<float>(inputs, 1), dy = random_integers<float>(outputs, 2, -most, most);
  Guarded<float> want(outputs), want_dx(inputs);
  cpu::upsample2d_forward<float>({}, s, x.data(), want.data());
  cpu::upsample2d_backward<float>({}, s, dy.data(), {want_dx.data()});
  const DeviceArray<T> device_x(converted<T>(x), offset), device_dy(converted<T>(dy), offset);
  const auto y = on_cuda([&](const Context& ctx) {
    DeviceArray<T> out(outputs, offset);
    cuda::upsample2d_forward<T>(ctx, s, device_x.data(), out.data());
    return out.values();
  });
  expect_close(y, want, exact(), "y");
  expect_close(
      expect_set_and_add_on_cuda<T>(
          inputs, [&](const Context& ctx, Grad<T> dx) { cuda::upsample2d_backward<T>(ctx, s, device_dy.data(), dx); }),
      want_dx, exact(), "dx");
}

using Upsample2dCuda = CudaTest;

TEST_F(Upsample2dCuda, IntegersAreExact) {
  for (const S& s : kUpsample2dCases) {
    for (int offset : {0, 1}) {
      SCOPED_TRACE(describe("upsample2d", {s.N, s.H, s.W, s.C, s.factor_h, s.factor_w, offset}));
      check<float>(s, offset);
      check<bf16>(s, offset);
    }
  }
}

TEST_F(Upsample2dCuda, Refusals) {
  expect_error(
      [] {
        cuda::upsample2d_forward<float>(cuda_context(), {1, 2, 2, 1, 0, 2}, nullptr, nullptr);
      },
      Exit::kUsage, {"upsample2d", "0 x 2"});
  expect_error(
      [] {
        cuda::upsample2d_backward<bf16>(cuda_context(), {1, 2, 2, 1, 2, -1}, nullptr, {});
      },
      Exit::kUsage, {"upsample2d", "2 x -1"});
}

}  // namespace
}  // namespace hourglass::test
