// SPDX-License-Identifier: Apache-2.0
// Convolution as a gather: every pixel of an output adds up, over the taps of the window, pixels of an input.
//
//   out[n, i, j, column] = sum over tap (t, u) and channel of  in[n, h.input(i, t), w.input(j, u), channel]
//                                                            filter(column, h.tap(t), w.tap(u), channel)
//
// The forward product is one gather. The gradient of the input, with strides, is stride_h stride_w of them: the pixels
// x[h] with the same h mod stride are reached by the same taps, and only by those (a phase). So no multiplication by
// an inserted zero is ever done. Along one axis, with h = phase + stride i:
//
//   p stride = h + pad - r dilation   must hold for a whole p. With g = gcd(stride, dilation) the solutions are
//   r = r0 + t stride / g,  0 <= r0 < stride / g  (or there are none), and  p = (phase + pad - r0 dilation) / stride
//                                                                               + i - t dilation / g.
//
// Everything is linear in i and t, in both products. Host and device.
#pragma once

#include <algorithm>
#include <climits>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/base/error.h"
#include "kernels/conv2d.h"

namespace hourglass {

/// n / value for 0 <= n < 2^31, by a multiplication. Source: Granlund and Montgomery, "Division by invariant integers
/// using multiplication", PLDI 1994, section 4.
struct Divisor {
  uint32_t value = 1, multiplier = 1, shift = 0;

  Divisor() = default;
  explicit Divisor(int d) : value(static_cast<uint32_t>(std::max(d, 1))) {
    while ((uint64_t{1} << shift) < value) ++shift;
    multiplier = static_cast<uint32_t>(((((uint64_t{1} << shift) - value) << 32) / value) + 1);
  }
  HOURGLASS_HD int divide(int n) const {
    const auto u = static_cast<uint32_t>(n);
    const auto high = static_cast<uint32_t>((uint64_t{u} * multiplier) >> 32);
    return static_cast<int>((high + u) >> shift);
  }
  /// Quotient, and the remainder in *rest.
  HOURGLASS_HD int divide(int n, int* rest) const {
    const int quotient = divide(n);
    *rest = n - quotient * static_cast<int>(value);
    return quotient;
  }
};

/// One axis, down or across.
struct GatherAxis {
  int outputs = 0;  ///< of this gather; output i is pixel first_output + i output_step of `extent`
  int first_output = 0, output_step = 1, extent = 0;
  int taps = 0;  ///< tap t is element first_tap + t tap_step of the window
  int first_tap = 0, tap_step = 1;
  int inputs = 0;  ///< of the whole image; those outside read as zero
  int first_input = 0, input_per_output = 1, input_per_tap = 1;

  HOURGLASS_HD int output(int i) const { return first_output + i * output_step; }
  HOURGLASS_HD int tap(int t) const { return first_tap + t * tap_step; }
  HOURGLASS_HD int input(int i, int t) const { return first_input + i * input_per_output + t * input_per_tap; }
};

/// y[p] from x[p stride - pad + r dilation].
inline GatherAxis forward_axis(int outputs, int window, int inputs, int stride, int pad, int dilation) {
  return {outputs, 0, 1, outputs, window, 0, 1, inputs, -pad, stride, dilation};
}

/// x[h] from y[p], for the h with h mod stride = phase.
inline GatherAxis backward_axis(int outputs, int window, int inputs, int stride, int pad, int dilation, int phase) {
  GatherAxis axis;
  axis.outputs = outputs > phase ? (outputs - phase + stride - 1) / stride : 0;
  axis.first_output = phase;
  axis.output_step = stride;
  axis.extent = outputs;
  const int common = std::gcd(stride, dilation);
  axis.tap_step = stride / common;
  axis.inputs = inputs;
  axis.input_per_tap = -(dilation / common);
  for (int r = 0; r < std::min(axis.tap_step, window); ++r) {
    const int64_t reached = int64_t{phase} + pad - int64_t{r} * dilation;
    if (reached % stride != 0) continue;
    axis.first_tap = r;
    axis.taps = (window - r + axis.tap_step - 1) / axis.tap_step;
    axis.first_input = static_cast<int>(reached / stride);
    break;
  }
  return axis;
}

struct Conv2dGather {
  GatherAxis h, w;
  int window_w = 1;  ///< S
  int channels = 0;  ///< of the input
  int columns = 0;   ///< channels of the output
  int pixels = 0;    ///< of this gather's output
  int depth = 0;     ///< terms of a sum
  Divisor by_image, by_row, by_channels, by_tap_row;

  Conv2dGather() = default;
  Conv2dGather(int N, const GatherAxis& h_, const GatherAxis& w_, int window_w_, int channels_, int columns_)
      : h(h_),
        w(w_),
        window_w(window_w_),
        channels(channels_),
        columns(columns_),
        pixels(N * h_.outputs * w_.outputs),
        depth(h_.taps * w_.taps * channels_),
        by_image(h_.outputs * w_.outputs),
        by_row(w_.outputs),
        by_channels(channels_),
        by_tap_row(w_.taps) {}

  /// Number, in the whole output, of a pixel of this gather.
  HOURGLASS_HD int64_t output_pixel(int pixel) const {
    int inside, j;
    const int n = by_image.divide(pixel, &inside), i = by_row.divide(inside, &j);
    return (int64_t{n} * h.extent + h.output(i)) * w.extent + w.output(j);
  }
};

inline Conv2dGather forward_gather(const Conv2dShape& s) {
  return {s.N,
          forward_axis(s.P, s.R, s.H, s.stride_h, s.pad_h, s.dilation_h),
          forward_axis(s.Q, s.S, s.W, s.stride_w, s.pad_w, s.dilation_w),
          s.S,
          s.C,
          s.K};
}

/// One for each phase that has pixels.
inline std::vector<Conv2dGather> backward_gathers(const Conv2dShape& s) {
  std::vector<Conv2dGather> gathers;
  for (int i = 0; i < std::min(s.stride_h, s.H); ++i) {
    for (int j = 0; j < std::min(s.stride_w, s.W); ++j) {
      gathers.emplace_back(s.N, backward_axis(s.H, s.R, s.P, s.stride_h, s.pad_h, s.dilation_h, i),
                           backward_axis(s.W, s.S, s.Q, s.stride_w, s.pad_w, s.dilation_w, j), s.S, s.K, s.C);
    }
  }
  return gathers;
}

/// Kernels count pixels and terms in 32 bits.
inline void check_conv2d_counts(const char* op, const Conv2dShape& s) {
  const auto require = [op](const char* name, int64_t a, int64_t b, int64_t c) {
    if (a == 0 || b == 0 || c == 0) return;
    if (a <= INT_MAX / b && a * b <= INT_MAX / c) return;
    throw Error(Exit::kUsage, std::string(op) + ": " + name + " = " + std::to_string(a) + " * " + std::to_string(b) +
                                  " * " + std::to_string(c) + " is too large; expected less than 2^31");
  };
  require("N * H * W", s.N, s.H, s.W);
  require("N * P * Q", s.N, s.P, s.Q);
  require("R * S * C", s.R, s.S, s.C);
  require("R * S * K", s.R, s.S, s.K);
}

}  // namespace hourglass
