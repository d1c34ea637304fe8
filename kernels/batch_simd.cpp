// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "kernels/base/batch_order.h"
#include "kernels/base/lanes.h"
#include "kernels/base/philox.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::cpu {
namespace {

constexpr int kTileRows = 16;

HOURGLASS_SIMD void scale_row(int D, const uint8_t* __restrict from, float* __restrict to) {
  for (int d = 0; d < D; ++d) to[d] = static_cast<float>(from[d]) / 255.0f;
}
void scale_row(int D, const float* from, float* to) { std::copy_n(from, D, to); }

/// Sixteen Philox blocks side by side give the words of 64 pixels, word k of block j for pixel 4 j + k.
HOURGLASS_SIMD void binarize_row(int D, uint32_t seed, uint32_t stream, uint32_t row, uint32_t step,
                                 float* __restrict x) {
  for (int d = 0; d < D; d += 4 * kLanes) {
    uint32_t words[4][kLanes];
    for (int j = 0; j < kLanes; ++j) {
      const PhiloxWords block = philox(seed, stream, static_cast<uint32_t>(d / 4 + j), 0, row, step);
      for (int k = 0; k < 4; ++k) words[k][j] = block.w[k];
    }
    const int count = std::min(4 * kLanes, D - d);
    for (int i = 0; i < count; ++i) x[d + i] = uniform_of_word<float>(words[i % 4][i / 4]) < x[d + i] ? 1.0f : 0.0f;
  }
}

template <class S>
void gather(const Context& ctx, BatchShape s, const S* data, BatchOrder order, Binarize binarize, float* x,
            int32_t* indices) {
  check_batch(s, order);
  const Noise noise = binarize_noise(s, order, binarize);
  parallel_for(ctx, (int64_t{s.N} + kTileRows - 1) / kTileRows, [&](int64_t tile) {
    for (int64_t r = tile * kTileRows; r < std::min<int64_t>(s.N, (tile + 1) * kTileRows); ++r) {
      const int32_t index = batch_index(s, order, r);
      float* to = x + r * s.D;
      indices[r] = index;
      if (index < 0) {
        std::fill_n(to, s.D, 0.0f);
        continue;
      }
      scale_row(s.D, data + int64_t{index} * s.D, to);
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
