// SPDX-License-Identifier: Apache-2.0
#include "kernels/base/bernoulli.cuh"
#include "kernels/base/row_loss.cuh"
#include "kernels/bernoulli_nll.h"

namespace hourglass::cuda {

template <class T>
void bernoulli_nll_forward(const Context& ctx, RowLossShape s, const T* logits, const T* x, acc_t<T>* nll) {
  row_loss_forward<BernoulliNll>(ctx, s, logits, x, nll);
}

template <class T>
void bernoulli_nll_backward(const Context& ctx, RowLossShape s, const T* logits, const T* x, const acc_t<T>* dnll,
                            Grad<T> dlogits) {
  row_loss_backward<BernoulliNll>(ctx, s, logits, x, dnll, dlogits);
}

template <class T>
void bernoulli_nll_loss(const Context& ctx, RowLossShape s, const T* logits, const T* x, Weight weight,
                        Grad<acc_t<T>> value, Grad<T> dlogits) {
  row_loss_mean<BernoulliNll>(ctx, s, logits, x, weight, value, dlogits);
}

template void bernoulli_nll_forward(const Context&, RowLossShape, const float*, const float*, float*);
template void bernoulli_nll_forward(const Context&, RowLossShape, const bf16*, const bf16*, float*);
template void bernoulli_nll_backward(const Context&, RowLossShape, const float*, const float*, const float*,
                                     Grad<float>);
template void bernoulli_nll_backward(const Context&, RowLossShape, const bf16*, const bf16*, const float*, Grad<bf16>);
template void bernoulli_nll_loss(const Context&, RowLossShape, const float*, const float*, Weight, Grad<float>,
                                 Grad<float>);
template void bernoulli_nll_loss(const Context&, RowLossShape, const bf16*, const bf16*, Weight, Grad<float>,
                                 Grad<bf16>);

}  // namespace hourglass::cuda
