// SPDX-License-Identifier: Apache-2.0
#include "kernels/activation.h"
#include "tests/cases/activation.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

/// The backward is compared at the output that the device rounded: what is read off y is a function of that y.
template <class T>
void check_activation_on_cuda(ActivationShape s, int offset) {
  const auto x = random_values<T>(s.n, 1, -6, 6), dy = random_values<T>(s.n, 2);
  const DeviceArray<T> device_x(x, offset), device_dy(dy, offset);
  const auto y = on_cuda([&](const Context& ctx) {
    DeviceArray<T> out(s.n, offset), in_place(x, offset);
    cuda::activation_forward(ctx, s, device_x.data(), out.data());
    cuda::activation_forward(ctx, s, in_place.data(), in_place.data());
    expect_same_bits(in_place.values(), out.values(), "in place");
    return out.values();
  });
  const auto x64 = converted<double>(x), y64 = converted<double>(y), dy64 = converted<double>(dy);
  std::vector<double> want(x.size()), dx(x.size());
  cpu::activation_forward<double>({}, s, x64.data(), want.data());
  cpu::activation_backward<double>({}, s, x64.data(), y64.data(), dy64.data(), {dx.data()});
  expect_close(y, want, cuda_tolerance<T>(1), "y");
  const DeviceArray<T> device_y(y, offset);
  const bool gelu = s.activation == Activation::kGelu;
  const auto got = expect_set_and_add_on_cuda<T>(s.n, [&](const Context& ctx, Grad<T> grad) {
    cuda::activation_backward(ctx, s, gelu ? device_x.data() : nullptr, gelu ? nullptr : device_y.data(),
                              device_dy.data(), grad);
  });
  expect_close(got, dx, cuda_tolerance<T>(1), "dx");
}

using ActivationCuda = CudaTest;

TEST_F(ActivationCuda, MatchesTheReference) {
  for (const Activation a : kActivations) {
    for (const int64_t n : kActivationCounts) {
      if (n > 20000) continue;
      SCOPED_TRACE(describe(activation_name(a), {n}));
      check_activation_on_cuda<float>({n, a}, 0);
      check_activation_on_cuda<bf16>({n, a}, 0);
      if (n < 100) check_activation_on_cuda<float>({n, a}, 1);
    }
  }
}

TEST_F(ActivationCuda, GeluNeedsItsInput) {
  const auto run = [] {
    cuda::activation_backward<float>(cuda_context(), {1, Activation::kGelu}, nullptr, nullptr, nullptr, {});
  };
  expect_error(run, Exit::kUsage, {"gelu", "null"});
}

}  // namespace
}  // namespace hourglass::test
