// SPDX-License-Identifier: Apache-2.0
// The timed float convolution: products of gathered rows with packed panels (base/conv2d_patch.h), one block of the
// output at a time, with bias, residual and activation applied while the block is in the cache. The gradient of the
// weight sums each part of the blocks apart, then the parts in order.
//
// Why not oneDNN's primitives: measured beside those of 2.6.3 on one core, GFLOP/s forward, gradient of the input, of
// the weight, ours (oneDNN's): 56x56x64-64 k3 220 219 203 (230 206 177), 64x64x256-256 k3 213 207 195 (230 163 143),
// 14x14x32-64 k4 s2 202 207 181 (215 226 155), 7x7x32-32 k3 206 209 194 (264 250 275); but first and last layers
// 28x28x1-32 k4 s2 145 62 100 (113 14 174), 28x28x32-1 k3 64 90 50 (12 170 13). One form for all, without a second
// layout of the weights.
#include <algorithm>
#include <memory>

#include "kernels/base/activation_functions.h"
#include "kernels/base/conv2d_check.h"
#include "kernels/base/conv2d_patch.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::cpu {
namespace {

const ConvLevel& level() {
  static const ConvLevel best = conv_levels().front();
  return best;
}

int divide_up(int64_t a, int64_t b) { return static_cast<int>((a + b - 1) / b); }

/// A band of columns of a result, at most three vectors wide, all bands of a result nearly equal.
struct Bands {
  explicit Bands(int columns)
      : columns_(columns), vectors_(divide_up(columns, level().lanes)), count(divide_up(vectors_, kConvPanel / 16)) {}
  int first(int band) const {
    return std::min(columns_, static_cast<int>(int64_t{vectors_} * band / count) * level().lanes);
  }
  int width(int band) const { return first(band + 1) - first(band); }

 private:
  int columns_, vectors_;

