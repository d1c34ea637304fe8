// SPDX-License-Identifier: Apache-2.0
#include "kernels/linear.h"

#include "engine/dispatch.h"
#include "engine/ops.h"
#include "engine/ops/check.h"

namespace hourglass {
namespace {

LinearShape linear_shape(const Var& x, const Var& w, const Var& b, Activation activation, bool transposed) {
  check_rank("linear", "x", x, 2);
  check_rank("linear", "weight", w, 2);
  check_dtypes("linear", {x, w, b});
  const LinearShape s{x.shape[0], w.shape[transposed ? 0 : 1], w.shape[transposed ? 1 : 0], activation, transposed};
  if (s.C != x.shape[1]) {
    refuse("linear", "weight " + to_string(w.shape) + " expects " + std::to_string(s.C) + " columns, x has " +
                         to_string(x.shape));
  }
  if (b) check_shape("linear", "bias", b, {s.K});
  return s;
}

}  // namespace

Var linear(Tape& tape, const Var& x, const Var& w, const Var& b, Activation activation, bool transposed_weight) {
  // The derivative of GELU needs its input, which the fused form does not keep.
  if (activation == Activation::kGelu) {
    return hourglass::activation(tape, linear(tape, x, w, b, Activation::kNone, transposed_weight), activation);
  }
  const LinearShape s = linear_shape(x, w, b, activation, transposed_weight);
  Var y = tape.output({s.N, s.K}, x.dtype, {x, w, b});
  dispatch(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    linear_forward(lane, s, x.as<const T>(), w.as<const T>(), b.as<const T>(), y.as<T>());
  });
  tape.on_backward("linear", {y}, [s, x, w, b, y](Tape& t) {
    void* scratch = t.scratch(ask(t.ctx(), x.dtype, [&](auto lane) {
      return linear_backward_scratch_bytes(lane, s, sizeof(typename decltype(lane)::type));
    }));
    const Slot dx = t.grad_slot(x), dw = t.grad_slot(w), db = t.grad_slot(b);
    dispatch(t.ctx(), x.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      linear_backward(lane, s, x.as<const T>(), w.as<const T>(), y.as<const T>(),
                      static_cast<const T*>(t.output_grad(y)), scratch, dx.as<T>(), dw.as<acc_t<T>>(),
                      db.as<acc_t<T>>());
    });
  });
  return y;
}

}  // namespace hourglass
