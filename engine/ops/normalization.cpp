// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "engine/dispatch.h"
#include "engine/ops.h"
#include "engine/ops/check.h"
#include "kernels/group_norm.h"

namespace hourglass {
namespace {

/// Images (N, H, W, C) or rows (N, C).
GroupNormShape group_norm_shape(const Var& x, const Var& gamma, const Var& beta, int groups, double eps) {
  check_dtypes("group_norm", {x, gamma, beta});
  const int rank = x.shape.rank();
  if (rank < 2) refuse("group_norm", "x expects samples and channels, given " + to_string(x.shape));
  const int C = x.shape[rank - 1];
  const int64_t pixels = C == 0 ? 0 : x.shape.row_elements() / C;
  if (pixels > std::numeric_limits<int>::max()) refuse("group_norm", "too many pixels in x " + to_string(x.shape));
  if (groups < 1 || C % groups != 0) {
    refuse("group_norm",
           "expects groups that divide " + std::to_string(C) + " channels, given " + std::to_string(groups));
  }
  if (gamma) check_shape("group_norm", "gamma", gamma, {C});
  if (beta) check_shape("group_norm", "beta", beta, {C});
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

}  // namespace hourglass