 public:
  int count;
};

/// Columns of a panel in memory.
int padded(int columns) { return divide_up(columns, level().lanes) * level().lanes; }

/// panel[(tap, channel)][j]: the weight of `columns` outputs from `out`, for `count` channels from `first`.
void pack_weight(const Correlation& c, const ConvTaps& rows, const ConvTaps& columns, int first, int count, int out,
                 int width, float* panel) {
  const int stride = padded(width);
  for (int r = 0; r < rows.count; ++r) {
    for (int t = 0; t < columns.count; ++t, panel += int64_t{count} * stride) {
      const int64_t tap = (int64_t{rows.index[r]} * c.w.window + columns.index[t]) * c.weight_tap;
      const float* from = c.weight + tap + first * c.weight_in + out * c.weight_out;
      if (c.weight_in == 1) {
        level().pack(from, c.weight_out, count, width, stride, panel);
        continue;
      }
      for (int d = 0; d < count; ++d) {
        std::copy_n(from + d * c.weight_in, width, panel + int64_t{d} * stride);
        std::fill_n(panel + int64_t{d} * stride + width, stride - width, 0.0f);
      }
    }
  }
}

/// Results of so few columns that a vector of them would be mostly empty, from vectors of channels.
bool is_narrow(const Correlation& c) {
  const int lanes = level().lanes;
  return c.out <= kConvNarrow && c.in > 0 && c.in % lanes == 0 && c.channels % lanes == 0;
}

/// panel[j][(tap, channel)].
void pack_narrow_weight(const Correlation& c, const ConvTaps& rows, const ConvTaps& columns, int first, int count,
                        float* panel) {
  for (int j = 0; j < c.out; ++j) {
    for (int r = 0; r < rows.count; ++r) {
      for (int t = 0; t < columns.count; ++t) {
        const int64_t tap = (int64_t{rows.index[r]} * c.w.window + columns.index[t]) * c.weight_tap;
        const float* from = c.weight + tap + first * c.weight_in + j * c.weight_out;
        for (int d = 0; d < count; ++d) *panel++ = from[d * c.weight_in];
      }
    }
  }
}

/// out = f(out + bias + residual) for `rows` rows of `columns`.
template <Activation A>
HOURGLASS_INLINE void finish_rows(int64_t rows, int columns, const float* bias, const float* residual, float* out) {
  for (int64_t r = 0; r < rows; ++r, out += columns) {
    if (bias && residual) {
      for (int j = 0; j < columns; ++j) out[j] = activate<A>(out[j] + bias[j] + residual[j]);
    } else if (bias) {
      for (int j = 0; j < columns; ++j) out[j] = activate<A>(out[j] + bias[j]);
    } else if (residual) {
      for (int j = 0; j < columns; ++j) out[j] = activate<A>(out[j] + residual[j]);
    } else {
      for (int j = 0; j < columns; ++j) out[j] = activate<A>(out[j]);
    }
    if (residual) residual += columns;
  }
}

HOURGLASS_SIMD void finish(const Conv2dEpilogue<float>& e, int64_t rows, int columns, const float* bias,
                           const float* residual, float* out) {
  with_activation(e.activation, [&](auto a) HOURGLASS_INLINE_LAMBDA {
    if constexpr (a != Activation::kGelu) finish_rows<a>(rows, columns, bias, residual, out);
  });
}

bool is_plain(const Conv2dEpilogue<float>& e) { return !e.bias && !e.residual && e.activation == Activation::kNone; }

/// The epilogue of a block. Few channels are taken several pixels at a time, with the bias repeated.
void finish_block(const Correlation& c, const ConvBlock& b, const Conv2dEpilogue<float>& e, float* out) {
  constexpr int kRepeated = 64;
  if (is_plain(e) || c.out == 0) return;
  const int row = b.row * c.h.out_step, rows = std::min(b.rows * c.h.out_step, c.h.out - row);
  const int column = b.column * c.w.out_step, columns = std::min(b.columns * c.w.out_step, c.w.out - column);
  const int together = std::clamp(kRepeated / c.out, 1, columns), rest = columns % together;
  float repeated[kRepeated];
  const float* bias = e.bias;
  if (bias && together > 1) {
    for (int i = 0; i < together * c.out; ++i) repeated[i] = bias[i % c.out];
    bias = repeated;
  }
  for (int n = 0; n < b.images; ++n) {
    for (int i = 0; i < rows; ++i) {
      const int64_t at = (((int64_t{b.n} + n) * c.h.out + row + i) * c.w.out + column) * c.out;
      const int64_t tail = at + int64_t{columns - rest} * c.out;
      const float* residual = e.residual ? e.residual + at : nullptr;
      finish(e, columns / together, together * c.out, bias, residual, out + at);
      if (rest) finish(e, 1, rest * c.out, bias, e.residual ? e.residual + tail : nullptr, out + tail);
    }
  }
}

/// One phase of a block, for the `count` channels from `first` that the patch holds: out (+)= the sum over taps.
void correlate_phase(const Correlation& c, const ConvBlock& b, int phase_h, int phase_w, int first, int count,
                     ConvPatch& patch, bool add, float* out) {
  const ConvTaps rows = c.h.taps(phase_h), columns = c.w.taps(phase_w);
  patch.place(c, b, phase_h, phase_w, rows, columns, count);
  if (patch.depth == 0) {
    for (int i = 0; i < patch.pixels && !add; ++i) std::fill_n(out + patch.out_at[i], c.out, 0.0f);
    return;
  }
  if (is_narrow(c)) {
    pack_narrow_weight(c, rows, columns, first, count, patch.panel);
    level().dot({patch.pixels, patch.depth, c.out, patch.source, patch.pixel_at, patch.tap_at, patch.panel, out,
                 patch.out_at, add});
    return;
  }
  const Bands bands(c.out);
  for (int band = 0; band < bands.count; ++band) {
    pack_weight(c, rows, columns, first, count, bands.first(band), bands.width(band), patch.panel);
    level().multiply({patch.pixels, patch.depth, bands.width(band), patch.source, patch.pixel_at, patch.tap_at,
                      patch.panel, out + bands.first(band), patch.out_at, add});
  }
}

void correlate(const Context& ctx, const Correlation& c, const Conv2dEpilogue<float>& epilogue, Grad<float> out) {
  parallel_for(ctx, c.blocks(), [&](int64_t i) {
    ConvPatch patch;
    const ConvBlock block = c.block(static_cast<int>(i));
    for (int first = 0; first < std::max(1, c.in); first += c.channels) {  // once where there is no channel: zeros
      const int count = std::min(c.channels, c.in - first);
      const bool add = out.mode == Write::kAdd || first > 0;
      patch.gather(c, block, first, count);
      for (int phase_h = 0; phase_h < c.h.out_step; ++phase_h) {
        for (int phase_w = 0; phase_w < c.w.out_step; ++phase_w) {
          correlate_phase(c, block, phase_h, phase_w, first, count, patch, add, out.data);
        }
      }
    }
    finish_block(c, block, epilogue, out.data);
  });
}

/// Adding a finished value to what is there needs both at once: left to the reference, as windows of more than
/// kConvTaps taps are. No op of the engine asks for either.
bool is_timed(const Correlation& c, const Conv2dEpilogue<float>& e, Write mode) {
  return c.fits() && (mode == Write::kSet || is_plain(e));
}

// ---------------------------------------------------------------- gradient of the weight

constexpr int kMostParts = 16;
constexpr int64_t kMostPartial = int64_t{1} << 22;  // floats of all parts together, unless one alone is larger

int64_t weight_size(const Conv2dShape& s) { return int64_t{s.K} * s.R * s.S * s.C; }

/// How many partial sums; each is of (tap, channel) rows by K columns.
int parts_of(const Conv2dShape& s, const Correlation& c) {
  if (!c.fits() || weight_size(s) == 0) return 0;
  const int64_t room = std::max<int64_t>(1, kMostPartial / weight_size(s));
  return static_cast<int>(std::min<int64_t>({room, kMostParts, c.blocks()}));
}

/// panel[position][j] = dy of `width` channels from `first`, for positions begin .. end: dy itself where it lies so.
const float* pack_gradient(ConvPatch& patch, const float* dy, int begin, int end, int first, int width, int channels) {
  const int stride = padded(width);
  const bool together = patch.out_at[end - 1] - patch.out_at[begin] == int64_t{end - 1 - begin} * channels;
  if (together && stride == channels) return dy + patch.out_at[begin];
  float* panel = patch.panel;
  for (int i = begin; i < end; ++i, panel += stride) {
    std::copy_n(dy + patch.out_at[i] + first, width, panel);
    std::fill_n(panel + width, stride - width, 0.0f);
  }
  return patch.panel;
}

/// partial (+)= the gradient of `count` channels from `first` over one block.
void add_block(const Correlation& c, const ConvBlock& b, const ConvTaps& rows, const ConvTaps& columns, int first,
               int count, const float* dy, ConvPatch& patch, bool add, float* partial) {
  patch.gather(c, b, first, count);
  patch.place(c, b, 0, 0, rows, columns, count);
  int64_t row_at[kConvDepth];
  for (int i = 0; i < patch.depth; ++i) row_at[i] = (int64_t{i / count} * c.in + first + i % count) * c.out;
  const Bands bands(c.out);
  for (int begin = 0; begin < patch.pixels; begin += kConvDepth, add = true) {
    const int end = std::min(patch.pixels, begin + kConvDepth);
    const int32_t* pixel_at = patch.pixel_at + begin;
    if (is_narrow(c)) {
      for (int i = begin; i < end; ++i) std::copy_n(dy + patch.out_at[i], c.out, patch.panel + (i - begin) * c.out);
      level().outer(
          {patch.depth, end - begin, c.out, patch.source, patch.tap_at, pixel_at, patch.panel, partial, row_at, add});
      continue;
    }
    for (int band = 0; band < bands.count; ++band) {
      const int first_column = bands.first(band), width = bands.width(band);
      const float* panel = pack_gradient(patch, dy, begin, end, first_column, width, c.out);
      level().multiply({patch.depth, end - begin, width, patch.source, patch.tap_at, pixel_at, panel,
                        partial + first_column, row_at, add});
    }
  }
}

/// dw[k][i] (=, +=) sum over parts of partial[part][i][k], i = (tap, channel).
void sum_parts(const Context& ctx, const Conv2dShape& s, int parts, const float* partial, Grad<float> dw) {
  constexpr int kRows = 16, kColumns = 64;
  const int64_t size = weight_size(s), depth = size / s.K;
  const int across = divide_up(s.K, kColumns);
  parallel_for(ctx, int64_t{divide_up(depth, kRows)} * across, [&](int64_t tile) {
    const int first = static_cast<int>(tile % across) * kColumns, columns = std::min(kColumns, s.K - first);
    const int64_t begin = tile / across * kRows, end = std::min(depth, begin + kRows);
    float sums[kRows][kColumns];
    for (int64_t i = begin; i < end; ++i) {
      float* row = sums[i - begin];
      std::fill_n(row, kColumns, 0.0f);
      for (int part = 0; part < parts; ++part) {
        const float* from = partial + part * size + i * s.K + first;
        for (int j = 0; j < columns; ++j) row[j] += from[j];
      }
    }
    for (int j = 0; j < columns; ++j) {
      for (int64_t i = begin; i < end; ++i) write(dw.data[(first + j) * depth + i], sums[i - begin][j], dw.mode);
    }
  });
}

}  // namespace

