// SPDX-License-Identifier: Apache-2.0
#include "kernels/pool2d.h"
#include "tests/cases/pool2d.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

using S = Pool2dShape;

int64_t inputs(const S& s) { return int64_t{s.N} * s.H * s.W * s.C; }
int64_t outputs(const S& s) { return int64_t{s.N} * s.P * s.Q * s.C; }

/// Few values, so that ties are everywhere, and one NaN: value and index are the reference's. Sums of small integers
/// are exact in bf16 too.
template <class T>
void check_max(const S& s, int offset) {
  auto values = random_integers<float>(inputs(s), 1, -2, 2);
  if (values.size() > 40) values[40] = std::nanf("");
  const auto dy = random_integers<float>(outputs(s), 2);
  Guarded<float> want(outputs(s)), want_dx(inputs(s));
  Guarded<int32_t> want_argmax(outputs(s));
  cpu::max_pool2d_forward<float>({}, s, values.data(), want.data(), want_argmax.data());
  cpu::max_pool2d_backward<float>({}, s, want_argmax.data(), dy.data(), {want_dx.data()});

  const DeviceArray<T> x(converted<T>(values), offset), device_dy(converted<T>(dy), offset);
  const DeviceArray<int32_t> device_argmax(want_argmax.values(), offset);
  const auto [y, argmax, alone] = on_cuda([&](const Context& ctx) {
    DeviceArray<T> out(outputs(s), offset), without(outputs(s), offset);
    DeviceArray<int32_t> where(outputs(s), offset);
    cuda::max_pool2d_forward<T>(ctx, s, x.data(), out.data(), where.data());
    cuda::max_pool2d_forward<T>(ctx, s, x.data(), without.data(), nullptr);
    return std::tuple(out.values(), where.values(), without.values());
  });
  EXPECT_EQ(argmax, want_argmax.values());
  for (int64_t i = 0; i < outputs(s); ++i) {
    const auto at = static_cast<size_t>(i);
    const float got = static_cast<float>(y[at]);
    EXPECT_TRUE(std::isnan(want[i]) ? std::isnan(got) : got == want[i]) << i;
  }
  expect_same_bits(alone, y, "y without argmax");
  expect_close(expect_set_and_add_on_cuda<T>(inputs(s),
                                             [&](const Context& ctx, Grad<T> dx) {
                                               cuda::max_pool2d_backward<T>(ctx, s, device_argmax.data(),
                                                                            device_dy.data(), dx);
                                             }),
               want_dx, exact(), "dx");
}

template <class T>
void check_average(S s, int offset) {
  const auto values = random_values<T>(inputs(s), 1), dy = random_values<T>(outputs(s), 2);
  std::vector<double> want(dy.size()), want_dx(values.size());
  cpu::average_pool2d_forward<double>({}, s, std::vector<double>(values.begin(), values.end()).data(), want.data());
  cpu::average_pool2d_backward<double>({}, s, std::vector<double>(dy.begin(), dy.end()).data(), {want_dx.data()});
  const DeviceArray<T> x(values, offset), device_dy(dy, offset);
  const auto y = on_cuda([&](const Context& ctx) {
    DeviceArray<T> out(outputs(s), offset);
    cuda::average_pool2d_forward<T>(ctx, s, x.data(), out.data());
    return out.values();
  });
  expect_close(y, want, cuda_tolerance<T>(s.R * s.S, 0.1), "y");
  expect_close(expect_set_and_add_on_cuda<T>(inputs(s),
                                             [&](const Context& ctx, Grad<T> dx) {
                                               cuda::average_pool2d_backward<T>(ctx, s, device_dy.data(), dx);
                                             }),
               want_dx, cuda_tolerance<T>(s.R * s.S), "dx");
}

using Pool2dCuda = CudaTest;

template <class F>
void every_case(F check) {
  for (const S& s : kPool2dCases) {
    for (int offset : {0, 1}) {
      if (offset && inputs(s) > 5000) continue;
      SCOPED_TRACE(describe("pool2d", {s.N, s.H, s.W, s.C, s.R, s.S, s.stride_h, s.stride_w, offset}));
      check(s, offset);
    }
  }
}

TEST_F(Pool2dCuda, FloatMaximumHasTheReferencesBits) { every_case(check_max<float>); }
TEST_F(Pool2dCuda, Bf16MaximumHasTheReferencesValues) { every_case(check_max<bf16>); }
TEST_F(Pool2dCuda, AveragesMeetTheReference) {
  every_case([](S s, int offset) {
    check_average<float>(s, offset);
    check_average<bf16>(s, offset);
    s.count_padding = true;
    check_average<float>(s, offset);
  });
}

TEST_F(Pool2dCuda, Refusals) {
  const S s = pool2d_shape(1, 4, 4, 1, 2, 2, 2, 2, 2, 0, 2, 2);
  expect_error([&] { cuda::max_pool2d_forward<float>(cuda_context(), s, nullptr, nullptr, nullptr); }, Exit::kUsage,
               {"max_pool2d", "a window without a pixel"});
  expect_error([&] { cuda::average_pool2d_backward<bf16>(cuda_context(), s, nullptr, {}); }, Exit::kUsage,
               {"average_pool2d", "a window without a pixel"});
}

}  // namespace
}  // namespace hourglass::test
