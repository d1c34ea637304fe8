// SPDX-License-Identifier: Apache-2.0
// Whole training steps of a variational autoencoder with one hidden layer each way, many steps a call: what a tape of
// the ops below does, with the same slabs, counters, random numbers and log, so that steps of both kinds may alternate.
//
//   x          = gather_batch(step)                                                                    batch.h
//   h          = f(x W1^T + b1)                                                                        linear.h
//   z, kl      = gaussian_head(h; W2, b2)                                                              gaussian_head.h
//   g          = f(z W3^T + b3)                                                                        linear.h
//   loss, dl   = linear_bce(g; W4, b4, x)                                                              linear_bce.h
//   backward     of the four layers; the objective is loss + kl_weight KL
//   check        of gradients and statistics                                                           gradient_norm.h
//   Adam                                                                                               optimizer.h
//   log, step counter, scheduled values of the step to come                                            step_state.h
//
//   x (N, D), h and g (N, H), z (N, Z); W1 (H, D), W2 (2 Z, H), W3 (H, Z), W4 (D, H)
//
// A step whose gradients or loss terms are not finite changes no parameter, moment, counter or log row: it sets the
// fault, and so do none of the steps after it.
//
// Errors: kUsage for extents below 1, an activation that linear.h refuses, and a batch that is not the whole batch.
#pragma once

#include "kernels/batch.h"
#include "kernels/gaussian_head.h"
#include "kernels/linear_bce.h"
#include "kernels/optimizer.h"
#include "kernels/step_state.h"

namespace hourglass {

struct VaeStepShape {
  int N = 0, D = 0, H = 0, Z = 0;
  Activation activation = Activation::kRelu;
};

/// Where the weight (outputs, inputs) and the bias of a layer begin in the slabs.
struct VaeStepLayer {
  int64_t weight = 0, bias = 0;
};

/// Everything behind a pointer is memory of the device that runs the steps.
template <class T>
struct VaeStep {
  VaeStepShape shape;

  VaeStepLayer encoder, head, decoder, last;  ///< W1 to W4
  T* values = nullptr;                        ///< slabs, indexed alike
  T* gradients = nullptr;
  T* m = nullptr;
  T* v = nullptr;
  int64_t elements = 0;        ///< of the slabs
  int64_t checked = 0;         ///< of the gradient slab: with the statistics at its end
  int64_t reconstruction = 0;  ///< where those of the two loss terms are
  int64_t kl = 0;
  int64_t logged = 0;  ///< and the first that is logged

  const uint8_t* data = nullptr;
  BatchShape batch;
  BatchOrder order;
  Binarize binarize;
  Noise noise;  ///< of z
  Weight kl_weight;

  AdamOptions adam;
  AdamState* adam_state = nullptr;
  const double* lr = nullptr;
  double clip_norm = 0, clip_value = 0;

  int64_t* step = nullptr;  ///< order.step and noise.step point here
  Fault* fault = nullptr;
  Norm* norm = nullptr;
  TableShape log_shape;
  double* log = nullptr;
  Schedule schedule;

  int blocks = 0;  ///< CUDA: of the grid; 0: as many as the device holds at the same time
};

namespace cpu {

/// Bytes of the scratch of vae_step: activations and their gradients.
size_t vae_step_scratch_bytes(const Context& ctx, const VaeStepShape& s, size_t element_bytes);

/// `steps` steps. `scratch`: vae_step_scratch_bytes bytes, aligned to 256. T: float or double.
template <class T>
void vae_step(const Context& ctx, const VaeStep<T>& p, int steps, void* scratch);

}  // namespace cpu

namespace cuda {

/// The scratch must be zeroed once before its first use.
size_t vae_step_scratch_bytes(const Context& ctx, const VaeStepShape& s, size_t element_bytes);

/// One cooperative launch for all steps. T: float. The same bits for any number of blocks and any division of the steps
/// into calls, and, where all products of the single ops are cut into small tiles (base/gemm_cut.h), those of these
/// ops. Throws kDevice for more blocks than the device holds, kUsage for what one launch cannot do: see above.
template <class T>
void vae_step(const Context& ctx, const VaeStep<T>& p, int steps, void* scratch);

}  // namespace cuda
}  // namespace hourglass
