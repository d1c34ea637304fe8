// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <type_traits>

#include "engine/dispatch.h"
#include "engine/ops.h"
#include "engine/ops/check.h"
#include "kernels/conv2d.h"
#include "kernels/elementwise.h"

namespace hourglass {
namespace {

size_t weight_scratch_bytes(const Context& ctx, const Conv2dShape& s, Dtype dtype) {
  return ask(ctx, dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    if constexpr (std::is_same_v<decltype(lane), cuda::Lane<T>>) {
      return cuda::conv2d_backward_weight_scratch_bytes<T>(s);
    } else {
      return cpu::conv2d_backward_weight_scratch_bytes<T>(s);
    }
  });
}

void check_pair(const char* op, const char* name, Pair given, int least) {
  if (given.h >= least && given.w >= least) return;
  refuse(op, std::string(name) + " expects at least " + std::to_string(least) + ", given " + to_string(given));
}

void check_options(const char* op, const Conv2dOptions& o) {
  check_pair(op, "stride", o.stride, 1);
  check_pair(op, "padding", o.padding, 0);
  check_pair(op, "dilation", o.dilation, 1);
  check_pair(op, "output_padding", o.output_padding, 0);
  if (o.groups != 1) refuse(op, "groups = " + std::to_string(o.groups) + " is not supported, expected 1");
  const bool padded = o.padding != Pair{0} || o.output_padding != Pair{0};
  if (o.same && padded) refuse(op, "expects either same or padding, given both");
}

/// Shape of the window, strides and dilations; the extents of x and y follow.
Conv2dShape window_of(const Var& w, const Conv2dOptions& o) {
  Conv2dShape s;
  s.K = w.shape[0], s.R = w.shape[1], s.S = w.shape[2], s.C = w.shape[3];
  s.stride_h = o.stride.h, s.stride_w = o.stride.w;
  s.dilation_h = o.dilation.h, s.dilation_w = o.dilation.w;
  s.pad_h = o.padding.h, s.pad_w = o.padding.w;
  return s;
}

/// `in`, `out`: the axes of the weight that hold the channels.
void check_operands(const char* op, const Var& x, const Var& w, const Var& b, const Var& residual, int in, int out) {
  check_rank(op, "input", x, 4);
  check_rank(op, "weight", w, 4);
  if (w.shape[in] != x.shape[3]) {
    refuse(op, "weight " + to_string(w.shape) + " expects C = " + std::to_string(w.shape[in]) +
                   ", input has C = " + std::to_string(x.shape[3]));
  }
  if (w.shape[1] < 1 || w.shape[2] < 1) refuse(op, "weight " + to_string(w.shape) + " has an empty window");
  check_dtypes(op, {x, w, b, residual});
  if (b) check_shape(op, "bias", b, {w.shape[out]});
}

/// Rows above the image so that the output has extent ceil(extent / stride); one more below if the sum is odd.
int same_padding(int extent, int output, int window, int stride, int dilation) {
  return std::max(0, (output - 1) * stride + dilation * (window - 1) + 1 - extent) / 2;
}

Conv2dShape conv2d_shape(const Var& x, const Var& w, const Var& b, const Var& residual, const Conv2dOptions& o) {
  constexpr const char* kOp = "conv2d";
  check_options(kOp, o);
  check_operands(kOp, x, w, b, residual, 3, 0);
  if (o.output_padding != Pair{0}) refuse(kOp, "output_padding belongs to conv_transpose2d");
  if (o.output_size != Pair{0}) refuse(kOp, "output_size belongs to conv_transpose2d");
  Conv2dShape s = window_of(w, o);
  s.N = x.shape[0], s.H = x.shape[1], s.W = x.shape[2];
  if (o.same) {
    s.P = (s.H + o.stride.h - 1) / o.stride.h, s.Q = (s.W + o.stride.w - 1) / o.stride.w;
    s.pad_h = same_padding(s.H, s.P, s.R, o.stride.h, o.dilation.h);
    s.pad_w = same_padding(s.W, s.Q, s.S, o.stride.w, o.dilation.w);
  } else {
    s.P = conv2d_output_extent(s.H, s.R, s.stride_h, s.pad_h, s.pad_h, s.dilation_h);
    s.Q = conv2d_output_extent(s.W, s.S, s.stride_w, s.pad_w, s.pad_w, s.dilation_w);
  }
  if (s.P < 1 || s.Q < 1) {
    refuse(kOp, "the window of weight " + to_string(w.shape) + " is larger than the padded input " +
                    to_string(x.shape) + ", padding " + to_string(o.padding));
  }
  if (residual) check_shape(kOp, "residual", residual, {s.N, s.P, s.Q, s.K});
  return s;
}

/// The extent of a transposed convolution of `extent`.
int64_t transposed_extent(int extent, int window, int stride, int padding, int dilation, int output_padding) {
  return (int64_t{extent} - 1) * stride - 2 * int64_t{padding} + int64_t{dilation} * (window - 1) + output_padding + 1;
}

Conv2dShape conv_transpose2d_shape(const Var& x, const Var& w, const Var& b, const Var& residual,
                                   const Conv2dOptions& o) {
  constexpr const char* kOp = "conv_transpose2d";
  check_options(kOp, o);
  check_operands(kOp, x, w, b, residual, 0, 3);
  if (o.output_padding.h >= std::max(o.stride.h, o.dilation.h) ||
      o.output_padding.w >= std::max(o.stride.w, o.dilation.w)) {
    refuse(kOp, "output_padding expects less than stride or dilation, given " + to_string(o.output_padding));
  }
  Conv2dShape s = window_of(w, o);
  s.N = x.shape[0], s.P = x.shape[1], s.Q = x.shape[2];
  int64_t H = int64_t{s.P} * o.stride.h, W = int64_t{s.Q} * o.stride.w;
  if (o.output_size != Pair{0}) {
    if (!o.same || (o.output_size.h + o.stride.h - 1) / o.stride.h != s.P ||
        (o.output_size.w + o.stride.w - 1) / o.stride.w != s.Q) {
      refuse(kOp, "output_size expects extents that `same` takes to those of the input, " + to_string(x.shape) +
                      ", with stride " + to_string(o.stride) + ", given " + to_string(o.output_size));
    }
    H = o.output_size.h, W = o.output_size.w;
  }
  if (!o.same) {
    H = transposed_extent(s.P, s.R, s.stride_h, s.pad_h, s.dilation_h, o.output_padding.h);
    W = transposed_extent(s.Q, s.S, s.stride_w, s.pad_w, s.dilation_w, o.output_padding.w);
  }
  if (H < 1 || W < 1) {
    refuse(kOp, "input " + to_string(x.shape) + " with weight " + to_string(w.shape) + " and padding " +
                    to_string(o.padding) + " leaves no output");
  }
  const Shape output{s.N, H, W, s.C};  // refuses what is too large
  if (residual) check_shape(kOp, "residual", residual, output);
  s.H = output[1], s.W = output[2];
  if (o.same) {
    s.pad_h = same_padding(s.H, s.P, s.R, o.stride.h, o.dilation.h);
    s.pad_w = same_padding(s.W, s.Q, s.S, o.stride.w, o.dilation.w);
  }
  return s;
}

}  // namespace

