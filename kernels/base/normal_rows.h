// SPDX-License-Identifier: Apache-2.0
// Standard normal noise for a rectangle of a (rows, columns) tensor, made for wide vectors: the timed float form of
// normal() in philox.h, with the same integers.
//
// A Philox block yields four neighbouring columns, so the unit of work is a block, and vector lanes hold blocks: those
// of one row, and of the rows after it where rows are short. 20 columns are 5 blocks; three rows fill 15 of 16 lanes.
#pragma once

#include <cstdint>

#include "kernels/base/noise.h"
#include "kernels/base/philox.h"
#include "kernels/base/simd.h"

namespace hourglass {

/// Most blocks of one call. 2048 normals and what is made of them stay in the first-level cache.
inline constexpr int kMostNormalBlocks = 512;
inline constexpr int kMostNormals = 4 * kMostNormalBlocks;

/// The four normals of one block. Ten rounds of philox(), one 64-bit lane a word: the whole product is there to split,
/// and the upper half of a word may hold rubbish until it is multiplied next. With AVX-512 twice as quick as 32-bit
/// lanes, which the compiler has to widen and narrow in every round.
HOURGLASS_INLINE void normal_block(uint32_t key0, uint32_t key1, uint32_t block, uint32_t draw, uint32_t row,
                                   uint32_t step, float* __restrict out) {
  const uint64_t low = 0xFFFFFFFFu;
  uint64_t c0 = block, c1 = draw, c2 = row, c3 = step;
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const uint64_t product0 = (c0 & low) * kPhiloxMultiplier0, product1 = (c2 & low) * kPhiloxMultiplier1;
    c0 = (product1 >> 32) ^ c1 ^ key0;
    c2 = (product0 >> 32) ^ c3 ^ key1;
    c1 = product1;
    c3 = product0;
    key0 += kPhiloxKeyStep0;
    key1 += kPhiloxKeyStep1;
  }
  float normals[4];
  normal2(static_cast<uint32_t>(c0), static_cast<uint32_t>(c1), normals, normals + 1);
  normal2(static_cast<uint32_t>(c2), static_cast<uint32_t>(c3), normals + 2, normals + 3);
  for (int j = 0; j < 4; ++j) out[j] = normals[j];
}

/// Blocks first_block .. first_block + blocks - 1 of rows first_row .. first_row + rows - 1, at most kMostNormalBlocks
/// in all. eps (rows, 4 * blocks) contiguous, in a buffer of kMostNormals floats: the last vector is written whole.
HOURGLASS_INLINE void normal_rows(const Noise& noise, int64_t first_row, int rows, int64_t first_block, int blocks,
                                  float* __restrict eps) {
  const uint32_t first = static_cast<uint32_t>(first_block), step = noise.step_of();
  const uint32_t key0 = noise.seed, key1 = noise.stream;
  if (blocks % 16 == 0 || rows == 1) {
    for (int r = 0; r < rows; ++r) {
      const uint32_t draw = noise.draw_of(first_row + r), row = noise.row_of(first_row + r);
      float* __restrict out = eps + 4 * r * blocks;
      const int whole = (blocks + 15) & ~15;
      for (int i = 0; i < whole; ++i) {
        normal_block(key0, key1, first + static_cast<uint32_t>(i), draw, row, step, out + 4 * i);
      }
    }
    return;
  }
  uint32_t draw_of[kMostNormalBlocks + 1], row_of[kMostNormalBlocks + 1];
  for (int r = 0; r <= rows; ++r) {  // one more: the last vector may reach past the last row
    draw_of[r] = noise.draw_of(first_row + (r < rows ? r : 0));
    row_of[r] = noise.row_of(first_row + (r < rows ? r : 0));
  }
  const float rows_a_block = 1.0f / static_cast<float>(blocks);
  const int whole = (rows * blocks + 15) & ~15;
  for (int i = 0; i < whole; ++i) {
    int r = static_cast<int>((static_cast<float>(i) + 0.5f) * rows_a_block);
    r = r < rows ? r : rows;
    normal_block(key0, key1, first + static_cast<uint32_t>(i - r * blocks), draw_of[r], row_of[r], step, eps + 4 * i);
  }
}

}  // namespace hourglass
