// SPDX-License-Identifier: Apache-2.0
#include "kernels/base/conv2d_patch.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace hourglass::cpu {
namespace {

constexpr int kFewestBlocks = 16;  // so that any usual number of threads finds work
constexpr int kFewPixels = 384;    // below, packing the weight for a block costs more than a tenth of its products

int divide_up(int64_t a, int64_t b) { return static_cast<int>((a + b - 1) / b); }

/// The largest of 1 .. most that f accepts, made even over the whole; 0: none.
template <class F>
int largest(int most, F&& f) {
  int low = 0, high = most;
  while (low < high) {
    const int middle = low + (high - low + 1) / 2;
    if (f(middle)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low == 0 ? 0 : divide_up(most, divide_up(most, low));
}

ConvSide forward_side(int extent, int output, int window, int stride, int pad, int dilation) {
  return {extent, output, stride, 1, window, dilation, pad, false};
}
ConvSide backward_side(int extent, int output, int window, int stride, int pad, int dilation) {
  return {output, extent, 1, stride, window, dilation, pad, true};
}

/// One row of the patch: `width` pixels of the source from column `column`, `count` channels from `first`.
void copy_row(const Correlation& c, const float* row, int column, int width, int first, int count, float* to) {
  const int begin = std::clamp(-column, 0, width), end = std::clamp(c.w.source - column, begin, width);
  std::fill_n(to, begin * count, 0.0f);
  std::fill_n(to + end * count, (width - end) * count, 0.0f);
  const float* from = row + (int64_t{column} + begin) * c.in + first;
  if (count == c.in) {
    std::copy_n(from, (end - begin) * count, to + begin * count);
    return;
  }
  for (int j = begin; j < end; ++j, from += c.in) std::copy_n(from, count, to + j * count);
}

}  // namespace

ConvTaps ConvSide::taps(int phase) const {
  ConvTaps t;
  for (int i = 0; i < window; ++i) {
    const int r = transposed ? window - 1 - i : i;
    const int64_t at = transposed ? int64_t{phase} + pad - int64_t{r} * dilation : int64_t{r} * dilation - pad;
    if (transposed && at % out_step != 0) continue;
    t.index[t.count] = r;
    t.shift[t.count++] = static_cast<int>(transposed ? at / out_step : at);
  }
  return t;
}

/// False where a number leaves what the patch can hold by far.
bool ConvSide::measure() {
  constexpr int64_t kMost = 1 << 28;
  if (window > kConvTaps || std::abs(int64_t{pad}) > kMost) return false;
  if (int64_t{dilation} * window > kMost || int64_t{out} * step > kMost) return false;
  low = std::numeric_limits<int>::max();
  int high = std::numeric_limits<int>::min();
  most_taps = 1;
  for (int phase = 0; phase < std::min(out_step, std::max(1, out)); ++phase) {
    const ConvTaps t = taps(phase);
    most_taps = std::max(most_taps, t.count);
    if (t.count == 0) continue;
    high = std::max(high, t.shift[t.count - 1]);
    low = std::min(low, t.shift[0]);
  }
  if (low > high) low = high = 0;  // no phase meets a tap
  reach = high - low + 1;
  return true;
}

Correlation Correlation::forward(const Conv2dShape& s, const float* x, const float* w) {
  Correlation c;
  c.h = forward_side(s.H, s.P, s.R, s.stride_h, s.pad_h, s.dilation_h);
  c.w = forward_side(s.W, s.Q, s.S, s.stride_w, s.pad_w, s.dilation_w);
  c.N = s.N, c.in = s.C, c.out = s.K;
  c.source = x, c.weight = w;
  c.weight_in = 1, c.weight_tap = s.C, c.weight_out = int64_t{s.R} * s.S * s.C;
  c.cut();
  return c;
}

Correlation Correlation::backward_input(const Conv2dShape& s, const float* y, const float* w) {
  Correlation c;
  c.h = backward_side(s.H, s.P, s.R, s.stride_h, s.pad_h, s.dilation_h);
  c.w = backward_side(s.W, s.Q, s.S, s.stride_w, s.pad_w, s.dilation_w);
  c.N = s.N, c.in = s.K, c.out = s.C;
  c.source = y, c.weight = w;
  c.weight_in = int64_t{s.R} * s.S * s.C, c.weight_tap = s.C, c.weight_out = 1;
  c.cut();
  return c;
}

int64_t Correlation::patch_floats(int n, int i, int j) const {
  const int64_t height = int64_t{i - 1} * h.step + h.reach, width = int64_t{j - 1} * w.step + w.reach;
  return std::min<int64_t>(height * width, kConvPatch + 1) * n * std::max(1, channels);
}

/// A function of the shape alone.
void Correlation::cut() {
  if (!h.measure() || !w.measure()) return;
  const int room = kConvDepth / (h.most_taps * w.most_taps);
  const int step = room >= 16 ? 16 : 1;
  channels = room / step * step;
  if (channels == 0) return;
  if (in > 0) channels = std::min(channels, divide_up(divide_up(in, divide_up(in, channels)), step) * step);
  if (in > 0) channels = std::min(channels, in);
  while (channels > 0 && patch_floats(1, 1, 1) > kConvPatch) channels /= 2;
  if (channels == 0) return;
  const auto small = [this](int n, int i, int j) {
    return int64_t{n} * i * j <= kConvPixels && patch_floats(n, i, j) <= kConvPatch;
  };
  const int all_rows = std::max(1, h.grid(0)), all_columns = std::max(1, w.grid(0));
  columns = largest(all_columns, [&](int j) { return small(1, 1, j); });
  rows = columns < all_columns ? 1 : largest(all_rows, [&](int i) { return small(1, i, columns); });
  images = 1;
  if (rows < all_rows || columns < all_columns) return;
  const int usual = std::max(divide_up(N, kFewestBlocks), divide_up(kFewPixels, int64_t{rows} * columns));
  images = std::max(1, largest(std::max(1, N), [&](int n) { return n <= usual && small(n, rows, columns); }));
}

int Correlation::blocks() const {
  return divide_up(N, images) * divide_up(h.grid(0), rows) * divide_up(w.grid(0), columns);
}

ConvBlock Correlation::block(int index) const {
  const int across = divide_up(w.grid(0), columns), down = divide_up(h.grid(0), rows);
  ConvBlock b;
  b.column = index % across * columns, b.columns = std::min(columns, w.grid(0) - b.column);
  b.row = index / across % down * rows, b.rows = std::min(rows, h.grid(0) - b.row);
  b.n = index / across / down * images, b.images = std::min(images, N - b.n);
  return b;
}

void ConvPatch::gather(const Correlation& c, const ConvBlock& block, int first, int count) {
  height = (block.rows - 1) * c.h.step + c.h.reach;
  const int width = (block.columns - 1) * c.w.step + c.w.reach;
  const int first_row = block.row * c.h.step + c.h.low, first_column = block.column * c.w.step + c.w.low;
  row_floats = width * count;
  float* to = source;
  for (int n = 0; n < block.images; ++n) {
    const float* image = c.source + (int64_t{block.n} + n) * c.h.source * c.w.source * c.in;
    for (int i = first_row; i < first_row + height; ++i, to += row_floats) {
      if (i < 0 || i >= c.h.source) {
        std::fill_n(to, row_floats, 0.0f);
      } else {
        copy_row(c, image + int64_t{i} * c.w.source * c.in, first_column, width, first, count, to);
      }
    }
  }
}

void ConvPatch::place(const Correlation& c, const ConvBlock& block, int phase_h, int phase_w, const ConvTaps& rows,
                      const ConvTaps& columns, int count) {
  const int grid_rows = std::min(block.rows, c.h.grid(phase_h) - block.row);
  const int grid_columns = std::min(block.columns, c.w.grid(phase_w) - block.column);
  pixels = depth = 0;
  for (int n = 0; n < block.images; ++n) {
    for (int i = 0; i < grid_rows; ++i) {
      const int64_t out_row = (int64_t{block.n} + n) * c.h.out + int64_t{block.row + i} * c.h.out_step + phase_h;
      for (int j = 0; j < grid_columns; ++j, ++pixels) {
        pixel_at[pixels] = (n * height + i * c.h.step) * row_floats + j * c.w.step * count;
        out_at[pixels] = (out_row * c.w.out + int64_t{block.column + j} * c.w.out_step + phase_w) * c.out;
      }
    }
  }
  for (int r = 0; r < rows.count; ++r) {
    for (int t = 0; t < columns.count; ++t) {
      const int at = (rows.shift[r] - c.h.low) * row_floats + (columns.shift[t] - c.w.low) * count;
      for (int d = 0; d < count; ++d) tap_at[depth++] = at + d;
    }
  }
}

}  // namespace hourglass::cpu