void conv2d_forward(const Context& ctx, const Conv2dShape& s, const float* x, const float* w,
                    const Conv2dEpilogue<float>& epilogue, Grad<float> y) {
  check_conv2d("conv2d_forward", s, epilogue.activation);
  if (!y) return;
  const Correlation c = Correlation::forward(s, x, w);
  if (!is_timed(c, epilogue, y.mode)) return conv2d_forward<float>(ctx, s, x, w, epilogue, y);
  correlate(ctx, c, epilogue, y);
}

void conv2d_backward_input(const Context& ctx, const Conv2dShape& s, const float* y, const float* w,
                           const Conv2dEpilogue<float>& epilogue, Grad<float> x) {
  check_conv2d("conv2d_backward_input", s, epilogue.activation);
  if (!x) return;
  const Correlation c = Correlation::backward_input(s, y, w);
  if (!is_timed(c, epilogue, x.mode)) return conv2d_backward_input<float>(ctx, s, y, w, epilogue, x);
  correlate(ctx, c, epilogue, x);
}

template <>
size_t conv2d_backward_weight_scratch_bytes<float>(const Conv2dShape& s) {
  const Correlation c = Correlation::forward(s, nullptr, nullptr);
  return static_cast<size_t>(parts_of(s, c)) * static_cast<size_t>(weight_size(s)) * sizeof(float);
}

