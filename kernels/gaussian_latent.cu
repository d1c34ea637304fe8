// SPDX-License-Identifier: Apache-2.0
#include "kernels/base/latent.cuh"
#include "kernels/base/row_loss.h"
#include "kernels/gaussian_latent.h"

namespace hourglass::cuda {

template <class T>
void gaussian_latent_forward(const Context& ctx, LatentShape s, const T* mu, const T* logvar, const Noise& noise, T* z,
                             acc_t<T>* kl) {
  check_latent("gaussian_latent", s, noise);
  if (s.N == 0 || (s.D == 0 && !kl)) return;
  if (kl) {
    launch_latent_sample<true>(ctx, s, mu, logvar, noise, z, kl);
  } else {
    launch_latent_sample<false>(ctx, s, mu, logvar, noise, z, kl);
  }
}

template <class T>
void gaussian_latent_backward(const Context& ctx, LatentShape s, const T* mu, const T* logvar, const Noise& noise,
                              const T* dz, Weight weight, const acc_t<T>* kl, Grad<acc_t<T>> value, Grad<T> dmu,
                              Grad<T> dlogvar) {
  check_latent("gaussian_latent", s, noise);
  check_mean("gaussian_latent", s.N);
  if (!value && !dmu && !dlogvar) return;
  launch_latent_gradient<true>(ctx, s, mu, logvar, noise, dz, gpu::per_sample(weight, s.N), kl, value, dmu, dlogvar);
}

template void gaussian_latent_forward(const Context&, LatentShape, const float*, const float*, const Noise&, float*,
                                      float*);
template void gaussian_latent_forward(const Context&, LatentShape, const bf16*, const bf16*, const Noise&, bf16*,
                                      float*);
template void gaussian_latent_backward(const Context&, LatentShape, const float*, const float*, const Noise&,
                                       const float*, Weight, const float*, Grad<float>, Grad<float>, Grad<float>);
template void gaussian_latent_backward(const Context&, LatentShape, const bf16*, const bf16*, const Noise&, const bf16*,
                                       Weight, const float*, Grad<float>, Grad<bf16>, Grad<bf16>);

}  // namespace hourglass::cuda
