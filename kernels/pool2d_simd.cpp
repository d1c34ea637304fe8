// SPDX-License-Identifier: Apache-2.0
// Vectors run along the channels, which lie together. A tile is a few rows of the output (forward) or of the input
// (backward); each pixel of it is the work of loops over C floats.
#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/base/activation_functions.h"
#include "kernels/base/float_vectors.h"
#include "kernels/base/pool2d_check.h"
#include "kernels/base/pool2d_windows.h"
#include "kernels/base/simd.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::cpu {
namespace {

/// Calls f(row) for each of `rows` rows of `elements` floats, in tiles cut by shape alone.
template <class F>
void parallel_rows(const Context& ctx, int64_t rows, int64_t elements, F&& f) {
  const int64_t in_tile = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, elements));
  parallel_for(ctx, (rows + in_tile - 1) / in_tile, [&](int64_t tile) {
    for (int64_t row = tile * in_tile; row < std::min(rows, (tile + 1) * in_tile); ++row) f(row);
  });
}

HOURGLASS_INLINE Span columns_of(const Pool2dShape& s, int q) {
  return pixels_of_window(q, s.W, s.S, s.stride_w, s.pad_w);
}

/// One row of windows, over the rows of pixels `rows`; x is the first pixel of row 0 of the window.
HOURGLASS_SIMD void max_row(const Pool2dShape& s, Span rows, const float* __restrict x, float* __restrict y,
                            int32_t* __restrict argmax) {
  const int64_t pitch = int64_t{s.W} * s.C;
  for (int q = 0; q < s.Q; ++q, y += s.C, argmax += s.C) {
    const Span columns = columns_of(s, q);
    const float* window = x + (int64_t{q} * s.stride_w - s.pad_w) * s.C;
    for (int r = rows.first; r < rows.end; ++r) {
      for (int t = columns.first; t < columns.end; ++t) {
        const float* pixel = window + r * pitch + int64_t{t} * s.C;
        const int32_t index = r * s.S + t;
        if (r == rows.first && t == columns.first) {
          for (int c = 0; c < s.C; ++c) y[c] = pixel[c];
          for (int c = 0; c < s.C; ++c) argmax[c] = index;
          continue;
        }
        for (int c = 0; c < s.C; ++c) {
          const bool better = !(pixel[c] <= y[c]) & (y[c] == y[c]);  // a NaN is better, and nothing is better than one
          y[c] = better ? pixel[c] : y[c];
          argmax[c] = better ? index : argmax[c];
        }
      }
    }
  }
}

/// The same without argmax.
HOURGLASS_SIMD void max_value_row(const Pool2dShape& s, Span rows, const float* __restrict x, float* __restrict y) {
  const int64_t pitch = int64_t{s.W} * s.C;
  for (int q = 0; q < s.Q; ++q, y += s.C) {
    const Span columns = columns_of(s, q);
    const float* window = x + (int64_t{q} * s.stride_w - s.pad_w) * s.C;
    for (int c = 0; c < s.C; ++c) y[c] = window[rows.first * pitch + int64_t{columns.first} * s.C + c];
    for (int r = rows.first; r < rows.end; ++r) {
      for (int t = columns.first; t < columns.end; ++t) {
        const float* pixel = window + r * pitch + int64_t{t} * s.C;
        for (int c = 0; c < s.C; ++c) y[c] = !(pixel[c] <= y[c]) & (y[c] == y[c]) ? pixel[c] : y[c];
      }
    }
  }
}

constexpr int kLanes = 16;
using Values = Floats<kLanes>;
using Indices = Vector<kLanes>::index;

/// Calls f(first, count) for runs of channels: kLanes as a constant, then what is left. The values of a run stay in
/// registers over all pixels of a window. (Not for max_row: g++ 12 compares such vectors lane by lane where a NaN
/// counts.)
template <class F>
HOURGLASS_INLINE void for_each_run(int channels, F&& f) {
  int c = 0;
  for (; c + kLanes <= channels; c += kLanes) f(c, std::integral_constant<int, kLanes>{});
  if (c < channels) f(c, channels - c);
}

template <class V>
HOURGLASS_INLINE V load_run(const void* from, int count) {
  V v = {};
  std::memcpy(&v, from, static_cast<size_t>(count) * 4);
  return v;
}
template <class V>
HOURGLASS_INLINE void store_run(void* to, const V& v, int count) {
  std::memcpy(to, &v, static_cast<size_t>(count) * 4);
}

HOURGLASS_INLINE float share_of(const Pool2dShape& s, Span rows, Span columns) {
  const int count = s.count_padding ? s.R * s.S : (rows.end - rows.first) * (columns.end - columns.first);
  return 1.0f / static_cast<float>(count);
}

HOURGLASS_SIMD void average_row(const Pool2dShape& s, Span rows, const float* __restrict x, float* __restrict y) {
  const int64_t pitch = int64_t{s.W} * s.C;
  for (int q = 0; q < s.Q; ++q) {
    const Span columns = columns_of(s, q);
    const float* window = x + (int64_t{q} * s.stride_w - s.pad_w) * s.C;
    const float share = share_of(s, rows, columns);
    for_each_run(s.C, [&](int first, auto count) HOURGLASS_INLINE_LAMBDA {
      Values sum = {};
      for (int r = rows.first; r < rows.end; ++r) {
        for (int t = columns.first; t < columns.end; ++t) {
          sum += load_run<Values>(window + r * pitch + int64_t{t} * s.C + first, count);
        }
      }
      store_run(y + int64_t{q} * s.C + first, sum * share, count);
    });
  }
}

