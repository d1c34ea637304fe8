// SPDX-License-Identifier: Apache-2.0
// The references of the ops, one after the other.
#include "kernels/vae_step.h"

#include <algorithm>

#include "kernels/base/vae_step_check.h"
#include "kernels/gradient_norm.h"

namespace hourglass::cpu {
namespace {

LinearShape layer(const VaeStepShape& s, int inputs, int outputs) { return {s.N, inputs, outputs, s.activation}; }

size_t op_scratch_bytes(const Context& ctx, const VaeStepShape& s, size_t bytes) {
  const LinearBceShape last{s.N, s.H, s.D};
  return std::max({linear_backward_scratch_bytes(ctx, layer(s, s.D, s.H), bytes),
                   linear_backward_scratch_bytes(ctx, layer(s, s.Z, s.H), bytes),
                   linear_backward_scratch_bytes(ctx, last.layer(), bytes), linear_bce_scratch_bytes(ctx, last),
                   gaussian_head_backward_scratch_bytes(ctx, {s.N, s.H, s.Z}, bytes)});
}

template <class T>
void forward_and_backward(const Context& ctx, const VaeStep<T>& p, const VaeActivations<T>& a, void* scratch) {
  const VaeStepShape& s = p.shape;
  const LinearShape encoder = layer(s, s.D, s.H), decoder = layer(s, s.Z, s.H);
  const LinearBceShape last{s.N, s.H, s.D};
  const GaussianHeadShape head{s.N, s.H, s.Z};
  const auto value = [&p](int64_t at) { return static_cast<const T*>(p.values + at); };
  const auto gradient = [&p](int64_t at) { return Grad<T>{p.gradients + at}; };
  T* const x = a.x[0];
  gather_batch<uint8_t, T>(ctx, p.batch, p.data, p.order, p.binarize, x, a.indices);
  linear_forward<T>(ctx, encoder, x, value(p.encoder.weight), value(p.encoder.bias), a.h);
  gaussian_head_forward<T>(ctx, head, a.h, value(p.head.weight), value(p.head.bias), p.noise, a.head, a.z, a.kl);
  linear_forward<T>(ctx, decoder, a.z, value(p.decoder.weight), value(p.decoder.bias), a.g);
  linear_bce_loss<T>(ctx, last, a.g, value(p.last.weight), value(p.last.bias), x, Weight{}, scratch,
                     gradient(p.reconstruction), a.dlogits);
  linear_backward<T>(ctx, last.layer(), a.g, value(p.last.weight), nullptr, a.dlogits, scratch, Grad<T>{a.dg},
                     gradient(p.last.weight), gradient(p.last.bias));
  linear_backward<T>(ctx, decoder, a.z, value(p.decoder.weight), a.g, a.dg, scratch, Grad<T>{a.dz},
                     gradient(p.decoder.weight), gradient(p.decoder.bias));
  gaussian_head_backward<T>(ctx, head, a.h, value(p.head.weight), a.head, p.noise, a.dz, p.kl_weight, a.kl, scratch,
                            gradient(p.kl), Grad<T>{a.dh}, gradient(p.head.weight), gradient(p.head.bias));
  linear_backward<T>(ctx, encoder, x, value(p.encoder.weight), a.h, a.dh, scratch, Grad<T>{},
                     gradient(p.encoder.weight), gradient(p.encoder.bias));
}

}  // namespace

size_t vae_step_scratch_bytes(const Context& ctx, const VaeStepShape& s, size_t element_bytes) {
  ScratchParts parts(nullptr);
  if (element_bytes == sizeof(double)) {
    VaeActivations<double>(parts, s);
  } else {
    VaeActivations<float>(parts, s);
  }
  parts.take<std::byte>(static_cast<int64_t>(op_scratch_bytes(ctx, s, element_bytes)));
  return parts.used();
}

template <class T>
void vae_step(const Context& ctx, const VaeStep<T>& p, int steps, void* scratch) {
  check_vae_step(p, steps);
  ScratchParts parts(scratch);
  const VaeActivations<T> activations(parts, p.shape);
  void* const of_ops = parts.take<std::byte>(0);
  const OptimizerRange range{0, p.elements};
  OptimizerStep update{p.fault, p.lr};
  update.grad_scale = p.clip_norm > 0 ? &p.norm->scale : nullptr;
  update.clip_value = p.clip_value;
  for (int i = 0; i < steps; ++i) {
    forward_and_backward(ctx, p, activations, of_ops);
    gradient_check<T>(ctx, {p.elements, p.checked}, p.gradients, p.clip_norm, p.norm, p.fault, p.step);
    adam_update<T>(ctx, {&range, 1}, p.adam, update, p.values, p.gradients, p.m, p.v, p.adam_state);
    finish_step<T>(ctx, p.log_shape, p.gradients + p.logged, p.norm, p.fault, p.log, p.step, p.schedule);
  }
}

template void vae_step(const Context&, const VaeStep<float>&, int, void*);
template void vae_step(const Context&, const VaeStep<double>&, int, void*);

}  // namespace hourglass::cpu