std::string to_string(Pair pair) { return "(" + std::to_string(pair.h) + ", " + std::to_string(pair.w) + ")"; }

Var conv2d(Tape& tape, const Var& x, const Var& w, const Var& b, const Conv2dOptions& options, Activation activation,
           const Var& residual) {
  // The derivative of GELU needs its input, which the fused form does not keep.
  if (activation == Activation::kGelu) {
    return hourglass::activation(tape, conv2d(tape, x, w, b, options, Activation::kNone, residual), activation);
  }
  const Conv2dShape s = conv2d_shape(x, w, b, residual, options);
  const Var y = tape.output({s.N, s.P, s.Q, s.K}, x.dtype, {x, w, b, residual});
  dispatch(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    const Conv2dEpilogue<T> epilogue{b.as<const T>(), residual.as<const T>(), activation};
    conv2d_forward(lane, s, x.as<const T>(), w.as<const T>(), epilogue, Grad<T>{y.as<T>()});
  });
  tape.on_backward("conv2d", {y}, [s, x, w, b, residual, activation, y](Tape& t) {
    // The residual may be x itself: dx is set by its own launch before dz is added to it.
    const Slot dw = t.grad_slot(w), db = t.grad_slot(b), dx = t.next_grad_slot(x), dr = t.next_grad_slot(residual);
    void* scratch = dw ? t.scratch(weight_scratch_bytes(t.ctx(), s, x.dtype)) : nullptr;
    dispatch(t.ctx(), x.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      T* dz = static_cast<T*>(t.output_grad(y));  // in place of dy: this record is its last reader
      conv2d_backward_epilogue(lane, {int64_t{s.N} * s.P * s.Q, s.K, activation}, y.as<const T>(), dz,
                               db.as<acc_t<T>>());
      conv2d_backward_weight(lane, s, x.as<const T>(), static_cast<const T*>(dz), scratch, dw.as<acc_t<T>>());
      conv2d_backward_input(lane, s, static_cast<const T*>(dz), w.as<const T>(), Conv2dEpilogue<T>{}, dx.as<T>());
      if (dr) add_backward(lane, {y.shape.elements()}, static_cast<const T*>(dz), dr.as<T>(), Grad<T>{});
    });
  });
  return y;
}