// The gradients go from window to pixels: which windows hold a pixel would be a division for each. A pixel still sums
// its windows in their order.

/// One row of dx from the rows of windows `rows`; dy and argmax are those of window (0, 0) of the image.
HOURGLASS_SIMD void max_gradient_row(const Pool2dShape& s, int h, Span rows, const int32_t* __restrict argmax,
                                     const float* __restrict dy, float* __restrict dx) {
  for (int p = rows.first; p < rows.end; ++p) {
    const int32_t row = (h - p * s.stride_h + s.pad_h) * s.S;
    for (int q = 0; q < s.Q; ++q) {
      const Span columns = columns_of(s, q);
      const int64_t at = (int64_t{p} * s.Q + q) * s.C;
      float* window = dx + (int64_t{q} * s.stride_w - s.pad_w) * s.C;
      for_each_run(s.C, [&](int first, auto count) HOURGLASS_INLINE_LAMBDA {
        const auto index = load_run<Indices>(argmax + at + first, count);
        const auto gradient = load_run<Values>(dy + at + first, count);
        for (int t = columns.first; t < columns.end; ++t) {
          float* to = window + int64_t{t} * s.C + first;
          const Indices here = index == Indices{} + (row + t);
          store_run(to, load_run<Values>(to, count) + (here ? gradient : Values{}), count);
        }
      });
    }
  }
}

HOURGLASS_SIMD void average_gradient_row(const Pool2dShape& s, Span rows, const float* __restrict dy,
                                         float* __restrict dx) {
  for (int p = rows.first; p < rows.end; ++p) {
    const Span of_window = pixels_of_window(p, s.H, s.R, s.stride_h, s.pad_h);
    for (int q = 0; q < s.Q; ++q) {
      const Span columns = columns_of(s, q);
      const float share = share_of(s, of_window, columns);
      const float* from = dy + (int64_t{p} * s.Q + q) * s.C;
      float* window = dx + (int64_t{q} * s.stride_w - s.pad_w) * s.C;
      for_each_run(s.C, [&](int first, auto count) HOURGLASS_INLINE_LAMBDA {
        const Values part = load_run<Values>(from + first, count) * share;
        for (int t = columns.first; t < columns.end; ++t) {
          float* to = window + int64_t{t} * s.C + first;
          store_run(to, load_run<Values>(to, count) + part, count);
        }
      });
    }
  }
}

/// Calls f(rows of pixels, first pixel of row 0 of the windows, first element of y) for each row of windows.
template <class F>
void for_each_output_row(const Context& ctx, const Pool2dShape& s, const float* x, F&& f) {
  const int64_t elements = int64_t{s.Q} * s.C;
  if (elements == 0) return;
  parallel_rows(ctx, int64_t{s.N} * s.P, elements * std::min(s.R * s.S, 16), [&](int64_t row) {
    const int64_t n = row / s.P;
    const int p = static_cast<int>(row % s.P);
    const int64_t first = n * s.H + int64_t{p} * s.stride_h - s.pad_h;
    f(pixels_of_window(p, s.H, s.R, s.stride_h, s.pad_h), x + first * s.W * s.C, row * elements);
  });
}

/// Calls f(h, rows of windows, first element of the image in y, the row) for each row of dx, set to zero unless added
/// to.
template <class F>
void for_each_input_row(const Context& ctx, const Pool2dShape& s, Grad<float> dx, F&& f) {
  const int64_t elements = int64_t{s.W} * s.C;
  if (elements == 0) return;
  parallel_rows(ctx, int64_t{s.N} * s.H, elements, [&](int64_t row) {
    const int h = static_cast<int>(row % s.H);
    float* to = dx.data + row * elements;
    if (dx.mode == Write::kSet) std::fill_n(to, elements, 0.0f);
    f(h, windows_of_pixel(h, s.P, s.R, s.stride_h, s.pad_h), row / s.H * s.P * s.Q * s.C, to);
  });
}

}  // namespace

void max_pool2d_forward(const Context& ctx, const Pool2dShape& s, const float* x, float* y, int32_t* argmax) {
  check_pool2d("max_pool2d", s);
  for_each_output_row(ctx, s, x, [&](Span rows, const float* from, int64_t at) {
    if (argmax) {
      max_row(s, rows, from, y + at, argmax + at);
    } else {
      max_value_row(s, rows, from, y + at);
    }
  });
}

void max_pool2d_backward(const Context& ctx, const Pool2dShape& s, const int32_t* argmax, const float* dy,
                         Grad<float> dx) {
  check_pool2d("max_pool2d", s);
  if (!dx) return;
  for_each_input_row(ctx, s, dx, [&](int h, Span rows, int64_t image, float* to) {
    max_gradient_row(s, h, rows, argmax + image, dy + image, to);
  });
}

void average_pool2d_forward(const Context& ctx, const Pool2dShape& s, const float* x, float* y) {
  check_pool2d("average_pool2d", s);
  for_each_output_row(ctx, s, x, [&](Span rows, const float* from, int64_t at) { average_row(s, rows, from, y + at); });
}

void average_pool2d_backward(const Context& ctx, const Pool2dShape& s, const float* dy, Grad<float> dx) {
  check_pool2d("average_pool2d", s);
  if (!dx) return;
  for_each_input_row(ctx, s, dx,
                     [&](int, Span rows, int64_t image, float* to) { average_gradient_row(s, rows, dy + image, to); });
}

}  // namespace hourglass::cpu
