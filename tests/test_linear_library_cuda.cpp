// SPDX-License-Identifier: Apache-2.0
// Linear layers by cuBLASLt, where there is one; else the same calls fall back to our own kernels.
#include <limits>

#include "kernels/base/cublaslt.h"
#include "tests/linear_cuda_checks.h"

namespace hourglass {
namespace {

using namespace test;

using LinearCuda = CudaTest;

TEST_F(LinearCuda, TheLibraryMatchesDouble) {
  for (const LinearShape& s : own_cases()) {
    SCOPED_TRACE(name_of(s));
    auto in = Inputs<float>::random(s);
    expect_close(forward_on_cuda(s, in, 0, true), forward(s, in), cuda_tolerance<float>(s.C + 1, 1e-2), "y");
    in.b.clear();
    expect_close(forward_on_cuda(s, in, 0, true), forward(s, in), cuda_tolerance<float>(s.C + 1, 1e-2), "y, no bias");
  }
}

/// dx and dw by the library, whatever the size.
template <class T>
void expect_library_gradients(const LinearShape& s, Write mode) {
  SCOPED_TRACE(name_of(s) + (mode == Write::kAdd ? ", added" : ", set"));
  const auto in = Inputs<T>::random(s);
  std::vector<T> y;
  for (double value : forward(s, in)) y.push_back(static_cast<T>(static_cast<float>(value)));
  Truth want = backward(s, in, y);
  const auto [dx, dw] = on_cuda(
      [&](const Context& ctx) {
        const DeviceArray<T> x(in.x), w(in.w), device_y(y), dy(in.dy);
        DeviceArray<T> scratch(y_size(s)), of_x(std::vector<T>(in.x.size(), static_cast<T>(1.0f)));
        DeviceArray<float> of_w(std::vector<float>(in.w.size(), 1.0f));
        Context chosen = ctx;
        chosen.own_gemm = false;
        Grad<T> dx{of_x.data(), mode};
        Grad<float> dw{of_w.data(), mode};
        cuda::linear_backward_by_library<T>(chosen, s, x.data(), w.data(), device_y.data(), dy.data(), scratch.data(),
                                            &dx, &dw);
        EXPECT_TRUE(!dx && !dw) << "the library makes both";
        return std::tuple(of_x.values(), of_w.values());
      },
      name_of(s));
  if (mode == Write::kAdd) {
    for (double& value : want.dx) ++value;
    for (double& value : want.dw) ++value;
  }
  expect_close(dx, want.dx, cuda_tolerance<T>(s.K), "dx");
  expect_close(dw, want.dw, cuda_tolerance<T>(s.N), "dw, of dz as T holds it");
}

TEST_F(LinearCuda, TheLibraryMakesGradients) {
  if (cuda::cublaslt_version().empty()) GTEST_SKIP() << "no cuBLASLt";
  for (const LinearShape& s : {LinearShape{9, 17, 65, Activation::kTanh, true},
                               {3, 5, 7, Activation::kSoftplus, false},
                               {40, 36, 20, Activation::kNone, false},
                               {31, 2, 9, Activation::kNone, true}}) {
    for (Write mode : {Write::kSet, Write::kAdd}) {
      expect_library_gradients<float>(s, mode);
      expect_library_gradients<bf16>(s, mode);
    }
  }
}

TEST_F(LinearCuda, TheLibraryMakesGradientsOfLargeLayers) {
  const LinearShape small{128, 784, 400, Activation::kRelu, false}, s{512, 1024, 512, Activation::kRelu, false};
  Context own;
  own.own_gemm = true;
  EXPECT_EQ(cuda::linear_backward_scratch_bytes({}, small, 4), 0u);
  EXPECT_EQ(cuda::linear_backward_scratch_bytes(own, s, 4), 0u);
  EXPECT_EQ(cuda::linear_backward_scratch_bytes({}, s, 4), size_t{512} * 512 * 4);
  if (cuda::cublaslt_version().empty()) GTEST_SKIP() << "no cuBLASLt";
  const auto in = Inputs<float>::random(s);
  const DeviceArray<float> x(in.x), w(in.w), y(in.dy), dy(in.dy);
  DeviceArray<float> scratch(y_size(s)), dw(w_size(s)), db(s.K);
  const size_t before = cuda::library_plans().size();
  cuda::linear_backward<float>(cuda_context(), s, x.data(), w.data(), y.data(), dy.data(), scratch.data(), {},
                               Grad<float>{dw.data()}, Grad<float>{db.data()});
  EXPECT_EQ(cuda::library_plans().size(), before + 1) << "dw is the library's";
  double sum = 0;
  for (int n = 0; n < s.N; ++n) sum += std::max(0.0f, in.dy[static_cast<size_t>(n) * 512 + 7]);
  EXPECT_NEAR(db.values()[7], sum, 1e-3) << "db is not";
}

/// Large enough for a library product and a pass for the activation, which must not turn a NaN into a number. One row
/// of weights is infinite, with either sign: a NaN in its sums, whether products are rounded before they are added or
/// not.
TEST_F(LinearCuda, TheLibraryLeavesNoNanBehindAnActivation) {
  const LinearShape s{512, 1024, 512, Activation::kRelu, false};
  static_assert(int64_t{512} * 512 * 1024 >= cuda::kLibraryActivationWork);
  std::vector<float> x(static_cast<size_t>(x_size(s)), 1e20f), w(static_cast<size_t>(w_size(s)), 1e-20f);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (int c = 0; c < s.C; ++c) w[static_cast<size_t>(3 * s.C + c)] = c % 2 ? kInfinity : -kInfinity;
  const DeviceArray<float> device_x(x), device_w(w), b(std::vector<float>(static_cast<size_t>(s.K), -1000));
  DeviceArray<float> y(y_size(s));
  cuda::linear_forward<float>(cuda_context(), s, device_x.data(), device_w.data(), b.data(), y.data());
  const std::vector<float> got = y.values();
  for (size_t i = 0; i < got.size(); ++i) {
    if (i % static_cast<size_t>(s.K) == 3) {
      ASSERT_TRUE(std::isnan(got[i])) << i;
    } else {
      ASSERT_NEAR(got[i], 24, 0.1) << i;
    }
  }
}

}  // namespace
}  // namespace hourglass