Var conv_transpose2d(Tape& tape, const Var& x, const Var& w, const Var& b, const Conv2dOptions& options,
                     Activation activation, const Var& residual) {
  if (activation == Activation::kGelu) {
    return hourglass::activation(tape, conv_transpose2d(tape, x, w, b, options, Activation::kNone, residual),
                                 activation);
  }
  // Its input is the y of the shape, its output the x.
  const Conv2dShape s = conv_transpose2d_shape(x, w, b, residual, options);
  const Var y = tape.output({s.N, s.H, s.W, s.C}, x.dtype, {x, w, b, residual});
  dispatch(tape.ctx(), x.dtype, [&](auto lane) {
    using T = typename decltype(lane)::type;
    const Conv2dEpilogue<T> epilogue{b.as<const T>(), residual.as<const T>(), activation};
    conv2d_backward_input(lane, s, x.as<const T>(), w.as<const T>(), epilogue, Grad<T>{y.as<T>()});
  });
  tape.on_backward("conv_transpose2d", {y}, [s, x, w, b, residual, activation, y](Tape& t) {
    const Slot dw = t.grad_slot(w), db = t.grad_slot(b), dx = t.next_grad_slot(x), dr = t.next_grad_slot(residual);
    void* scratch = dw ? t.scratch(weight_scratch_bytes(t.ctx(), s, x.dtype)) : nullptr;
    dispatch(t.ctx(), x.dtype, [&](auto lane) {
      using T = typename decltype(lane)::type;
      T* dz = static_cast<T*>(t.output_grad(y));
      conv2d_backward_epilogue(lane, {int64_t{s.N} * s.H * s.W, s.C, activation}, y.as<const T>(), dz,
                               db.as<acc_t<T>>());
      conv2d_backward_weight(lane, s, static_cast<const T*>(dz), x.as<const T>(), scratch, dw.as<acc_t<T>>());
      conv2d_forward(lane, s, static_cast<const T*>(dz), w.as<const T>(), Conv2dEpilogue<T>{}, dx.as<T>());
      if (dr) add_backward(lane, {y.shape.elements()}, static_cast<const T*>(dz), dr.as<T>(), Grad<T>{});
    });
  });
  return y;
}

}  // namespace hourglass
