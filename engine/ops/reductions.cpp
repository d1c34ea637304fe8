// SPDX-License-Identifier: Apache-2.0
#include "engine/dispatch.h"
#include "engine/ops.h"
#include "engine/ops/check.h"
#include "kernels/row_reduce.h"

namespace hourglass {
namespace {

RowReduceShape row_reduce_shape(const char* op, const Var& x) {
  check_rank(op, "x", x, 2);
  check_dtypes(op, {x});
  return {x.shape[0], x.shape[1]};
}

/// All elements as one row.
Var one_row(const Var& x) { return reshape(x, {1, x.shape.elements()}); }

}  // namespace

Var row_sum(Tape& tape, const Var& x) {
  const RowReduceShape s = row_reduce_shape("row_sum", x);
  const Var y = tape.output({s.N}, x.dtype, {x});
  dispatch(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    row_sum_forward(lane, s, x.as<const T>(), y.as<T>());
  });
  tape.on_backward("row_sum", {y}, [s, x, y](Tape& t) {
    const Slot dx = t.grad_slot(x);
    dispatch(t.ctx(), x.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      row_sum_backward(lane, s, static_cast<const T*>(t.output_grad(y)), dx.as<T>());
    });
  });
  return y;
}

Var row_mean(Tape& tape, const Var& x) {
  const RowReduceShape s = row_reduce_shape("row_mean", x);
  const Var y = tape.output({s.N}, x.dtype, {x});
  dispatch(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    row_mean_forward(lane, s, x.as<const T>(), y.as<T>());
  });
  tape.on_backward("row_mean", {y}, [s, x, y](Tape& t) {
    const Slot dx = t.grad_slot(x);
    dispatch(t.ctx(), x.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      row_mean_backward(lane, s, static_cast<const T*>(t.output_grad(y)), dx.as<T>());
    });
  });
  return y;
}

Var row_norm(Tape& tape, const Var& x) {
  const RowReduceShape s = row_reduce_shape("row_norm", x);
  const Var y = tape.output({s.N}, x.dtype, {x});
  dispatch(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    row_norm_forward(lane, s, x.as<const T>(), y.as<T>());
  });
  tape.on_backward("row_norm", {y}, [s, x, y](Tape& t) {
    const Slot dx = t.grad_slot(x);
    dispatch(t.ctx(), x.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      row_norm_backward(lane, s, x.as<const T>(), y.as<const T>(), static_cast<const T*>(t.output_grad(y)), dx.as<T>());
    });
  });
  return y;
}

Var row_log_sum_exp(Tape& tape, const Var& x) {
  const RowReduceShape s = row_reduce_shape("row_log_sum_exp", x);
  const Var y = tape.output({s.N}, x.dtype, {x});
  dispatch(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    row_log_sum_exp_forward(lane, s, x.as<const T>(), y.as<T>());
  });
  tape.on_backward("row_log_sum_exp", {y}, [s, x, y](Tape& t) {
    const Slot dx = t.grad_slot(x);
    dispatch(t.ctx(), x.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      row_log_sum_exp_backward(lane, s, x.as<const T>(), y.as<const T>(), static_cast<const T*>(t.output_grad(y)),
                               dx.as<T>());
    });
  });
  return y;
}

Var sum(Tape& tape, const Var& x) { return row_sum(tape, one_row(x)); }
Var mean(Tape& tape, const Var& x) { return row_mean(tape, one_row(x)); }

}  // namespace hourglass
