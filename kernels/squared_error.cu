// SPDX-License-Identifier: Apache-2.0
#include "kernels/base/row_loss.cuh"
#include "kernels/squared_error.h"

namespace hourglass::cuda {
namespace {

struct SquaredError {
  static constexpr const char* kName = "squared_error";
  static __device__ __forceinline__ float loss(float y, float x) { return (y - x) * (y - x); }
  static __device__ __forceinline__ float slope(float y, float x) { return 2.0f * (y - x); }
};

}  // namespace

template <class T>
void squared_error_forward(const Context& ctx, RowLossShape s, const T* y, const T* x, acc_t<T>* loss) {
  row_loss_forward<SquaredError>(ctx, s, y, x, loss);
}

template <class T>
void squared_error_backward(const Context& ctx, RowLossShape s, const T* y, const T* x, const acc_t<T>* dloss,
                            Grad<T> dy) {
  row_loss_backward<SquaredError>(ctx, s, y, x, dloss, dy);
}

template <class T>
void squared_error_loss(const Context& ctx, RowLossShape s, const T* y, const T* x, Weight weight, Grad<acc_t<T>> value,
                        Grad<T> dy) {
  row_loss_mean<SquaredError>(ctx, s, y, x, weight, value, dy);
}

template void squared_error_forward(const Context&, RowLossShape, const float*, const float*, float*);
template void squared_error_forward(const Context&, RowLossShape, const bf16*, const bf16*, float*);
template void squared_error_backward(const Context&, RowLossShape, const float*, const float*, const float*,
                                     Grad<float>);
template void squared_error_backward(const Context&, RowLossShape, const bf16*, const bf16*, const float*, Grad<bf16>);
template void squared_error_loss(const Context&, RowLossShape, const float*, const float*, Weight, Grad<float>,
                                 Grad<float>);
template void squared_error_loss(const Context&, RowLossShape, const bf16*, const bf16*, Weight, Grad<float>,
                                 Grad<bf16>);

}  // namespace hourglass::cuda
