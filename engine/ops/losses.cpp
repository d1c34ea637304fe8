// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "engine/dispatch.h"
#include "engine/ops.h"
#include "engine/ops/check.h"
#include "kernels/bernoulli_nll.h"
#include "kernels/discretized_logistic.h"
#include "kernels/gaussian_nll.h"
#include "kernels/optimal_gaussian.h"
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
  check_accumulator("gaussian_nll", "log_sigma", y, log_sigma);
  const int64_t count = log_sigma.shape.elements();
  if (count != 1 && count != rows.D) {
    refuse("gaussian_nll",
           "log_sigma expects 1 or " + std::to_string(rows.D) + " elements, given " + to_string(log_sigma.shape));
  }
  return {rows.N, rows.D, rows.draws, static_cast<int>(count)};
}

DiscretizedLogisticShape discretized_logistic_shape(const Var& mu, const Var& x, const Var& log_scale) {
  const RowLossShape rows = row_loss_shape("discretized_logistic", mu, x);
  check_accumulator("discretized_logistic", "log_scale", mu, log_scale);
  const int64_t count = log_scale.shape.elements();
  if (count < 1 || count > rows.D || rows.D % count != 0) {
    refuse("discretized_logistic", "log_scale expects a number of elements that divides " + std::to_string(rows.D) +
                                       ", given " + to_string(log_scale.shape));
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
          gaussian_nll_loss(lane, s, y.as<const T>(), x.as<const T>(), log_sigma.as<const acc_t<T>>(), dloss.weight,
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
    gaussian_nll_forward(lane, s, y.as<const T>(), x.as<const T>(), log_sigma.as<const acc_t<T>>(), nll.as<acc_t<T>>());
  });
  tape.on_backward("gaussian_nll", {nll}, [s, y, x, log_sigma, nll](Tape& t) {
    const Slot dy = t.grad_slot(y), dlog_sigma = t.grad_slot(log_sigma);
    dispatch(t.ctx(), y.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      gaussian_nll_backward(lane, s, y.as<const T>(), x.as<const T>(), log_sigma.as<const acc_t<T>>(),
                            static_cast<const acc_t<T>*>(t.output_grad(nll)), dy.as<T>(), dlog_sigma.as<acc_t<T>>());
    });
  });
  return nll;
}

Loss discretized_logistic(Tape& tape, const Var& mu, const Var& x, const Var& log_scale) {
  const DiscretizedLogisticShape s = discretized_logistic_shape(mu, x, log_scale);
  const Loss loss = tape.loss({mu, log_scale});
  tape.on_backward(
      "discretized_logistic", {},
      [s, mu, x, log_scale, loss](Tape& t) {
        const LossGrad dloss = t.loss_grad(loss);
        const Slot dmu = t.grad_slot(mu), dlog_scale = t.grad_slot(log_scale);
        dispatch(t.ctx(), mu.dtype, [&](auto lane) {
          using T = typename decltype(lane)::type;
          discretized_logistic_loss(lane, s, mu.as<const T>(), x.as<const T>(), log_scale.as<const acc_t<T>>(),
                                    dloss.weight, dloss.value.as<acc_t<T>>(), dmu.as<T>(), dlog_scale.as<acc_t<T>>());
        });
      },
      loss);
  return loss;
}

Var discretized_logistic_per_sample(Tape& tape, const Var& mu, const Var& x, const Var& log_scale) {
  const DiscretizedLogisticShape s = discretized_logistic_shape(mu, x, log_scale);
  const Var nll = tape.output({s.N}, accumulator_of(mu.dtype), {mu, log_scale});
  dispatch(tape.ctx(), mu.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    discretized_logistic_forward(lane, s, mu.as<const T>(), x.as<const T>(), log_scale.as<const acc_t<T>>(),
                                 nll.as<acc_t<T>>());
  });
  tape.on_backward("discretized_logistic", {nll}, [s, mu, x, log_scale, nll](Tape& t) {
    const Slot dmu = t.grad_slot(mu), dlog_scale = t.grad_slot(log_scale);
    dispatch(t.ctx(), mu.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      discretized_logistic_backward(lane, s, mu.as<const T>(), x.as<const T>(), log_scale.as<const acc_t<T>>(),
                                    static_cast<const acc_t<T>*>(t.output_grad(nll)), dmu.as<T>(),
                                    dlog_scale.as<acc_t<T>>());
    });
  });
  return nll;
}

Loss optimal_gaussian_nll(Tape& tape, const Var& y, const Var& x) {
  const RowLossShape s = row_loss_shape("optimal_gaussian_nll", y, x);
  const Var mse = tape.constant({1}, accumulator_of(y.dtype));
  dispatch(tape.ctx(), y.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    optimal_gaussian_forward(lane, s, y.as<const T>(), x.as<const T>(), mse.as<acc_t<T>>());
  });
  const Loss loss = tape.loss({y});
  tape.on_backward(
      "optimal_gaussian_nll", {},
      [s, y, x, mse, loss](Tape& t) {
        const LossGrad dloss = t.loss_grad(loss);
        const Slot dy = t.grad_slot(y);
        dispatch(t.ctx(), y.dtype, [&](auto lane) {
          using T = typename decltype(lane)::type;
          optimal_gaussian_loss(lane, s, y.as<const T>(), x.as<const T>(), mse.as<const acc_t<T>>(), dloss.weight,
                                dloss.value.as<acc_t<T>>(), dy.as<T>());
        });
      },
      loss);
  return loss;
}

}  // namespace hourglass
