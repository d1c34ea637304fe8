// SPDX-License-Identifier: Apache-2.0
#include "kernels/elementwise.h"

#include "engine/dispatch.h"
#include "engine/ops.h"
#include "engine/ops/check.h"

namespace hourglass {
namespace {

ElementwiseShape elementwise_shape(const char* op, const Var& a, const Var& b) {
  check_shape(op, "b", b, a.shape);
  check_dtypes(op, {a, b});
  return {a.shape.elements()};
}

}  // namespace

// Each backward launches once per input, so that both may be the same value.

Var add(Tape& tape, const Var& a, const Var& b) {
  const ElementwiseShape s = elementwise_shape("add", a, b);
  const Var y = tape.output(a.shape, a.dtype, {a, b});
  dispatch(tape.ctx(), a.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    add_forward(lane, s, a.as<const T>(), b.as<const T>(), y.as<T>());
  });
  tape.on_backward("add", {y}, [s, a, b, y](Tape& t) {
    const Slot da = t.next_grad_slot(a), db = t.next_grad_slot(b);
    dispatch(t.ctx(), y.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      const T* dy = static_cast<const T*>(t.output_grad(y));
      add_backward(lane, s, dy, da.as<T>(), Grad<T>{});
      add_backward(lane, s, dy, Grad<T>{}, db.as<T>());
    });
  });
  return y;
}

Var sub(Tape& tape, const Var& a, const Var& b) {
  const ElementwiseShape s = elementwise_shape("sub", a, b);
  const Var y = tape.output(a.shape, a.dtype, {a, b});
  dispatch(tape.ctx(), a.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    sub_forward(lane, s, a.as<const T>(), b.as<const T>(), y.as<T>());
  });
  tape.on_backward("sub", {y}, [s, a, b, y](Tape& t) {
    const Slot da = t.next_grad_slot(a), db = t.next_grad_slot(b);
    dispatch(t.ctx(), y.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      const T* dy = static_cast<const T*>(t.output_grad(y));
      sub_backward(lane, s, dy, da.as<T>(), Grad<T>{});
      sub_backward(lane, s, dy, Grad<T>{}, db.as<T>());
    });
  });
  return y;
}

Var mul(Tape& tape, const Var& a, const Var& b) {
  const ElementwiseShape s = elementwise_shape("mul", a, b);
  const Var y = tape.output(a.shape, a.dtype, {a, b});
  dispatch(tape.ctx(), a.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    mul_forward(lane, s, a.as<const T>(), b.as<const T>(), y.as<T>());
  });
  tape.on_backward("mul", {y}, [s, a, b, y](Tape& t) {
    const Slot da = t.next_grad_slot(a), db = t.next_grad_slot(b);
    dispatch(t.ctx(), y.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      const T* dy = static_cast<const T*>(t.output_grad(y));
      mul_backward(lane, s, a.as<const T>(), b.as<const T>(), dy, da.as<T>(), Grad<T>{});
      mul_backward(lane, s, a.as<const T>(), b.as<const T>(), dy, Grad<T>{}, db.as<T>());
    });
  });
  return y;
}

Var scale(Tape& tape, const Var& x, double factor) {
  check_dtypes("scale", {x});
  const ElementwiseShape s{x.shape.elements()};
  const Var y = tape.output(x.shape, x.dtype, {x});
  dispatch(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    scale_forward(lane, s, x.as<const T>(), factor, y.as<T>());
  });
  tape.on_backward("scale", {y}, [s, x, y, factor](Tape& t) {
    const Slot dx = t.grad_slot(x);
    dispatch(t.ctx(), x.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      scale_backward(lane, s, static_cast<const T*>(t.output_grad(y)), factor, dx.as<T>());
    });
  });
  return y;
}

}  // namespace hourglass
