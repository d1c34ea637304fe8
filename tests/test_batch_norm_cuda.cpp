// SPDX-License-Identifier: Apache-2.0
#include "tests/batch_norm_inputs.h"
#include "tests/cases/batch_norm.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

template <class T>
void check(const BatchNormShape& s, bool affine, int offset = 0) {
  const BatchNormInputs<T> in(s);
  const BatchNormTruth truth(s, in, affine);
  const DeviceArray<T> x(in.x, offset), gamma(in.gamma), beta(in.beta), dy(in.dy, offset);
  const T *const g = affine ? gamma.data() : nullptr, *const b = affine ? beta.data() : nullptr;
  const auto statistics = static_cast<int64_t>(truth.mean.size());
  const auto scratch_elements = static_cast<int64_t>(batch_norm_scratch_bytes(s, 1));
  const auto forward = [&](const Context& ctx, Grad<float> moments) {
    DeviceArray<T> out(in.size, offset);
    DeviceArray<float> means(statistics), scales(statistics), scratch(scratch_elements);
    cuda::batch_norm_forward<T>(ctx, s, x.data(), g, b, scratch.data(), out.data(), means.data(), scales.data(),
                                moments);
    return std::tuple(out.values(), means.values(), scales.values());
  };
  const auto [y, mean, rstd] = on_cuda([&](const Context& ctx) { return forward(ctx, {}); });
  const Tolerance sums{4e-6, 1}, limit = std::is_same_v<T, bf16> ? Tolerance{8e-3, 1} : sums;
  expect_close(y, truth.y, limit, "y");
  expect_close(mean, truth.mean, sums, "mean");
  expect_close(rstd, truth.rstd, sums, "rstd");
  using C = const Context&;
  const std::vector<float> moments =
      expect_set_and_add_on_cuda<float>(3 * int64_t{s.C}, [&](C ctx, Grad<float> m) { forward(ctx, m); });
  expect_close(moments, truth.moments, sums, "moments");

  const DeviceArray<float> device_mean(mean), device_rstd(rstd), running(moments);
  const std::vector<T> inferred = on_cuda([&](const Context& ctx) {
    DeviceArray<T> out(in.size, offset);
    cuda::batch_norm_inference<T>(ctx, s, x.data(), g, b, running.data(), running.data() + s.C, out.data());
    return out.values();
  });
  expect_close(inferred, truth.inferred, limit, "inferred");
  const auto backward = [&](const Context& ctx, Grad<T> dx, Grad<float> dgamma, Grad<float> dbeta) {
    DeviceArray<float> scratch(scratch_elements);
    cuda::batch_norm_backward<T>(ctx, s, x.data(), g, device_mean.data(), device_rstd.data(), dy.data(), scratch.data(),
                                 dx, dgamma, dbeta);
    scratch.expect_intact();
  };
  expect_close(expect_set_and_add_on_cuda<T>(in.size, [&](C ctx, Grad<T> d) { backward(ctx, d, {}, {}); }), truth.dx,
               limit, "dx");
  expect_close(expect_set_and_add_on_cuda<float>(s.C, [&](C ctx, Grad<float> d) { backward(ctx, {}, d, {}); }),
               truth.dgamma, sums, "dgamma");
  expect_close(expect_set_and_add_on_cuda<float>(s.C, [&](C ctx, Grad<float> d) { backward(ctx, {}, {}, d); }),
               truth.dbeta, sums, "dbeta");
}

using BatchNormCuda = CudaTest;

TEST_F(BatchNormCuda, MeetsTheReference) {
  for (const BatchNormShape& s : kBatchNormCases) {
    SCOPED_TRACE(describe(s));
    check<float>(s, true);
    check<bf16>(s, false);
  }
  check<float>({75, 16}, true, 1);  // not aligned
}

TEST_F(BatchNormCuda, TheUpdateMeetsTheReference) {
  for (const int32_t code : {0, 6}) {
    constexpr int kC = 300;
    std::vector<float> moments = random_values<float>(3 * kC, 1), mean = random_values<float>(kC, 2);
    std::vector<float> var = random_values<float>(kC, 3, 0, 2);
    for (int c = 0; c < kC; ++c) moments[2 * kC + c] = static_cast<float>(c % 3);
    const Fault fault{code, 0, 0, 0};
    const auto [got_moments, got_mean, got_var] = on_cuda([&](const Context& ctx) {
      DeviceArray<float> m(moments), a(mean), b(var);
      const DeviceArray<Fault> word(std::vector<Fault>{fault});
      cuda::batch_norm_update<float>(ctx, kC, 0.1, word.data(), m.data(), a.data(), b.data());
      return std::tuple(m.values(), a.values(), b.values());
    });
    cpu::batch_norm_update<float>({}, kC, 0.1, &fault, moments.data(), mean.data(), var.data());
    expect_close(got_moments, moments, exact(), "moments");
    expect_close(got_mean, mean, fp32_tolerance(1), "mean");
    expect_close(got_var, var, fp32_tolerance(1), "var");
  }
}

TEST_F(BatchNormCuda, Refusals) {
  expect_error(
      [] {
        cuda::batch_norm_forward<float>(cuda_context(), {1, 4}, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                                        nullptr, {});
      },
      Exit::kUsage, {"batch_norm", "more than one value"});
}

}  // namespace
}  // namespace hourglass::test
