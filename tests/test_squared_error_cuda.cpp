// SPDX-License-Identifier: Apache-2.0
#include "kernels/squared_error.h"
#include "tests/cases/squared_error.h"
#include "tests/row_loss_cuda_checks.h"

namespace hourglass::test {
namespace {

struct Op {
  static void reference_forward(RowLossShape s, const double* y, const double* x, double* loss) {
    cpu::squared_error_forward<double>({}, s, y, x, loss);
  }
  static void reference_backward(RowLossShape s, const double* y, const double* x, const double* dloss,
                                 Grad<double> dy) {
    cpu::squared_error_backward<double>({}, s, y, x, dloss, dy);
  }
  template <class T>
  static void forward(const Context& ctx, RowLossShape s, const T* y, const T* x, float* loss) {
    cuda::squared_error_forward(ctx, s, y, x, loss);
  }
  template <class T>
  static void backward(const Context& ctx, RowLossShape s, const T* y, const T* x, const float* dloss, Grad<T> dy) {
    cuda::squared_error_backward(ctx, s, y, x, dloss, dy);
  }
  template <class T>
  static void loss(const Context& ctx, RowLossShape s, const T* y, const T* x, Weight weight, Grad<float> value,
                   Grad<T> dy) {
    cuda::squared_error_loss(ctx, s, y, x, weight, value, dy);
  }
};

using SquaredErrorCuda = CudaTest;

TEST_F(SquaredErrorCuda, MeetsTheDoubleReference) { check_row_loss_on_cuda<Op>("squared_error", kSquaredErrorCases); }

}  // namespace
}  // namespace hourglass::test
