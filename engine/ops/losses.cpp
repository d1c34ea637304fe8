// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "engine/dispatch.h"
#include "engine/ops.h"
#include "engine/ops/check.h"
#include "kernels/bernoulli_nll.h"
#include "kernels/gaussian_nll.h"
#include "kernels/squared_error.h"

namespace hourglass {
namespace {

RowLossShape row_loss_shape(const char* op, const Var& y, const Var& x) {
  check_dtypes(op, {y, x});
  if (x.groups) refuse(op, "the data take no gradient; detach them");
  const int N = y.shape.rank() ? y.shape[0] : 1, rows = x.shape.rank() ? x.shape[0] : 1;
  const int64_t D = y.shape.row_elements();
  if (D != x.shape.row_elements() || (N > 0 && (rows == 0 || N % rows != 0))) {
    refuse(op, "expects data with the columns of the prediction and a divisor of its rows, given prediction " +
                   to_string(y.shape) + " and data " + to_string(x.shape));
  }
  if (D > std::numeric_limits<int>::max()) refuse(op, "rows of more than 2147483647 elements: " + to_string(y.shape));
  RowLossShape s;
  s.N = N;
  s.D = static_cast<int>(D);
  s.draws = N > 0 ? N / rows : 1;
  return s;
}

GaussianNllShape gaussian_nll_shape(const Var& y, const Var& x, const Var& log_sigma) {
  const RowLossShape rows = row_loss_shape("gaussian_nll", y, x);
  check_dtypes("gaussian_nll", {y, log_sigma});
  const int64_t count = log_sigma.shape.elements();
  if (count != 1 && count != rows.D) {
    refuse("gaussian_nll",
           "log_sigma expects 1 or " + std::to_string(rows.D) + " elements, given " + to_string(log_sigma.shape));
  }
  return {rows.N, rows.D, rows.draws, static_cast<int>(count)};
}

}  // namespace

Loss bernoulli_nll(Tape& tape, const Var& logits, const Var& x) {
  const RowLossShape s = row_loss_shape("bernoulli_nll", logits, x);
  const Loss loss = tape.loss({logits});
  tape.on_backward(
      "bernoulli_nll", {},
      [s, logits, x, loss](Tape& t) {
        const LossGrad dloss = t.loss_grad(loss);
        const Slot dlogits = t.grad_slot(logits);
        dispatch(t.ctx(), logits.dtype, [&](auto lane) {
          using T = typename decltype(lane)::type;
          bernoulli_nll_loss(lane, s, logits.as<const T>(), x.as<const T>(), dloss.weight, dloss.value.as<acc_t<T>>(),
                             dlogits.as<T>());
        });
      },
      loss);
  return loss;
}

Var bernoulli_nll_per_sample(Tape& tape, const Var& logits, const Var& x) {
  const RowLossShape s = row_loss_shape("bernoulli_nll", logits, x);
  const Var nll = tape.output({s.N}, accumulator_of(logits.dtype), {logits});
  dispatch(tape.ctx(), logits.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    bernoulli_nll_forward(lane, s, logits.as<const T>(), x.as<const T>(), nll.as<acc_t<T>>());
  });
  tape.on_backward("bernoulli_nll", {nll}, [s, logits, x, nll](Tape& t) {
    const Slot dlogits = t.grad_slot(logits);
    dispatch(t.ctx(), logits.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      bernoulli_nll_backward(lane, s, logits.as<const T>(), x.as<const T>(),
                             static_cast<const acc_t<T>*>(t.output_grad(nll)), dlogits.as<T>());
    });
  });
  return nll;
}

Loss squared_error(Tape& tape, const Var& y, const Var& x) {
  const RowLossShape s = row_loss_shape("squared_error", y, x);
  const Loss loss = tape.loss({y});
  tape.on_backward(
      "squared_error", {},
      [s, y, x, loss](Tape& t) {
        const LossGrad dloss = t.loss_grad(loss);
        const Slot dy = t.grad_slot(y);
        dispatch(t.ctx(), y.dtype, [&](auto lane) {
          using T = typename decltype(lane)::type;
          squared_error_loss(lane, s, y.as<const T>(), x.as<const T>(), dloss.weight, dloss.value.as<acc_t<T>>(),
                             dy.as<T>());
        });
      },
      loss);
  return loss;
}

Var squared_error_per_sample(Tape& tape, const Var& y, const Var& x) {
  const RowLossShape s = row_loss_shape("squared_error", y, x);
  const Var error = tape.output({s.N}, accumulator_of(y.dtype), {y});
  dispatch(tape.ctx(), y.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    squared_error_forward(lane, s, y.as<const T>(), x.as<const T>(), error.as<acc_t<T>>());
  });
  tape.on_backward("squared_error", {error}, [s, y, x, error](Tape& t) {
    const Slot dy = t.grad_slot(y);
    dispatch(t.ctx(), y.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      squared_error_backward(lane, s, y.as<const T>(), x.as<const T>(),
                             static_cast<const acc_t<T>*>(t.output_grad(error)), dy.as<T>());
    });
  });
  return error;
}

Loss gaussian_nll(Tape& tape, const Var& y, const Var& x, const Var& log_sigma) {
  const GaussianNllShape s = gaussian_nll_shape(y, x, log_sigma);
  const Loss loss = tape.loss({y, log_sigma});
  tape.on_backward(
      "gaussian_nll", {},
      [s, y, x, log_sigma, loss](Tape& t) {
        const LossGrad dloss = t.loss_grad(loss);
        const Slot dy = t.grad_slot(y), dlog_sigma = t.grad_slot(log_sigma);
        dispatch(t.ctx(), y.dtype, [&](auto lane) {
          using T = typename decltype(lane)::type;
          gaussian_nll_loss(lane, s, y.as<const T>(), x.as<const T>(), log_sigma.as<const T>(), dloss.weight,
                            dloss.value.as<acc_t<T>>(), dy.as<T>(), dlog_sigma.as<acc_t<T>>());
        });
      },
      loss);
  return loss;
}

Var gaussian_nll_per_sample(Tape& tape, const Var& y, const Var& x, const Var& log_sigma) {
  const GaussianNllShape s = gaussian_nll_shape(y, x, log_sigma);
  const Var nll = tape.output({s.N}, accumulator_of(y.dtype), {y, log_sigma});
  dispatch(tape.ctx(), y.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    gaussian_nll_forward(lane, s, y.as<const T>(), x.as<const T>(), log_sigma.as<const T>(), nll.as<acc_t<T>>());
  });
  tape.on_backward("gaussian_nll", {nll}, [s, y, x, log_sigma, nll](Tape& t) {
    const Slot dy = t.grad_slot(y), dlog_sigma = t.grad_slot(log_sigma);
    dispatch(t.ctx(), y.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      gaussian_nll_backward(lane, s, y.as<const T>(), x.as<const T>(), log_sigma.as<const T>(),
                            static_cast<const acc_t<T>*>(t.output_grad(nll)), dy.as<T>(), dlog_sigma.as<acc_t<T>>());
    });
  });
  return nll;
}

}  // namespace hourglass
