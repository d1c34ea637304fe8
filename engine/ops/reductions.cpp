// SPDX-License-Identifier: Apache-2.0
#include "engine/dispatch.h"
#include "engine/ops.h"
#include "engine/ops/check.h"
#include "kernels/row_reduce.h"

namespace hourglass {
namespace {

/// y (N) from x (N, D). The kernels of one reduction differ in name alone: forward(lane, s, x, y) and
/// backward(lane, s, x, y, dy, dx).
template <class Forward, class Backward>
Var reduce_rows(const char* op, Tape& tape, const Var& x, Forward forward, Backward backward) {
  check_rank(op, "x", x, 2);
  check_dtypes(op, {x});
  const RowReduceShape s{x.shape[0], x.shape[1]};
  const Var y = tape.output({s.N}, x.dtype, {x});
  dispatch(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    forward(lane, s, x.as<const T>(), y.as<T>());
  });
  tape.on_backward(op, {y}, [s, x, y, backward](Tape& t) {
    const Slot dx = t.grad_slot(x);
    dispatch(t.ctx(), x.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      backward(lane, s, x.as<const T>(), y.as<const T>(), static_cast<const T*>(t.output_grad(y)), dx.as<T>());
    });
  });
  return y;
}

/// All elements as one row.
Var one_row(const Var& x) { return reshape(x, {1, x.shape.elements()}); }

}  // namespace

Var row_sum(Tape& tape, const Var& x) {
  return reduce_rows(
      "row_sum", tape, x, [](auto& lane, auto s, auto* in, auto* y) { row_sum_forward(lane, s, in, y); },
      [](auto& lane, auto s, auto*, auto*, auto* dy, auto dx) { row_sum_backward(lane, s, dy, dx); });
}

Var row_mean(Tape& tape, const Var& x) {
  return reduce_rows(
      "row_mean", tape, x, [](auto& lane, auto s, auto* in, auto* y) { row_mean_forward(lane, s, in, y); },
      [](auto& lane, auto s, auto*, auto*, auto* dy, auto dx) { row_mean_backward(lane, s, dy, dx); });
}

Var row_norm(Tape& tape, const Var& x) {
  return reduce_rows(
      "row_norm", tape, x, [](auto& lane, auto s, auto* in, auto* y) { row_norm_forward(lane, s, in, y); },
      [](auto& lane, auto s, auto* in, auto* y, auto* dy, auto dx) { row_norm_backward(lane, s, in, y, dy, dx); });
}

Var row_log_sum_exp(Tape& tape, const Var& x) {
  return reduce_rows(
      "row_log_sum_exp", tape, x,
      [](auto& lane, auto s, auto* in, auto* y) { row_log_sum_exp_forward(lane, s, in, y); },
      [](auto& lane, auto s, auto* in, auto* y, auto* dy, auto dx) {
        row_log_sum_exp_backward(lane, s, in, y, dy, dx);
      });
}

Var sum(Tape& tape, const Var& x) { return row_sum(tape, one_row(x)); }
Var mean(Tape& tape, const Var& x) { return row_mean(tape, one_row(x)); }

}  // namespace hourglass
