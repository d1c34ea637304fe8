// SPDX-License-Identifier: Apache-2.0
// The refusals of kernels/pool2d.h and kernels/upsample2d.h, shared by their CPU and CUDA forms.
#pragma once

#include <limits>
#include <string>

#include "kernels/base/error.h"
#include "kernels/pool2d.h"
#include "kernels/upsample2d.h"

namespace hourglass {

/// Kernels count the pixels of a batch in 32 bits.
inline void check_pixels(const char* op, int N, int H, int W) {
  if (N == 0 || H == 0 || W == 0) return;
  if (int64_t{H} * W > std::numeric_limits<int32_t>::max() / N) {
    throw Error(Exit::kUsage, std::string(op) + ": expected fewer than 2^31 pixels, got " + std::to_string(N) + " of " +
                                  std::to_string(H) + " x " + std::to_string(W));
  }
}

/// One axis: its windows must each hold a pixel.
inline void check_pool_axis(const char* op, const char* axis, int extent, int outputs, int window, int stride,
                            int pad) {
  const std::string where = std::string(op) + ": " + axis;
  constexpr int kWidest = 32767;  // so that r S + s is an int32
  if (window < 1 || window > kWidest || stride < 1) {
    throw Error(Exit::kUsage, where + ": expected a window of 1 to 32767 and a stride of at least 1, got window " +
                                  std::to_string(window) + ", stride " + std::to_string(stride));
  }
  if (outputs == 0) return;
  const int64_t last = (int64_t{outputs} - 1) * stride - pad;
  if (pad >= window || last >= extent || -int64_t{pad} >= extent) {
    throw Error(Exit::kUsage, where + ": a window without a pixel: extent " + std::to_string(extent) + ", window " +
                                  std::to_string(window) + ", stride " + std::to_string(stride) + ", padding " +
                                  std::to_string(pad) + ", " + std::to_string(outputs) + " outputs");
  }
}

inline void check_pool2d(const char* op, const Pool2dShape& s) {
  if (s.N < 0 || s.H < 0 || s.W < 0 || s.C < 0 || s.P < 0 || s.Q < 0) {
    throw Error(Exit::kUsage, std::string(op) + ": expected no negative extent, got N = " + std::to_string(s.N) +
                                  ", H = " + std::to_string(s.H) + ", W = " + std::to_string(s.W) +
                                  ", C = " + std::to_string(s.C) + ", P = " + std::to_string(s.P) +
                                  ", Q = " + std::to_string(s.Q));
  }
  check_pool_axis(op, "rows", s.H, s.P, s.R, s.stride_h, s.pad_h);
  check_pool_axis(op, "columns", s.W, s.Q, s.S, s.stride_w, s.pad_w);
  check_pixels(op, s.N, s.H, s.W);
  check_pixels(op, s.N, s.P, s.Q);
}

inline void check_upsample2d(const Upsample2dShape& s) {
  if (s.N < 0 || s.H < 0 || s.W < 0 || s.C < 0) {
    throw Error(Exit::kUsage, "upsample2d: expected no negative extent, got N = " + std::to_string(s.N) +
                                  ", H = " + std::to_string(s.H) + ", W = " + std::to_string(s.W) +
                                  ", C = " + std::to_string(s.C));
  }
  const int64_t P = int64_t{s.H} * s.factor_h, Q = int64_t{s.W} * s.factor_w;
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  if (s.factor_h < 1 || s.factor_w < 1 || P > kMost || Q > kMost) {
    throw Error(Exit::kUsage, "upsample2d: expected factors of at least 1 and an output within 2^31, got " +
                                  std::to_string(s.factor_h) + " x " + std::to_string(s.factor_w) + " of " +
                                  std::to_string(s.H) + " x " + std::to_string(s.W));
  }
  check_pixels("upsample2d", s.N, static_cast<int>(P), static_cast<int>(Q));
}

}  // namespace hourglass
