// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "kernels/base/batch_order.h"
#include "kernels/base/lanes.h"
#include "kernels/base/philox.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::cpu {
namespace {

constexpr int kTileRows = 16;

/// value / 255 for each of the 256 bytes, correctly rounded, without a division: 1 / 255 in two parts, of which the
/// first times a byte is exact.
HOURGLASS_SIMD void scale_row(int D, const uint8_t* __restrict from, float* __restrict to) {
  for (int d = 0; d < D; ++d) {
    const float value = static_cast<float>(from[d]);
    to[d] = value * 0x1.01p-8f + value * 0x1.010102p-24f;
  }
}
void scale_row(int D, const float* from, float* to) { std::copy_n(from, D, to); }

/// Sixteen Philox blocks side by side give the words of 64 pixels, word k of block j for pixel 4 j + k.
HOURGLASS_SIMD void pixel_words(uint32_t seed, uint32_t stream, uint32_t first_block, uint32_t row, uint32_t step,
                                uint32_t* __restrict words) {
  uint32_t w[4][kLanes];
  for (int j = 0; j < kLanes; ++j) {
    const PhiloxWords block = philox(seed, stream, first_block + static_cast<uint32_t>(j), 0, row, step);
    w[0][j] = block.w[0];
    w[1][j] = block.w[1];
    w[2][j] = block.w[2];
    w[3][j] = block.w[3];
  }
  for (int j = 0; j < kLanes; ++j) {
    words[4 * j] = w[0][j];
    words[4 * j + 1] = w[1][j];
    words[4 * j + 2] = w[2][j];
    words[4 * j + 3] = w[3][j];
  }
}

HOURGLASS_SIMD void draw_pixels(int count, const uint32_t* __restrict words, float* __restrict x) {
  for (int i = 0; i < count; ++i) x[i] = uniform_of_word<float>(words[i]) < x[i] ? 1.0f : 0.0f;
}

void binarize_row(int D, uint32_t seed, uint32_t stream, uint32_t row, uint32_t step, float* x) {
  for (int d = 0; d < D; d += 4 * kLanes) {
    uint32_t words[4 * kLanes];
    pixel_words(seed, stream, static_cast<uint32_t>(d / 4), row, step, words);
    draw_pixels(std::min(4 * kLanes, D - d), words, x + d);
  }
}

/// The rows lie anywhere in a store larger than the caches: their misses overlap when they are asked for together.
template <class S>
void prefetch(const S* row, int D) {
  constexpr int kLine = 64 / sizeof(S), kMost = 64 * kLine;
  for (int d = 0; d < std::min(D, kMost); d += kLine) __builtin_prefetch(row + d);
}

template <class S>
void gather(const Context& ctx, BatchShape s, const S* data, BatchOrder order, Binarize binarize, float* x,
            int32_t* indices) {
  check_batch(s, order);
  const Noise noise = binarize_noise(s, order, binarize);
  parallel_for(ctx, (int64_t{s.N} + kTileRows - 1) / kTileRows, [&](int64_t tile) {
    const int64_t begin = tile * kTileRows, end = std::min<int64_t>(s.N, begin + kTileRows);
    for (int64_t r = begin; r < end; ++r) {
      indices[r] = batch_index(s, order, r);
      if (indices[r] >= 0) prefetch(sample_row(s, data, order, indices[r], r), s.D);
    }
    for (int64_t r = begin; r < end; ++r) {
      const int32_t index = indices[r];
      float* to = x + r * s.D;
      if (index < 0) {
        std::fill_n(to, s.D, 0.0f);
        continue;
      }
      scale_row(s.D, sample_row(s, data, order, index, r), to);
      if (binarize.mode == Binarization::kNone) continue;
      const uint32_t row = noise.step ? noise.row_of(r) : static_cast<uint32_t>(index);
      binarize_row(s.D, noise.seed, noise.stream, row, noise.step_of(), to);
    }
  });
}

}  // namespace

void gather_batch(const Context& ctx, BatchShape s, const uint8_t* data, BatchOrder order, Binarize binarize, float* x,
                  int32_t* indices) {
  gather(ctx, s, data, order, binarize, x, indices);
}

void gather_batch(const Context& ctx, BatchShape s, const float* data, BatchOrder order, Binarize binarize, float* x,
                  int32_t* indices) {
  gather(ctx, s, data, order, binarize, x, indices);
}

}  // namespace hourglass::cpu
