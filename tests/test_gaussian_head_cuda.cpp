// SPDX-License-Identifier: Apache-2.0
#include "tests/cuda_harness.h"
#include "tests/gaussian_head_checks.h"

namespace hourglass::test {
namespace {

using GaussianHeadCuda = CudaTest;

template <class T>
void expect_matches_double(const GaussianHeadShape& s, const HeadInputs<T>& in, bool with_dz, int offset = 0,
                           Math math = Math::kFp32) {
  SCOPED_TRACE(name_of(s));
  const auto [head, z, kl, value, dx, dw, db] = on_cuda([&](const Context& ctx) {
    const DeviceArray<T> x(in.x, offset), w(in.w, offset), b(in.b, offset), dz(in.dz, offset);
    const DeviceArray<double> scheduled(std::vector<double>{3});
    DeviceArray<T> of_head(int64_t{s.N} * 2 * s.D, offset), of_z(int64_t{s.N} * s.draws * s.D, offset);
    DeviceArray<float> of_kl(s.N), mean(1), of_w(int64_t{s.C} * 2 * s.D, offset), of_b(2 * s.D, offset);
    DeviceArray<T> of_x(int64_t{s.N} * s.C, offset);
    DeviceArray<T> scratch(
        static_cast<int64_t>(cuda::gaussian_head_backward_scratch_bytes(ctx, s, sizeof(T)) / sizeof(T)));
    Context chosen = ctx;
    chosen.math = math;
    cuda::gaussian_head_forward<T>(chosen, s, x.data(), w.data(), b.data(), head_noise(s), of_head.data(), of_z.data(),
                                   of_kl.data());
    cuda::gaussian_head_backward<T>(chosen, s, x.data(), w.data(), of_head.data(), head_noise(s),
                                    with_dz ? dz.data() : nullptr, Weight{0.25, scheduled.data()}, of_kl.data(),
                                    scratch.data(), Grad<float>{mean.data()}, Grad<T>{of_x.data()},
                                    Grad<float>{of_w.data()}, Grad<float>{of_b.data()});
    return std::tuple(of_head.values(), of_z.values(), of_kl.values(), mean.values(), of_x.values(), of_w.values(),
                      of_b.values());
  });
  const std::vector<double> rounded = converted<double>(head);
  const HeadTruth want = head_truth(s, {s, in}, 0.75, with_dz, &rounded);
  Tolerance tolerance = cuda_tolerance<T>(s.C + s.N + s.D, 1e-2);
  tolerance.relative *= std::is_same_v<T, bf16> ? 2 : 4;  // several roundings one after the other
  if (math == Math::kTf32) tolerance.relative = kTf32Tolerance.relative;
  expect_close(head, want.head, tolerance, "head");
  expect_close(z, want.z, tolerance, "z");
  expect_close(kl, want.kl, tolerance, "kl");
  expect_close(value, want.value, tolerance, "value");
  expect_close(dx, want.dx, tolerance, "dx");
  expect_close(dw, want.dw, tolerance, "dw");
  expect_close(db, want.db, tolerance, "db");
}

TEST_F(GaussianHeadCuda, MatchesDouble) {
  for (const GaussianHeadShape& s : kGaussianHeadCases) {
    const HeadInputs<float> in(s);
    expect_matches_double(s, in, true);
    expect_matches_double(s, in, false, 1);  // not aligned, and nothing reached z
  }
}

TEST_F(GaussianHeadCuda, Bf16MatchesDouble) {
  for (const GaussianHeadShape& s : {GaussianHeadShape{65, 12, 36}, {17, 33, 7, 3}, {40, 260, 4}}) {
    expect_matches_double(s, HeadInputs<bf16>(s), true);
  }
}

TEST_F(GaussianHeadCuda, Tf32MatchesDouble) {
  for (const GaussianHeadShape& s : {GaussianHeadShape{65, 12, 36}, {17, 33, 7, 3}, {40, 260, 4}}) {
    expect_matches_double(s, HeadInputs<float>(s), true, 0, Math::kTf32);
  }
}

TEST_F(GaussianHeadCuda, SetsAddsAndSkips) {
  for (const GaussianHeadShape& s : {GaussianHeadShape{40, 36, 4}, {9, 5, 3, 2}}) {
    SCOPED_TRACE(name_of(s));
    const HeadInputs<float> in(s);
    const HeadTruth truth = head_truth(s, {s, in}, 1);
    const DeviceArray<float> x(in.x), w(in.w), dz(in.dz), head(converted<float>(truth.head)),
        kl(converted<float>(truth.kl));
    DeviceArray<float> scratch(int64_t{s.N} * 2 * s.D);
    const auto backward = [&](const Context& ctx, Grad<float> value, Grad<float> dx, Grad<float> dw, Grad<float> db) {
      cuda::gaussian_head_backward<float>(ctx, s, x.data(), w.data(), head.data(), head_noise(s), dz.data(), {},
                                          kl.data(), scratch.data(), value, dx, dw, db);
    };
    const Tolerance tolerance = cuda_tolerance<float>(s.N);
    using Gradient = Grad<float>;
    expect_set_and_add_on_cuda<float>(
        1, [&](const Context& c, Gradient g) { backward(c, g, {}, {}, {}); }, tolerance);
    expect_set_and_add_on_cuda<float>(
        int64_t{s.N} * s.C, [&](const Context& c, Gradient g) { backward(c, {}, g, {}, {}); }, tolerance);
    expect_set_and_add_on_cuda<float>(
        int64_t{s.C} * 2 * s.D, [&](const Context& c, Gradient g) { backward(c, {}, {}, g, {}); }, tolerance);
    expect_set_and_add_on_cuda<float>(
        2 * s.D, [&](const Context& c, Gradient g) { backward(c, {}, {}, {}, g); }, tolerance);
  }
}

#if defined(HOURGLASS_CUDA_EMULATED)
TEST_F(GaussianHeadCuda, IsOneLaunchEachWay) {
  const GaussianHeadShape s{128, 40, 20};
  const HeadInputs<float> in(s);
  const DeviceArray<float> x(in.x), w(in.w), b(in.b), dz(in.dz);
  DeviceArray<float> head(128 * 40), z(128 * 20), kl(128), value(1), dx(128 * 40), dw(40 * 40), db(40);
  const auto launches = [] {
    cuda_synchronize();
    return simt::counters().launches;
  };
  const Context ctx = cuda_context();
  const int64_t before = launches();
  cuda::gaussian_head_forward<float>(ctx, s, x.data(), w.data(), b.data(), head_noise(s), head.data(), z.data(),
                                     kl.data());
  const int64_t between = launches();
  cuda::gaussian_head_backward<float>(ctx, s, x.data(), w.data(), head.data(), head_noise(s), dz.data(), {}, kl.data(),
                                      nullptr, {value.data()}, {dx.data()}, {dw.data()}, {db.data()});
  EXPECT_EQ(between - before, 1);
  EXPECT_EQ(launches() - between, 1);
  EXPECT_EQ(cuda::gaussian_head_backward_scratch_bytes(ctx, s, sizeof(float)), 0u);
}
#endif

}  // namespace
}  // namespace hourglass::test
