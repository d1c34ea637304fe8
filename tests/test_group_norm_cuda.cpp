// SPDX-License-Identifier: Apache-2.0
#include "tests/cases/group_norm.h"
#include "tests/cuda_harness.h"
#include "tests/group_norm_inputs.h"

namespace hourglass::test {
namespace {

template <class T>
void check(const GroupNormShape& s, bool affine) {
  const GroupNormInputs<T> in(s);
  const GroupNormTruth truth(s, in, affine);
  const DeviceArray<T> x(in.x), gamma(in.gamma), beta(in.beta), dy(in.dy);
  const T *const g = affine ? gamma.data() : nullptr, *const b = affine ? beta.data() : nullptr;
  const auto [y, mean, rstd] = on_cuda([&](const Context& ctx) {
    DeviceArray<T> out(in.size);
    DeviceArray<float> means(in.groups), scales(in.groups);
    cuda::group_norm_forward<T>(ctx, s, x.data(), g, b, out.data(), means.data(), scales.data());
    return std::tuple(out.values(), means.values(), scales.values());
  });
  const Tolerance sums{4e-6, 1}, limit = std::is_same_v<T, bf16> ? Tolerance{8e-3, 1} : sums;
  expect_close(y, truth.y, limit, "y");
  expect_close(mean, truth.mean, sums, "mean");
  expect_close(rstd, truth.rstd, sums, "rstd");
  const DeviceArray<float> device_mean(mean), device_rstd(rstd);
  const auto backward = [&](const Context& ctx, Grad<T> dx, Grad<float> dgamma, Grad<float> dbeta) {
    DeviceArray<float> scratch(static_cast<int64_t>(group_norm_scratch_bytes(s, 1)));
    cuda::group_norm_backward<T>(ctx, s, x.data(), g, device_mean.data(), device_rstd.data(), dy.data(), scratch.data(),
                                 dx, dgamma, dbeta);
    scratch.expect_intact();
  };
  using C = const Context&;
  expect_close(expect_set_and_add_on_cuda<T>(in.size, [&](C ctx, Grad<T> d) { backward(ctx, d, {}, {}); }), truth.dx,
               limit, "dx");
  expect_close(expect_set_and_add_on_cuda<float>(s.C, [&](C ctx, Grad<float> d) { backward(ctx, {}, d, {}); }),
               truth.dgamma, sums, "dgamma");
  expect_close(expect_set_and_add_on_cuda<float>(s.C, [&](C ctx, Grad<float> d) { backward(ctx, {}, {}, d); }),
               truth.dbeta, sums, "dbeta");
}

using GroupNormCuda = CudaTest;

TEST_F(GroupNormCuda, MeetsTheReference) {
  for (const GroupNormShape& s : kGroupNormCases) {
    for (const bool affine : {true, false}) {
      SCOPED_TRACE(describe(s));
      check<float>(s, affine);
      check<bf16>(s, affine);
    }
  }
}

TEST_F(GroupNormCuda, Refusals) {
  expect_error(
      [] {
        cuda::group_norm_forward<float>(cuda_context(), {1, 2, 4, 3}, nullptr, nullptr, nullptr, nullptr, nullptr,
                                        nullptr);
      },
      Exit::kUsage, {"group_norm", "G = 3"});
}

}  // namespace
}  // namespace hourglass::test
