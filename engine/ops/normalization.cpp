// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "engine/dispatch.h"
#include "engine/ops.h"
#include "engine/ops/check.h"
#include "engine/ops/memory.h"
#include "kernels/batch_norm.h"
#include "kernels/group_norm.h"

namespace hourglass {
namespace {

/// The channels of images (N, H, W, C) or rows (N, C).
int channels_of(const char* op, const Var& x, const Var& gamma, const Var& beta) {
  check_dtypes(op, {x, gamma, beta});
  const int rank = x.shape.rank();
  if (rank < 2) refuse(op, "x expects samples and channels, given " + to_string(x.shape));
  const int C = x.shape[rank - 1];
  if (gamma) check_shape(op, "gamma", gamma, {C});
  if (beta) check_shape(op, "beta", beta, {C});
  return C;
}

GroupNormShape group_norm_shape(const Var& x, const Var& gamma, const Var& beta, int groups, double eps) {
  const int C = channels_of("group_norm", x, gamma, beta);
  const int64_t pixels = C == 0 ? 0 : x.shape.row_elements() / C;
  if (pixels > std::numeric_limits<int>::max()) refuse("group_norm", "too many pixels in x " + to_string(x.shape));
  if (groups < 1 || C % groups != 0) {
    refuse("group_norm",
           "expects groups that divide " + std::to_string(C) + " channels, given " + std::to_string(groups));
  }
  return {x.shape[0], static_cast<int>(pixels), C, groups, eps};
}

}  // namespace

Var group_norm(Tape& tape, const Var& x, const Var& gamma, const Var& beta, int groups, double eps) {
  const GroupNormShape s = group_norm_shape(x, gamma, beta, groups, eps);
  const Var y = tape.output(x.shape, x.dtype, {x, gamma, beta});
  const Var mean = tape.constant({s.N, s.G}, accumulator_of(x.dtype));
  const Var rstd = tape.constant(mean.shape, mean.dtype);
  dispatch(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    group_norm_forward(lane, s, x.as<const T>(), gamma.as<const T>(), beta.as<const T>(), y.as<T>(),
                       mean.as<acc_t<T>>(), rstd.as<acc_t<T>>());
  });
  tape.on_backward("group_norm", {y}, [s, x, gamma, beta, y, mean, rstd](Tape& t) {
    const Slot dx = t.grad_slot(x), dgamma = gamma ? t.grad_slot(gamma) : Slot{};
    const Slot dbeta = beta ? t.grad_slot(beta) : Slot{};
    void* const scratch = t.scratch(group_norm_scratch_bytes(s, size_of(mean.dtype)));
    dispatch(t.ctx(), x.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      group_norm_backward(lane, s, x.as<const T>(), gamma.as<const T>(), mean.as<const acc_t<T>>(),
                          rstd.as<const acc_t<T>>(), static_cast<const T*>(t.output_grad(y)), scratch, dx.as<T>(),
                          dgamma.as<acc_t<T>>(), dbeta.as<acc_t<T>>());
    });
  });
  return y;
}

RunningMoments::RunningMoments(Parameters& parameters, const std::string& name, int channels, double momentum)
    : momentum_(momentum),
      mean_(&parameters.state(name + ".running_mean", {channels}, Init::zeros())),
      var_(&parameters.state(name + ".running_var", {channels}, Init::constant(1))),
      moments_(parameters.statistics(3 * int64_t{channels})) {}

namespace {

Var batch_norm_inference(Tape& tape, const BatchNormShape& s, const Var& x, const Var& gamma, const Var& beta,
                         const Var& mean, const Var& var) {
  const Var y = tape.output(x.shape, x.dtype, {x, gamma, beta});
  dispatch(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    batch_norm_inference(lane, s, x.as<const T>(), gamma.as<const T>(), beta.as<const T>(), mean.as<const acc_t<T>>(),
                         var.as<const acc_t<T>>(), y.as<T>());
  });
  return y;
}

/// The running moments follow when the step commits.
void record_update(Tape& tape, const Var& mean, const Var& var, void* moments, double momentum) {
  tape.on_commit([mean, var, moments, momentum](const Commit& commit) {
    dispatch_wide(commit.ctx, mean.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      batch_norm_update(lane, mean.shape[0], momentum, commit.fault, static_cast<acc_t<T>*>(moments),
                        mean.as<acc_t<T>>(), var.as<acc_t<T>>());
    });
  });
}

}  // namespace

Var batch_norm(Tape& tape, const Var& x, const Var& gamma, const Var& beta, const RunningMoments& running, double eps) {
  const int C = channels_of("batch_norm", x, gamma, beta);
  check_shape("batch_norm", "the running mean", running.mean(), {C});
  const BatchNormShape s{C == 0 ? 0 : x.shape.elements() / C, C, eps};
  if (tape.mode() != Mode::kTrain) {
    return batch_norm_inference(tape, s, x, gamma, beta, running.mean(), running.var());
  }
  if (s.rows == 1)
    refuse("batch_norm", "expects more than one value a channel in training, given x " + to_string(x.shape));
  const Var y = tape.output(x.shape, x.dtype, {x, gamma, beta});
  const Var mean = tape.constant({C}, accumulator_of(x.dtype)), rstd = tape.constant(mean.shape, mean.dtype);
  const Var scratch = scratch_of(tape, batch_norm_scratch_bytes(s, size_of(mean.dtype)));
  const Slot moments = statistic_slot(running.moments_, mean.dtype);
  dispatch(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    batch_norm_forward(lane, s, x.as<const T>(), gamma.as<const T>(), beta.as<const T>(), scratch.data, y.as<T>(),
                       mean.as<acc_t<T>>(), rstd.as<acc_t<T>>(), moments.as<acc_t<T>>());
  });
  record_update(tape, running.mean(), running.var(), moments.data, running.momentum_);
  tape.on_backward("batch_norm", {y}, [s, x, gamma, beta, y, mean, rstd, scratch](Tape& t) {
    const Slot dx = t.grad_slot(x), dgamma = gamma ? t.grad_slot(gamma) : Slot{};
    const Slot dbeta = beta ? t.grad_slot(beta) : Slot{};
    dispatch(t.ctx(), x.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      batch_norm_backward(lane, s, x.as<const T>(), gamma.as<const T>(), mean.as<const acc_t<T>>(),
                          rstd.as<const acc_t<T>>(), static_cast<const T*>(t.output_grad(y)), scratch.data, dx.as<T>(),
                          dgamma.as<acc_t<T>>(), dbeta.as<acc_t<T>>());
    });
  });
  return y;
}

}  // namespace hourglass
