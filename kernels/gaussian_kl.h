// SPDX-License-Identifier: Apache-2.0
// Kullback-Leibler divergence of a diagonal Gaussian from its prior, per sample, in nats (Kingma and Welling, "Auto-
// encoding variational Bayes", 2014, appendix B).
//
//   kl[n] = 1/2 sum_d ( p (v + (mu - prior_mu)^2) - 1 - logvar + prior_logvar )
//   v = exp_linear(logvar, 20),  p = exp_linear(-prior_logvar, 20)     (base/math.h: exp up to 20, its tangent beyond)
//
// With the standard normal prior (general_prior = false) p = 1 and the prior terms vanish:
//   kl[n] = 1/2 sum_d ( v + mu^2 - 1 - logvar )
// The tangents keep value and gradient finite for inputs of +-1e4; within +-20 they are not reached.
//
// Backward, g = dkl[n]:
//   dmu          =  g p (mu - prior_mu)                  dprior_mu     = -dmu
//   dlogvar      =  g/2 (p v' - 1)                       dprior_logvar =  g/2 (1 - p' (v + (mu - prior_mu)^2))
//   v' = e^min(logvar, 20),  p' = e^min(-prior_logvar, 20)
//
//   mu, logvar, dmu, dlogvar (N, D) with rows `stride` apart (column blocks of one (N, 2D) head)
//   prior_mu, prior_logvar, dprior_mu, dprior_logvar (N, D) contiguous; null without general_prior
//   kl, dkl (N);  value (1) = mean_n kl[n]
//
// kSet writes the D columns of each row and leaves what lies between rows alone. Errors: kUsage for a negative extent,
// 0 < stride < D, prior pointers or gradients that disagree with general_prior, and the mean with N = 0.
#pragma once

#include "kernels/base/context.h"

namespace hourglass {

struct GaussianKlShape {
  int N = 0;                   ///< samples
  int D = 0;                   ///< latent dimensions
  int stride = 0;              ///< elements from one row of mu, logvar, dmu, dlogvar to the next; 0: D
  bool general_prior = false;  ///< false: standard normal, the prior pointers are null
};

namespace cpu {

/// kl (N) is overwritten.
template <class T>
void gaussian_kl_forward(const Context& ctx, GaussianKlShape s, const T* mu, const T* logvar, const T* prior_mu,
                         const T* prior_logvar, acc_t<T>* kl);

/// Gradients of sum_n dkl[n] kl[n]. Each may be null.
template <class T>
void gaussian_kl_backward(const Context& ctx, GaussianKlShape s, const T* mu, const T* logvar, const T* prior_mu,
                          const T* prior_logvar, const acc_t<T>* dkl, Grad<T> dmu, Grad<T> dlogvar, Grad<T> dprior_mu,
                          Grad<T> dprior_logvar);

/// Value and weighted gradients in one pass, standard normal prior: value = mean_n kl[n] (unweighted), gradients those
/// of weight * value. Each may be null.
template <class T>
void gaussian_kl_loss(const Context& ctx, GaussianKlShape s, const T* mu, const T* logvar, Weight weight,
                      Grad<acc_t<T>> value, Grad<T> dmu, Grad<T> dlogvar);

}  // namespace cpu

namespace cuda {

/// As in namespace cpu. T: float or bf16.
template <class T>
void gaussian_kl_forward(const Context& ctx, GaussianKlShape s, const T* mu, const T* logvar, const T* prior_mu,
                         const T* prior_logvar, acc_t<T>* kl);
template <class T>
void gaussian_kl_backward(const Context& ctx, GaussianKlShape s, const T* mu, const T* logvar, const T* prior_mu,
                          const T* prior_logvar, const acc_t<T>* dkl, Grad<T> dmu, Grad<T> dlogvar, Grad<T> dprior_mu,
                          Grad<T> dprior_logvar);
template <class T>
void gaussian_kl_loss(const Context& ctx, GaussianKlShape s, const T* mu, const T* logvar, Weight weight,
                      Grad<acc_t<T>> value, Grad<T> dmu, Grad<T> dlogvar);

}  // namespace cuda
}  // namespace hourglass
