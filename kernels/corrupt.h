// SPDX-License-Identifier: Apache-2.0
// Corruption of images for denoising autoencoders. x lies in [0, 1]; so does y.
//
//   gaussian      y = clip(x + amount eps, 0, 1)                   eps = normal(noise, n, d)
//   mask          y = 0 where u < amount, x elsewhere              u = uniform(noise, n, d)
//   salt-pepper   y = 0 where u < amount / 2, 1 where amount / 2 <= u < amount, x elsewhere
//
// The noise is addressed as in noise.h, row n of x being row n of the noise: the same words on every device, and the
// same picture corrupted the same way in every evaluation. Probabilities are compared as floats in every lane, so that
// mask and salt-pepper hit the same elements on every device; gaussian noise agrees to a few 1e-7. NaN stays NaN where
// it is not replaced. No gradient: x is data.
//
//   x, y (N, D); y may be x.
//
// Zero elements: nothing happens. Errors: kUsage for a negative extent, an amount below 0 or not finite, a probability
// above 1, and noise of more than one draw.
// Source: Vincent et al., "Stacked denoising autoencoders", JMLR 11 (2010), section 3.3.
#pragma once

#include "kernels/base/context.h"
#include "kernels/base/noise.h"

namespace hourglass {

enum class CorruptionKind : uint8_t { kGaussian, kMask, kSaltPepper };

struct Corruption {
  CorruptionKind kind = CorruptionKind::kGaussian;
  double amount = 0;  ///< standard deviation, or the probability of an element to be replaced
};

struct CorruptShape {
  int N = 0;
  int D = 0;
  Corruption corruption;
};

namespace cpu {

template <class T>
void corrupt(const Context& ctx, const CorruptShape& s, const T* x, const Noise& noise, T* y);

/// The timed float form.
void corrupt(const Context& ctx, const CorruptShape& s, const float* x, const Noise& noise, float* y);

}  // namespace cpu

namespace cuda {

/// T: float or bf16.
template <class T>
void corrupt(const Context& ctx, const CorruptShape& s, const T* x, const Noise& noise, T* y);

}  // namespace cuda
}  // namespace hourglass
