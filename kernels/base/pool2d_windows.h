// SPDX-License-Identifier: Apache-2.0
// Index arithmetic of pooling along one axis, for the timed and the CUDA form. (The reference has its own, on purpose.)
#pragma once

#include "kernels/base/simd.h"
#include "kernels/pool2d.h"

namespace hourglass {

struct Span {
  int first, end;  ///< [first, end)
};

/// The offsets within window p that lie inside the image.
HOURGLASS_HD HOURGLASS_INLINE Span pixels_of_window(int p, int extent, int window, int stride, int pad) {
  const int begin = p * stride - pad, room = extent - begin;
  return {begin < 0 ? -begin : 0, window < room ? window : room};
}

/// The windows that hold pixel h: those with p stride - pad <= h < p stride - pad + window.
HOURGLASS_HD HOURGLASS_INLINE Span windows_of_pixel(int h, int outputs, int window, int stride, int pad) {
  const int at = h + pad;
  if (at < 0) return {0, 0};  // cropped
  const int first = at < window ? 0 : (at - window) / stride + 1, last = at / stride;
  return {first, last < outputs ? last + 1 : outputs};
}

}  // namespace hourglass
