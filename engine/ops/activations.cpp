// SPDX-License-Identifier: Apache-2.0
#include "engine/dispatch.h"
#include "engine/ops.h"
#include "engine/ops/check.h"

namespace hourglass {

Var activation(Tape& tape, const Var& x, Activation a) {
  if (a == Activation::kNone) return x;
  check_dtypes("activation", {x});
  const ActivationShape s{x.shape.elements(), a};
  Var y = tape.output(x.shape, x.dtype, {x});
  dispatch(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    activation_forward(lane, s, x.as<const T>(), y.as<T>());
  });
  tape.on_backward("activation", {y}, [s, x, y](Tape& t) {
    const Slot dx = t.grad_slot(x);
    dispatch(t.ctx(), x.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      activation_backward(lane, s, x.as<const T>(), y.as<const T>(), static_cast<const T*>(t.output_grad(y)),
                          dx.as<T>());
    });
  });
  return y;
}

}  // namespace hourglass
