// SPDX-License-Identifier: Apache-2.0
#include "kernels/bernoulli_nll.h"
#include "tests/cases/bernoulli_nll.h"
#include "tests/row_loss_checks.h"

namespace hourglass::test {
namespace {

struct Op {
  template <class T>
  static void forward(const Context& ctx, RowLossShape s, const T* y, const T* x, T* loss) {
    cpu::bernoulli_nll_forward<T>(ctx, s, y, x, loss);
  }
  template <class T>
  static void backward(const Context& ctx, RowLossShape s, const T* y, const T* x, const T* dloss, Grad<T> dy) {
    cpu::bernoulli_nll_backward<T>(ctx, s, y, x, dloss, dy);
  }
  template <class T>
  static void loss(const Context& ctx, RowLossShape s, const T* y, const T* x, Weight w, Grad<T> value, Grad<T> dy) {
    cpu::bernoulli_nll_loss<T>(ctx, s, y, x, w, value, dy);
  }
  static void forward(const Context& ctx, RowLossShape s, const float* y, const float* x, float* loss) {
    cpu::bernoulli_nll_forward(ctx, s, y, x, loss);
  }
  static void backward(const Context& ctx, RowLossShape s, const float* y, const float* x, const float* dloss,
                       Grad<float> dy) {
    cpu::bernoulli_nll_backward(ctx, s, y, x, dloss, dy);
  }
  static void loss(const Context& ctx, RowLossShape s, const float* y, const float* x, Weight w, Grad<float> value,
                   Grad<float> dy) {
    cpu::bernoulli_nll_loss(ctx, s, y, x, w, value, dy);
  }
};

TEST(BernoulliNll, KeepsThePromisesOfRowLosses) { check_row_loss<Op>("bernoulli_nll", kBernoulliNllCases); }

/// -log p of a coin, at logits where exp(l) overflows and where the loss is tiny.
TEST(BernoulliNll, IsExactAtExtremeLogits) {
  const std::vector<float> logits = {1e4f, 1e4f, -1e4f, -1e4f, 0.0f, 1e4f, -30.0f, 30.0f};
  const std::vector<float> x = {0, 1, 0, 1, 0.5f, 0.25f, 0, 1};
  const std::vector<double> nll = {
      1e4, 0, 0, 1e4, std::log(2.0), 7500, std::log1p(std::exp(-30.0)), std::log1p(std::exp(-30.0))};
  const std::vector<double> slope = {1, 0, 0, -1, 0, 0.75, std::exp(-30.0), -std::exp(-30.0)};
  const auto N = static_cast<int>(x.size());
  const std::vector<float> ones(x.size(), 1);
  for (const bool timed : {false, true}) {
    Guarded<float> got(N), gradient(N);
    if (timed) {
      Op::forward({}, {N, 1}, logits.data(), x.data(), got.data());
      Op::backward({}, {N, 1}, logits.data(), x.data(), ones.data(), {gradient.data()});
    } else {
      Op::forward<float>({}, {N, 1}, logits.data(), x.data(), got.data());
      Op::backward<float>({}, {N, 1}, logits.data(), x.data(), ones.data(), {gradient.data()});
    }
    for (int i = 0; i < N; ++i) {
      const auto at = static_cast<size_t>(i);
      EXPECT_NEAR(got[i], nll[at], 2e-6 * nll[at]) << i;
      EXPECT_NEAR(gradient[i], slope[at], 1.2e-7) << i;
    }
  }
}

TEST(BernoulliNll, NanLogitGivesNanLoss) {
  const std::vector<float> logits(20, std::nanf("")), x(20, 0.0f);
  float nll = 0;
  Op::forward({}, {1, 20}, logits.data(), x.data(), &nll);
  EXPECT_TRUE(std::isnan(nll));
}

}  // namespace
}  // namespace hourglass::test
