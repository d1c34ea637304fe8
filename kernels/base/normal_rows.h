// SPDX-License-Identifier: Apache-2.0
// Standard normal noise for a rectangle of a (rows, columns) tensor, made for wide vectors: the timed float form of
// normal() in philox.h, with the same integers. The values agree with it to a few 1e-7.
//
// A Philox block yields four neighbouring columns, so the unit of work is a block, and vector lanes hold blocks: those
// of one row, and of the rows after it where rows are short. 20 columns are 5 blocks; three rows fill 15 of 16 lanes.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/base/noise.h"

namespace hourglass {

/// Most blocks of one call. 512 normals and what is made of them stay in the first-level cache, and the pauses in which
/// a caller reads no memory are short: with 2048 the hardware's prefetch fell behind (a quarter of the time at 1e7).
inline constexpr int kMostNormalBlocks = 128;
inline constexpr int kMostNormals = 4 * kMostNormalBlocks;

/// Blocks first_block .. first_block + blocks - 1 of rows first_row .. first_row + rows - 1, at most kMostNormalBlocks
/// in all. eps (rows, 4 * blocks) contiguous, in a buffer of kMostNormals floats: the last vector is written whole.
void normal_rows(const Noise& noise, int64_t first_row, int rows, int64_t first_block, int blocks, float* eps);

/// The instruction-set levels that normal_rows is compiled for and this machine has, best first.
struct NormalLevel {
  const char* name;
  void (*normal_rows)(const Noise&, int64_t first_row, int rows, int64_t first_block, int blocks, float* eps);
};
const std::vector<NormalLevel>& normal_levels();

}  // namespace hourglass
