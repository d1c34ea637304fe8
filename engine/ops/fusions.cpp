// SPDX-License-Identifier: Apache-2.0
// Ops that stand for several. A model calls them by name; a test holds each to what it stands for.
#include "engine/dispatch.h"
#include "engine/ops.h"
#include "engine/ops/check.h"
#include "kernels/gaussian_head.h"
#include "kernels/linear_bce.h"

namespace hourglass {

GaussianLatent gaussian_head(Tape& tape, const Var& x, const Var& w, const Var& b, const Noise& noise) {
  check_rank("gaussian_head", "x", x, 2);
  check_rank("gaussian_head", "weight", w, 2);
  check_dtypes("gaussian_head", {x, w, b});
  if (w.shape[0] % 2 || w.shape[1] != x.shape[1]) {
    refuse("gaussian_head", "expects a weight of an even number of rows and the " + std::to_string(x.shape[1]) +
                                " columns of x, given " + to_string(w.shape));
  }
  if (b) check_shape("gaussian_head", "bias", b, {w.shape[0]});
  if (noise.draws < 1) refuse("gaussian_head", "expects at least 1 draw, given " + std::to_string(noise.draws));
  const GaussianHeadShape s{x.shape[0], x.shape[1], w.shape[0] / 2, noise.draws};
  const Var z = tape.output({int64_t{s.N} * s.draws, s.D}, x.dtype, {x, w, b});
  const Var head = tape.constant({s.N, 2 * s.D}, x.dtype);
  const Var kl = tape.constant({s.N}, accumulator_of(x.dtype));
  const Loss loss = tape.loss({x, w, b});
  dispatch(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    gaussian_head_forward(lane, s, x.as<const T>(), w.as<const T>(), b.as<const T>(), noise, head.as<T>(), z.as<T>(),
                          kl.as<acc_t<T>>());
  });
  tape.on_backward(
      "gaussian_head", {z},
      [s, x, w, b, noise, head, z, kl, loss](Tape& t) {
        const LossGrad dkl = t.loss_grad(loss);
        void* scratch = t.scratch(ask(t.ctx(), x.dtype, [&](auto lane) {
          return gaussian_head_backward_scratch_bytes(lane, s, sizeof(typename decltype(lane)::type));
        }));
        const Slot dx = t.grad_slot(x), dw = t.grad_slot(w), db = t.grad_slot(b);
        dispatch(t.ctx(), x.dtype, [&](auto lane) {
          using T = typename decltype(lane)::type;
          gaussian_head_backward(lane, s, x.as<const T>(), w.as<const T>(), head.as<const T>(), noise,
                                 static_cast<const T*>(t.output_grad(z)), dkl.weight, kl.as<const acc_t<T>>(), scratch,
                                 dkl.value.as<acc_t<T>>(), dx.as<T>(), dw.as<acc_t<T>>(), db.as<acc_t<T>>());
        });
      },
      loss);
  return {z, kl, loss};
}

Loss linear_bce(Tape& tape, const Var& x, const Var& w, const Var& b, const Var& target, bool transposed_weight) {
  check_rank("linear_bce", "x", x, 2);
  check_rank("linear_bce", "weight", w, 2);
  check_dtypes("linear_bce", {x, w, b, target});
  if (target.groups) refuse("linear_bce", "the data take no gradient; detach them");
  LinearBceShape s{x.shape[0], w.shape[transposed_weight ? 0 : 1], w.shape[transposed_weight ? 1 : 0]};
  s.transposed_weight = transposed_weight;
  if (s.C != x.shape[1]) {
    refuse("linear_bce", "weight " + to_string(w.shape) + " expects " + std::to_string(s.C) + " columns, x has " +
                             to_string(x.shape));
  }
  if (b) check_shape("linear_bce", "bias", b, {s.K});
  const int rows = target.shape.rank() ? target.shape[0] : 1;
  if (target.shape.row_elements() != s.K || (s.N > 0 && (rows == 0 || s.N % rows != 0))) {
    refuse("linear_bce", "expects data of " + std::to_string(s.K) + " columns and a divisor of " + std::to_string(s.N) +
                             " rows, given " + to_string(target.shape));
  }
  if (s.N > 0) s.draws = s.N / rows;
  const Loss loss = tape.loss({x, w, b});
  tape.on_backward(
      "linear_bce", {},
      [s, x, w, b, target, loss](Tape& t) {
        const LossGrad dloss = t.loss_grad(loss);
        void* dlogits = t.scratch(static_cast<size_t>(int64_t{s.N} * s.K) * size_of(x.dtype));
        void* scratch = t.scratch(ask(t.ctx(), x.dtype, [&](auto lane) { return linear_bce_scratch_bytes(lane, s); }));
        void* layer_scratch = t.scratch(ask(t.ctx(), x.dtype, [&](auto lane) {
          return linear_backward_scratch_bytes(lane, s.layer(), sizeof(typename decltype(lane)::type));
        }));
        const Slot dx = t.grad_slot(x), dw = t.grad_slot(w), db = t.grad_slot(b);
        dispatch(t.ctx(), x.dtype, [&](auto lane) {
          using T = typename decltype(lane)::type;
          T* const gradient = static_cast<T*>(dlogits);
          linear_bce_loss(lane, s, x.as<const T>(), w.as<const T>(), b.as<const T>(), target.as<const T>(),
                          dloss.weight, scratch, dloss.value.as<acc_t<T>>(), gradient);
          linear_backward(lane, s.layer(), x.as<const T>(), w.as<const T>(), static_cast<const T*>(nullptr),
                          static_cast<const T*>(gradient), layer_scratch, dx.as<T>(), dw.as<acc_t<T>>(),
                          db.as<acc_t<T>>());
        });
      },
      loss);
  return loss;
}

}  // namespace hourglass
