// SPDX-License-Identifier: Apache-2.0
// The head of a VAE's encoder in one op: linear.h without an activation to mu and logvar side by side, then
// gaussian_latent.h on them.
//
//   head[n,k] = sum_c x[n,c] w[k,c] + b[k],   mu = head[:, 0..D),  logvar = head[:, D..2D)
//   z, kl     = gaussian_latent(mu, logvar)
//
// Backward: dhead is (dmu, dlogvar) of gaussian_latent.h given dz and the weight of the mean KL; dx, dw, db are those
// of linear.h given dhead.
//
//   x (N, C), w (2D, C), b (2D) or null, head (N, 2D), z, dz (N * draws, D), kl (N), value (1)
//
// Errors: those of linear.h and gaussian_latent.h. Source: Kingma and Welling, arXiv 1312.6114, appendix C.2.
#pragma once

#include <cstddef>

#include "kernels/gaussian_latent.h"
#include "kernels/linear.h"

namespace hourglass {

struct GaussianHeadShape {
  int N = 0;
  int C = 0;
  int D = 0;  ///< of z; the layer has 2 D outputs
  int draws = 1;

  LinearShape layer() const { return {N, C, 2 * D, Activation::kNone, false}; }
  LatentShape latent() const {
    LatentShape s;
    s.N = N;
    s.D = D;
    s.draws = draws;
    s.stride = 2 * D;
    return s;
  }
};

namespace cpu {

/// head, z and kl are overwritten; kl may be null.
template <class T>
void gaussian_head_forward(const Context& ctx, GaussianHeadShape s, const T* x, const T* w, const T* b,
                           const Noise& noise, T* head, T* z, acc_t<T>* kl);

/// Bytes of the scratch of gaussian_head_backward (dhead).
size_t gaussian_head_backward_scratch_bytes(const Context& ctx, GaussianHeadShape s, size_t element_bytes);

/// `head` and `kl` are what forward wrote; dz may be null (zero). `scratch`: gaussian_head_backward_scratch_bytes
/// bytes, aligned for T. Each gradient and the value may be null.
template <class T>
void gaussian_head_backward(const Context& ctx, GaussianHeadShape s, const T* x, const T* w, const T* head,
                            const Noise& noise, const T* dz, Weight weight, const acc_t<T>* kl, void* scratch,
                            Grad<acc_t<T>> value, Grad<T> dx, Grad<acc_t<T>> dw, Grad<acc_t<T>> db);

/// The timed float forms: those of the two ops, one after the other. The head is a small part of a step, and in the
/// cache in between.
void gaussian_head_forward(const Context& ctx, GaussianHeadShape s, const float* x, const float* w, const float* b,
                           const Noise& noise, float* head, float* z, float* kl);
void gaussian_head_backward(const Context& ctx, GaussianHeadShape s, const float* x, const float* w, const float* head,
                            const Noise& noise, const float* dz, Weight weight, const float* kl, void* scratch,
                            Grad<float> value, Grad<float> dx, Grad<float> dw, Grad<float> db);

}  // namespace cpu

namespace cuda {

/// T: float, or bf16 with float arithmetic. One launch for the batches of which a launch is a good part; the two ops
/// for more than about a thousand rows.
template <class T>
void gaussian_head_forward(const Context& ctx, GaussianHeadShape s, const T* x, const T* w, const T* b,
                           const Noise& noise, T* head, T* z, acc_t<T>* kl);

/// 0 with one draw: dhead is computed wherever it is read, and never stored.
size_t gaussian_head_backward_scratch_bytes(const Context& ctx, GaussianHeadShape s, size_t element_bytes);

/// One launch with one draw, the two ops with more.
template <class T>
void gaussian_head_backward(const Context& ctx, GaussianHeadShape s, const T* x, const T* w, const T* head,
                            const Noise& noise, const T* dz, Weight weight, const acc_t<T>* kl, void* scratch,
                            Grad<acc_t<T>> value, Grad<T> dx, Grad<acc_t<T>> dw, Grad<acc_t<T>> db);

}  // namespace cuda
}  // namespace hourglass
