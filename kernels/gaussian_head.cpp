// SPDX-License-Identifier: Apache-2.0
// The reference and the timed form are the same composition, of references and of timed forms.
#include "kernels/gaussian_head.h"

#include "kernels/base/gaussian_head_check.h"
#include "kernels/base/row_loss.h"

namespace hourglass::cpu {
namespace {

template <class T>
Grad<T> second_half(Grad<T> head, int D) {
  return {head ? head.data + D : nullptr, head.mode};
}

}  // namespace

template <class T>
void gaussian_head_forward(const Context& ctx, GaussianHeadShape s, const T* x, const T* w, const T* b,
                           const Noise& noise, T* head, T* z, acc_t<T>* kl) {
  check_gaussian_head(s, noise);
  linear_forward<T>(ctx, s.layer(), x, w, b, head);
  gaussian_latent_forward<T>(ctx, s.latent(), head, head + s.D, noise, z, kl);
}

void gaussian_head_forward(const Context& ctx, GaussianHeadShape s, const float* x, const float* w, const float* b,
                           const Noise& noise, float* head, float* z, float* kl) {
  check_gaussian_head(s, noise);
  linear_forward(ctx, s.layer(), x, w, b, head);
  gaussian_latent_forward(ctx, s.latent(), head, head + s.D, noise, z, kl);
}

size_t gaussian_head_backward_scratch_bytes(const Context&, GaussianHeadShape s, size_t element_bytes) {
  return 2 * static_cast<size_t>(s.N) * static_cast<size_t>(s.D) * element_bytes;
}

template <class T>
void gaussian_head_backward(const Context& ctx, GaussianHeadShape s, const T* x, const T* w, const T* head,
                            const Noise& noise, const T* dz, Weight weight, const acc_t<T>* kl, void* scratch,
                            Grad<acc_t<T>> value, Grad<T> dx, Grad<acc_t<T>> dw, Grad<acc_t<T>> db) {
  check_gaussian_head(s, noise);
  const Grad<T> dhead{dx || dw || db ? static_cast<T*>(scratch) : nullptr};
  gaussian_latent_backward<T>(ctx, s.latent(), head, head + s.D, noise, dz, weight, kl, value, dhead,
                              second_half(dhead, s.D));
  if (dhead) linear_backward<T>(ctx, s.layer(), x, w, head, dhead.data, nullptr, dx, dw, db);
}

void gaussian_head_backward(const Context& ctx, GaussianHeadShape s, const float* x, const float* w, const float* head,
                            const Noise& noise, const float* dz, Weight weight, const float* kl, void* scratch,
                            Grad<float> value, Grad<float> dx, Grad<float> dw, Grad<float> db) {
  check_gaussian_head(s, noise);
  const Grad<float> dhead{dx || dw || db ? static_cast<float*>(scratch) : nullptr};
  gaussian_latent_backward(ctx, s.latent(), head, head + s.D, noise, dz, weight, kl, value, dhead,
                           second_half(dhead, s.D));
  if (dhead) linear_backward(ctx, s.layer(), x, w, head, dhead.data, nullptr, dx, dw, db);
}

template void gaussian_head_forward<float>(const Context&, GaussianHeadShape, const float*, const float*, const float*,
                                           const Noise&, float*, float*, float*);
template void gaussian_head_forward<double>(const Context&, GaussianHeadShape, const double*, const double*,
                                            const double*, const Noise&, double*, double*, double*);
template void gaussian_head_backward<float>(const Context&, GaussianHeadShape, const float*, const float*, const float*,
                                            const Noise&, const float*, Weight, const float*, void*, Grad<float>,
                                            Grad<float>, Grad<float>, Grad<float>);
template void gaussian_head_backward<double>(const Context&, GaussianHeadShape, const double*, const double*,
                                             const double*, const Noise&, const double*, Weight, const double*, void*,
                                             Grad<double>, Grad<double>, Grad<double>, Grad<double>);

}  // namespace hourglass::cpu
