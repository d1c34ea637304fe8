// SPDX-License-Identifier: Apache-2.0
// Reparameterized sampling from a diagonal Gaussian (Kingma and Welling, "Auto-encoding variational Bayes", 2014,
// section 2.4): the sample is a differentiable function of its parameters and of noise that does not depend on them.
//
//   z[r,d]  = mu[n,d] + sigma(logvar[n,d]) eps[r,d],    n = r / draws,   eps = normal(noise, r, d)   (base/philox.h)
//   sigma(logvar) = exp_linear(logvar / 2, 10): e^(logvar/2) up to logvar = 20, its tangent beyond  (base/math.h)
//
// Backward (eps is drawn again, never stored):
//   dmu[n,d]     = sum over the draws r of n of dz[r,d]
//   dlogvar[n,d] = sigma'(logvar[n,d]) * sum over r of dz[r,d] eps[r,d],   sigma' = e^(min(logvar, 20) / 2) / 2
//
//   mu, logvar, dmu, dlogvar (N, D) with rows `stride` apart, so that they may be column blocks of one (N, 2D) head
//   z, dz (N * draws, D), contiguous: the draws of a sample are consecutive rows
//
// kSet writes the D columns of each row and leaves what lies between rows alone. Zero elements: nothing happens.
// Errors: kUsage for a negative extent, draws < 1, 0 < stride < D, or noise.draws other than draws.
#pragma once

#include "kernels/base/context.h"
#include "kernels/base/noise.h"

namespace hourglass {

struct LatentShape {
  int N = 0;       ///< samples
  int D = 0;       ///< latent dimensions
  int draws = 1;   ///< Monte-Carlo draws a sample
  int stride = 0;  ///< elements from one row of mu, logvar, dmu, dlogvar to the next; 0: D
};

/// Refuses what the list of errors above names.
void check_latent(const char* op, LatentShape s, const Noise& noise);

namespace cpu {

template <class T>
void reparameterize_forward(const Context& ctx, LatentShape s, const T* mu, const T* logvar, const Noise& noise, T* z);
void reparameterize_forward(const Context& ctx, LatentShape s, const float* mu, const float* logvar, const Noise& noise,
                            float* z);

/// dmu and dlogvar may each be null.
template <class T>
void reparameterize_backward(const Context& ctx, LatentShape s, const T* logvar, const Noise& noise, const T* dz,
                             Grad<T> dmu, Grad<T> dlogvar);
void reparameterize_backward(const Context& ctx, LatentShape s, const float* logvar, const Noise& noise,
                             const float* dz, Grad<float> dmu, Grad<float> dlogvar);

/// z[r,d] = eps[r,d]: the standard normal prior. `stride` is not used.
template <class T>
void normal_fill(const Context& ctx, LatentShape s, const Noise& noise, T* z);
void normal_fill(const Context& ctx, LatentShape s, const Noise& noise, float* z);

}  // namespace cpu

namespace cuda {

/// As in namespace cpu. T: float or bf16.
template <class T>
void reparameterize_forward(const Context& ctx, LatentShape s, const T* mu, const T* logvar, const Noise& noise, T* z);
template <class T>
void reparameterize_backward(const Context& ctx, LatentShape s, const T* logvar, const Noise& noise, const T* dz,
                             Grad<T> dmu, Grad<T> dlogvar);
template <class T>
void normal_fill(const Context& ctx, LatentShape s, const Noise& noise, T* z);

}  // namespace cuda
}  // namespace hourglass
