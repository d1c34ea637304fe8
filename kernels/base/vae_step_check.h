// SPDX-License-Identifier: Apache-2.0
// What the forms of vae_step.h share on the host: the check of its arguments, and the layout of its activations.
#pragma once

#include <cstddef>
#include <string>

#include "kernels/base/error.h"
#include "kernels/vae_step.h"

namespace hourglass {

template <class T>
void check_vae_step(const VaeStep<T>& p, int steps) {
  const VaeStepShape& s = p.shape;
  if (s.N < 1 || s.D < 1 || s.H < 1 || s.Z < 1 || steps < 0) {
    throw Error(Exit::kUsage, "vae_step: expected extents of at least 1, got N = " + std::to_string(s.N) +
                                  ", D = " + std::to_string(s.D) + ", H = " + std::to_string(s.H) +
                                  ", Z = " + std::to_string(s.Z) + ", steps = " + std::to_string(steps));
  }
  if (s.activation == Activation::kGelu) {
    throw Error(Exit::kUsage, "vae_step: expected an activation whose derivative follows from its output, got gelu");
  }
  if (p.batch.N != s.N || p.batch.D != s.D || p.batch.global_batch != s.N || p.order.rows) {
    throw Error(Exit::kUsage, "vae_step: expected training batches of " + std::to_string(s.N) + " rows of " +
                                  std::to_string(s.D) + " pixels, got " + std::to_string(p.batch.N) + " of " +
                                  std::to_string(p.batch.global_batch) + " rows of " + std::to_string(p.batch.D));
  }
  if (p.noise.draws != 1) {
    throw Error(Exit::kUsage, "vae_step: expected one draw of z a sample, got " + std::to_string(p.noise.draws));
  }
}

/// Hands out parts of a piece of memory, 256-byte aligned; from null on it counts.
class ScratchParts {
 public:
  explicit ScratchParts(void* memory) : memory_(static_cast<std::byte*>(memory)) {}
  template <class T>
  T* take(int64_t count) {
    std::byte* const at = memory_ ? memory_ + used_ : nullptr;
    used_ += (static_cast<size_t>(count) * sizeof(T) + 255) / 256 * 256;
    return reinterpret_cast<T*>(at);
  }
  size_t used() const { return used_; }

 private:
  std::byte* memory_;
  size_t used_ = 0;
};

/// Activations, their gradients (d...), and the rows of the store that the batch shows.
template <class T>
struct VaeActivations {
  T* x[2];  ///< of this step and the next, by turns
  T *h, *head, *z, *g, *dlogits, *dg, *dz, *dh;
  acc_t<T>* kl;
  int32_t* indices;
  VaeActivations(ScratchParts& parts, const VaeStepShape& s) {
    const int64_t pixels = int64_t{s.N} * s.D, hidden = int64_t{s.N} * s.H, latent = int64_t{s.N} * s.Z;
    for (T*& batch : x) batch = parts.take<T>(pixels);
    dlogits = parts.take<T>(pixels);
    for (T** part : {&h, &g, &dg, &dh}) *part = parts.take<T>(hidden);
    head = parts.take<T>(2 * latent);
    for (T** part : {&z, &dz}) *part = parts.take<T>(latent);
    kl = parts.take<acc_t<T>>(s.N);
    indices = parts.take<int32_t>(s.N);
  }
};

}  // namespace hourglass
