// SPDX-License-Identifier: Apache-2.0
#include "kernels/bernoulli_nll.h"
#include "tests/cases/bernoulli_nll.h"
#include "tests/row_loss_cuda_checks.h"

namespace hourglass::test {
namespace {

struct Op {
  static void reference_forward(RowLossShape s, const double* y, const double* x, double* loss) {
    cpu::bernoulli_nll_forward<double>({}, s, y, x, loss);
  }
  static void reference_backward(RowLossShape s, const double* y, const double* x, const double* dloss,
                                 Grad<double> dy) {
    cpu::bernoulli_nll_backward<double>({}, s, y, x, dloss, dy);
  }
  template <class T>
  static void forward(const Context& ctx, RowLossShape s, const T* y, const T* x, float* loss) {
    cuda::bernoulli_nll_forward(ctx, s, y, x, loss);
  }
  template <class T>
  static void backward(const Context& ctx, RowLossShape s, const T* y, const T* x, const float* dloss, Grad<T> dy) {
    cuda::bernoulli_nll_backward(ctx, s, y, x, dloss, dy);
  }
  template <class T>
  static void loss(const Context& ctx, RowLossShape s, const T* y, const T* x, Weight weight, Grad<float> value,
                   Grad<T> dy) {
    cuda::bernoulli_nll_loss(ctx, s, y, x, weight, value, dy);
  }
};

using BernoulliNllCuda = CudaTest;

TEST_F(BernoulliNllCuda, MeetsTheDoubleReference) { check_row_loss_on_cuda<Op>("bernoulli_nll", kBernoulliNllCases); }

TEST_F(BernoulliNllCuda, StaysFiniteAtExtremeLogits) {
  const std::vector<float> logits = {1e4f, -1e4f, 100, -100, 88, -88, 0}, x = {0, 1, 1, 0, 0.5f, 0.5f, 1};
  const RowLossShape s{7, 1};
  std::vector<double> want(7), want_gradient(7);
  const std::vector<double> ones(7, 1.0);
  Op::reference_forward(s, converted<double>(logits).data(), converted<double>(x).data(), want.data());
  Op::reference_backward(s, converted<double>(logits).data(), converted<double>(x).data(), ones.data(),
                         {want_gradient.data()});
  const DeviceArray<float> device_logits(logits), device_x(x), device_ones(converted<float>(ones));
  const auto [nll, gradient] = on_cuda([&](const Context& ctx) {
    DeviceArray<float> a(7), b(7);
    cuda::bernoulli_nll_forward(ctx, s, device_logits.data(), device_x.data(), a.data());
    cuda::bernoulli_nll_backward(ctx, s, device_logits.data(), device_x.data(), device_ones.data(),
                                 Grad<float>{b.data()});
    return std::tuple(a.values(), b.values());
  });
  expect_close(nll, want, cuda_tolerance<float>(1), "nll");
  expect_close(gradient, want_gradient, cuda_tolerance<float>(1), "dlogits");
}

}  // namespace
}  // namespace hourglass::test
