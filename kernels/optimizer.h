// SPDX-License-Identifier: Apache-2.0
// Optimizers: one pass over a flat slab, with the semantics of torch.optim down to the place of eps.
//
// Per element, g = clamp(grad_scale g, -clip_value, clip_value), with lr and weight decay (wd) scaled by its range:
//
//   SGD       g += wd p;  buf = g at the first step, else momentum buf + g;  g = nesterov ? g + momentum buf : buf;
//             p -= lr g                                       (dampening 0; momentum 0 keeps no buffer)
//   Adam      g += wd p;  m += (1 - beta1) (g - m);  v = beta2 v + (1 - beta2) g^2;
//             p -= lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
//   AdamW     the same with p *= 1 - lr wd instead of g += wd p        (AdamOptions::decoupled)
//   Adadelta  g += wd p;  s = rho s + (1 - rho) g^2;  d = sqrt(a + eps) / sqrt(s + eps) g;  a = rho a + (1 - rho) d^2;
//             p -= lr d
//
// A slab of bfloat16 weights, where there is one, is written in the same pass: rounded once from the new values.
// Nothing at all is written while fault->code != 0. What counts steps (t, beta^t) lies in device memory and is advanced
// by the kernel, once a call, in double; zero-initialised memory is the state before the first step.
//
//   values, grads and moments are slabs indexed alike; only the elements of `ranges` are touched
//
// Sources: Sutskever et al. 2013 (SGD with momentum as PyTorch writes it); Kingma and Ba, arXiv 1412.6980; Loshchilov
// and Hutter, arXiv 1711.05101; Zeiler, arXiv 1212.5701.
#pragma once

#include "kernels/base/bf16.h"
#include "kernels/base/context.h"
#include "kernels/step_state.h"

namespace hourglass {

/// A contiguous range of the slabs with its own scales.
struct OptimizerRange {
  int64_t first = 0;
  int64_t count = 0;
  double lr_scale = 1;
  double weight_decay_scale = 1;
};

/// The table of ranges, which must not overlap; host memory.
struct OptimizerRanges {
  const OptimizerRange* data = nullptr;
  int count = 0;
};

/// What every optimizer is given at a step, in device memory.
struct OptimizerStep {
  const Fault* fault = nullptr;        ///< null: none
  const double* lr = nullptr;          ///< learning rate; required
  const double* grad_scale = nullptr;  ///< &Norm::scale; null: 1
  double clip_value = 0;               ///< bound of each gradient element after the scale; 0: none
  bf16* shadow = nullptr;              ///< values rounded to bf16, indexed alike and written with them; null: none
};

struct SgdOptions {
  double momentum = 0;
  double weight_decay = 0;
  bool nesterov = false;
};
struct AdamOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  bool decoupled = false;  ///< AdamW
};
struct AdadeltaOptions {
  double rho = 0.9;
  double eps = 1e-6;
  double weight_decay = 0;
};

struct SgdState {
  int64_t steps = 0;
};
struct AdamState {
  int64_t steps = 0;
  double beta1_power = 0;  ///< beta1^steps; read as 1 at steps = 0
  double beta2_power = 0;
};
struct AdadeltaState {
  int64_t steps = 0;
};

namespace cpu {

/// `momentum` may be null when options.momentum is 0.
template <class T>
void sgd_update(const Context& ctx, OptimizerRanges ranges, SgdOptions options, OptimizerStep step, T* values,
                const T* grads, T* momentum, SgdState* state);

template <class T>
void adam_update(const Context& ctx, OptimizerRanges ranges, AdamOptions options, OptimizerStep step, T* values,
                 const T* grads, T* m, T* v, AdamState* state);

template <class T>
void adadelta_update(const Context& ctx, OptimizerRanges ranges, AdadeltaOptions options, OptimizerStep step, T* values,
                     const T* grads, T* square_average, T* delta_average, AdadeltaState* state);

/// The timed float forms.
void sgd_update(const Context& ctx, OptimizerRanges ranges, SgdOptions options, OptimizerStep step, float* values,
                const float* grads, float* momentum, SgdState* state);
void adam_update(const Context& ctx, OptimizerRanges ranges, AdamOptions options, OptimizerStep step, float* values,
                 const float* grads, float* m, float* v, AdamState* state);
void adadelta_update(const Context& ctx, OptimizerRanges ranges, AdadeltaOptions options, OptimizerStep step,
                     float* values, const float* grads, float* square_average, float* delta_average,
                     AdadeltaState* state);

}  // namespace cpu

namespace cuda {

/// T: float. The table of ranges is host memory here too: it travels with the launch, which serves 32 of them; more
/// take more launches, of which the last advances the state. All other pointers are device memory.
template <class T>
void sgd_update(const Context& ctx, OptimizerRanges ranges, SgdOptions options, OptimizerStep step, T* values,
                const T* grads, T* momentum, SgdState* state);

template <class T>
void adam_update(const Context& ctx, OptimizerRanges ranges, AdamOptions options, OptimizerStep step, T* values,
                 const T* grads, T* m, T* v, AdamState* state);

template <class T>
void adadelta_update(const Context& ctx, OptimizerRanges ranges, AdadeltaOptions options, OptimizerStep step, T* values,
                     const T* grads, T* square_average, T* delta_average, AdadeltaState* state);

}  // namespace cuda
}  // namespace hourglass
