// SPDX-License-Identifier: Apache-2.0
// The Gaussian latent layer of a VAE in one pass: reparameterized sample and KL divergence from the standard normal
// prior, forward and backward. The same functions as reparameterize.h and gaussian_kl.h (equations, bounds and shapes
// there), fused because they read the same two inputs: mu and logvar cross the memory once each way, and the noise is
// drawn again in backward instead of being stored.
//
//   z[r,d]       = mu[n,d] + sigma(logvar[n,d]) eps[r,d],  n = r / draws
//   kl[n]        = 1/2 sum_d ( v(logvar[n,d]) + mu[n,d]^2 - 1 - logvar[n,d] )        in nats
//   value        = mean_n kl[n]                                                      over the N samples, unweighted
//
//   dmu[n,d]     = sum over the draws r of n of dz[r,d]  +  w/N mu[n,d]
//   dlogvar[n,d] = sigma'(logvar[n,d]) sum over r of dz[r,d] eps[r,d]  +  w/(2N) (v'(logvar[n,d]) - 1)
//
//   mu, logvar, dmu, dlogvar (N, D) with rows `stride` apart;  z, dz (N * draws, D);  kl (N);  value (1)
//
// Zero columns: z is empty and kl is 0. Errors: those of reparameterize.h, and kUsage for the mean with N = 0.
#pragma once

#include "kernels/reparameterize.h"

namespace hourglass::cpu {

/// z and kl are overwritten; kl may be null.
template <class T>
void gaussian_latent_forward(const Context& ctx, LatentShape s, const T* mu, const T* logvar, const Noise& noise, T* z,
                             acc_t<T>* kl);
void gaussian_latent_forward(const Context& ctx, LatentShape s, const float* mu, const float* logvar,
                             const Noise& noise, float* z, float* kl);

/// Gradients of <z, dz> + weight * value, and the value. `dz` may be null (no gradient reached z: zero); `kl` is what
/// forward wrote and is read for the value only. Each output may be null.
template <class T>
void gaussian_latent_backward(const Context& ctx, LatentShape s, const T* mu, const T* logvar, const Noise& noise,
                              const T* dz, Weight weight, const acc_t<T>* kl, Grad<acc_t<T>> value, Grad<T> dmu,
                              Grad<T> dlogvar);
void gaussian_latent_backward(const Context& ctx, LatentShape s, const float* mu, const float* logvar,
                              const Noise& noise, const float* dz, Weight weight, const float* kl, Grad<float> value,
                              Grad<float> dmu, Grad<float> dlogvar);

}  // namespace hourglass::cpu

namespace hourglass::cuda {

/// As in namespace cpu. T: float or bf16.
template <class T>
void gaussian_latent_forward(const Context& ctx, LatentShape s, const T* mu, const T* logvar, const Noise& noise, T* z,
                             acc_t<T>* kl);
template <class T>
void gaussian_latent_backward(const Context& ctx, LatentShape s, const T* mu, const T* logvar, const Noise& noise,
                              const T* dz, Weight weight, const acc_t<T>* kl, Grad<acc_t<T>> value, Grad<T> dmu,
                              Grad<T> dlogvar);

}  // namespace hourglass::cuda
