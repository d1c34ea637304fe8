// SPDX-License-Identifier: Apache-2.0
#include "kernels/squared_error.h"
#include "tests/cases/squared_error.h"
#include "tests/row_loss_checks.h"

namespace hourglass::test {
namespace {

struct Op {
  template <class T>
  static void forward(const Context& ctx, RowLossShape s, const T* y, const T* x, T* loss) {
    cpu::squared_error_forward<T>(ctx, s, y, x, loss);
  }
  template <class T>
  static void backward(const Context& ctx, RowLossShape s, const T* y, const T* x, const T* dloss, Grad<T> dy) {
    cpu::squared_error_backward<T>(ctx, s, y, x, dloss, dy);
  }
  template <class T>
  static void loss(const Context& ctx, RowLossShape s, const T* y, const T* x, Weight w, Grad<T> value, Grad<T> dy) {
    cpu::squared_error_loss<T>(ctx, s, y, x, w, value, dy);
  }
  static void forward(const Context& ctx, RowLossShape s, const float* y, const float* x, float* loss) {
    cpu::squared_error_forward(ctx, s, y, x, loss);
  }
  static void backward(const Context& ctx, RowLossShape s, const float* y, const float* x, const float* dloss,
                       Grad<float> dy) {
    cpu::squared_error_backward(ctx, s, y, x, dloss, dy);
  }
  static void loss(const Context& ctx, RowLossShape s, const float* y, const float* x, Weight w, Grad<float> value,
                   Grad<float> dy) {
    cpu::squared_error_loss(ctx, s, y, x, w, value, dy);
  }
};

TEST(SquaredError, KeepsThePromisesOfRowLosses) { check_row_loss<Op>("squared_error", kSquaredErrorCases); }

TEST(SquaredError, HasNoFactorOneHalf) {
  const std::vector<float> y = {1, 2, 3, 4}, x = {0, 0, 1, 1};
  float loss[2], value = 0, dy[4];
  Op::forward({}, {2, 2}, y.data(), x.data(), loss);
  Op::loss({}, {2, 2}, y.data(), x.data(), {}, {&value}, {dy});
  expect_close(loss, std::vector<float>{5, 13}, exact());
  EXPECT_EQ(value, 9);
  expect_close(dy, std::vector<float>{1, 2, 2, 3}, exact());
}

}  // namespace
}  // namespace hourglass::test
