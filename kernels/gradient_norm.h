// SPDX-License-Identifier: Apache-2.0
// The check that stands between backward and commit: one pass over the gradient slab (gradients first, then the
// statistics of the step, which share its finite check).
//
//   norm  = sqrt(sum_i g[i]^2),  i in [0, gradients)
//   scale = min(1, clip_norm / (norm + 1e-6))                 1 without clipping (clip_norm = 0)
//
// the semantics of torch.nn.utils.clip_grad_norm_ over all gradients together. Squares and partial sums are double, cut
// into tiles by the shape alone and added in tile order. If any of the `total` elements is not finite, and the fault is
// not yet set, it becomes {kNotFinite, kFaultGradient, *step, first + lowest such index}; norm and scale are then not
// to be read.
//
//   slab (total)
#pragma once

#include "kernels/base/context.h"
#include "kernels/step_state.h"

namespace hourglass {

struct GradientNormShape {
  int64_t gradients = 0;  ///< elements of the norm, at the head of the slab
  int64_t total = 0;      ///< elements checked: gradients and statistics
  int64_t first = 0;      ///< what Fault::index counts from: where `slab` begins in the whole slab
};

namespace cpu {

template <class T>
void gradient_check(const Context& ctx, GradientNormShape s, const T* slab, double clip_norm, Norm* norm, Fault* fault,
                    const int64_t* step);

/// The timed float form.
void gradient_check(const Context& ctx, GradientNormShape s, const float* slab, double clip_norm, Norm* norm,
                    Fault* fault, const int64_t* step);

}  // namespace cpu

namespace cuda {

/// T: float. One launch; everything behind a pointer is device memory.
template <class T>
void gradient_check(const Context& ctx, GradientNormShape s, const T* slab, double clip_norm, Norm* norm, Fault* fault,
                    const int64_t* step);

}  // namespace cuda
}  // namespace hourglass
