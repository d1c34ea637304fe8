// SPDX-License-Identifier: Apache-2.0
// Pooling, upsampling and corruption of images.
#include <algorithm>
#include <limits>

#include "engine/dispatch.h"
#include "engine/ops.h"
#include "engine/ops/check.h"
#include "kernels/pool2d.h"
#include "kernels/upsample2d.h"

namespace hourglass {
namespace {

struct Axis {
  int outputs, pad;
};

/// Outputs and padding above (or left) along one axis.
Axis pooled_axis(const char* op, int extent, int window, int stride, int pad, bool same) {
  if (window < 1 || stride < 1) {
    refuse(op, "expects windows and strides of at least 1, given window " + std::to_string(window) + ", stride " +
                   std::to_string(stride));
  }
  if (!same) return {pool2d_output_extent(extent, window, stride, pad, pad), pad};
  if (pad != 0) refuse(op, "`same` derives the padding, given padding " + std::to_string(pad) + " too");
  const int outputs = (extent + stride - 1) / stride;
  return {outputs, std::max(0, (outputs - 1) * stride + window - extent) / 2};
}

Pool2dShape pool2d_shape(const char* op, const Var& x, const Pool2d& pool) {
  check_rank(op, "x", x, 4);
  check_dtypes(op, {x});
  Pool2dShape s;
  s.N = x.shape[0], s.H = x.shape[1], s.W = x.shape[2], s.C = x.shape[3];
  s.R = pool.window_h, s.S = pool.window_w;
  s.stride_h = pool.stride_h ? pool.stride_h : pool.window_h;
  s.stride_w = pool.stride_w ? pool.stride_w : pool.window_w;
  const Axis rows = pooled_axis(op, s.H, s.R, s.stride_h, pool.pad_h, pool.same);
  const Axis columns = pooled_axis(op, s.W, s.S, s.stride_w, pool.pad_w, pool.same);
  s.P = rows.outputs, s.pad_h = rows.pad;
  s.Q = columns.outputs, s.pad_w = columns.pad;
  s.count_padding = pool.count_padding;
  if (x.shape.elements() > 0 && (s.P == 0 || s.Q == 0)) {
    refuse(op, "a window of " + std::to_string(s.R) + " x " + std::to_string(s.S) + " does not fit into x " +
                   to_string(x.shape));
  }
  return s;
}

}  // namespace

Var max_pool2d(Tape& tape, const Var& x, const Pool2d& pool) {
  const Pool2dShape s = pool2d_shape("max_pool2d", x, pool);
  const Var y = tape.output({s.N, s.P, s.Q, s.C}, x.dtype, {x});
  const Var argmax = y.groups ? tape.constant(y.shape, Dtype::kI32) : Var{};
  dispatch(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    max_pool2d_forward(lane, s, x.as<const T>(), y.as<T>(), argmax.as<int32_t>());
  });
  tape.on_backward("max_pool2d", {y}, [s, x, y, argmax](Tape& t) {
    const Slot dx = t.grad_slot(x);
    dispatch(t.ctx(), x.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      max_pool2d_backward(lane, s, argmax.as<const int32_t>(), static_cast<const T*>(t.output_grad(y)), dx.as<T>());
    });
  });
  return y;
}

Var average_pool2d(Tape& tape, const Var& x, const Pool2d& pool) {
  const Pool2dShape s = pool2d_shape("average_pool2d", x, pool);
  const Var y = tape.output({s.N, s.P, s.Q, s.C}, x.dtype, {x});
  dispatch(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    average_pool2d_forward(lane, s, x.as<const T>(), y.as<T>());
  });
  tape.on_backward("average_pool2d", {y}, [s, x, y](Tape& t) {
    const Slot dx = t.grad_slot(x);
    dispatch(t.ctx(), x.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      average_pool2d_backward(lane, s, static_cast<const T*>(t.output_grad(y)), dx.as<T>());
    });
  });
  return y;
}

Var upsample2d(Tape& tape, const Var& x, int factor_h, int factor_w) {
  check_rank("upsample2d", "x", x, 4);
  check_dtypes("upsample2d", {x});
  if (factor_h < 1 || factor_w < 1) {
    refuse("upsample2d",
           "expects factors of at least 1, given " + std::to_string(factor_h) + " x " + std::to_string(factor_w));
  }
  const Upsample2dShape s{x.shape[0], x.shape[1], x.shape[2], x.shape[3], factor_h, factor_w};
  const Var y = tape.output({s.N, int64_t{s.H} * factor_h, int64_t{s.W} * factor_w, s.C}, x.dtype, {x});
  dispatch(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    upsample2d_forward(lane, s, x.as<const T>(), y.as<T>());
  });
  tape.on_backward("upsample2d", {y}, [s, x, y](Tape& t) {
    const Slot dx = t.grad_slot(x);
    dispatch(t.ctx(), x.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      upsample2d_backward(lane, s, static_cast<const T*>(t.output_grad(y)), dx.as<T>());
    });
  });
  return y;
}

Var corrupt(Tape& tape, const Var& x, const Corruption& corruption, const Noise& noise) {
  check_dtypes("corrupt", {x});
  if (x.groups) refuse("corrupt", "the data take no gradient; detach them");
  const int64_t D = x.shape.row_elements();
  if (x.shape.rank() == 0 || D > std::numeric_limits<int>::max()) {
    refuse("corrupt", "expects rows of fewer than 2147483648 elements, given " + to_string(x.shape));
  }
  const CorruptShape s{x.shape[0], static_cast<int>(D), corruption};
  const Var y = tape.output(x.shape, x.dtype, {x});
  dispatch(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    corrupt(lane, s, x.as<const T>(), noise, y.as<T>());
  });
  return y;
}

}  // namespace hourglass