void conv2d_backward_weight(const Context& ctx, const Conv2dShape& s, const float* x, const float* dy, void* scratch,
                            Grad<float> dw) {
  check_conv2d("conv2d_backward_weight", s);
  if (!dw) return;
  const Correlation c = Correlation::forward(s, x, nullptr);
  if (!c.fits()) return conv2d_backward_weight<float>(ctx, s, x, dy, scratch, dw);
  if (weight_size(s) == 0) return;
  float* partial = static_cast<float*>(scratch);
  const int parts = parts_of(s, c), blocks = c.blocks(), groups = divide_up(s.C, c.channels);
  parallel_for(ctx, int64_t{parts} * groups, [&](int64_t task) {
    ConvPatch patch;
    const ConvTaps rows = c.h.taps(0), columns = c.w.taps(0);
    const int64_t part = task / groups;
    const int first = static_cast<int>(task % groups) * c.channels, count = std::min(c.channels, s.C - first);
    const int begin = static_cast<int>(part * blocks / parts), end = static_cast<int>((part + 1) * blocks / parts);
    for (int i = begin; i < end; ++i) {
      add_block(c, c.block(i), rows, columns, first, count, dy, patch, i > begin, partial + part * weight_size(s));
    }
  });
  sum_parts(ctx, s, parts, partial, dw);
}

}  // namespace hourglass::cpu
