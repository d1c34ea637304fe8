// SPDX-License-Identifier: Apache-2.0
// Elementwise kernels on flat arrays of any size and alignment, written once: a thread works on quads, four
// neighbouring elements, by one vector access where the arrays are aligned and the quad is whole, and element by
// element elsewhere. Threads of a warp work on neighbouring quads, so that a warp's access is 512 contiguous bytes in
// float.
//
//   const bool aligned = gpu::can_load4(0, x, y);                                      // host
//   gpu::launch(kernel, gpu::flat_blocks(n), gpu::kFlatThreads, 0, gpu::stream(ctx), n, aligned, x, y);
//
//   gpu::for_each_flat_quad(n, aligned, [&](int64_t i, int count, auto whole) {        // device
//     constexpr bool kVector = decltype(whole)::value;
//     gpu::Vec4 v = gpu::load_quad<kVector>(x + i, count);
//     ...
//     gpu::write_quad<kVector>(y + i, v, count, Write::kSet);
//   });
//
// A thread reads its quad before it writes it: an output may be an input.
#pragma once

#include <algorithm>

#include "kernels/base/row_tasks.cuh"

namespace hourglass::gpu {

inline constexpr int kFlatThreads = 256;

/// One quad a thread, up to four times what the 132 multiprocessors of an H100 hold at once; beyond that threads loop.
/// At least one block.
inline unsigned flat_blocks(int64_t n) {
  constexpr int64_t kTile = 4 * kFlatThreads, kMostBlocks = 4 * 132 * 8;
  return static_cast<unsigned>(std::clamp<int64_t>((n + kTile - 1) / kTile, 1, kMostBlocks));
}

/// As for_each_flat_quad for what block `block` of a grid of `blocks` does, in whatever grid.
template <class Body>
__device__ __forceinline__ void for_each_flat_quad_of(unsigned block, unsigned blocks, int64_t n, bool aligned,
                                                      Body body) {
  const int64_t stride = 4 * int64_t{blocks} * blockDim.x;
  for (int64_t i = 4 * (int64_t{block} * blockDim.x + threadIdx.x); i < n; i += stride) {
    if (aligned && n - i >= 4) {
      body(i, 4, std::true_type{});
    } else {
      body(i, static_cast<int>(n - i < 4 ? n - i : 4), std::false_type{});
    }
  }
}

/// Calls body(first element, elements, std::bool_constant) for each quad of [0, n): true where it is whole and aligned.
/// The constant makes two bodies, so that all loads of a quad are on their way before the first is waited for.
template <class Body>
__device__ __forceinline__ void for_each_flat_quad(int64_t n, bool aligned, Body body) {
  for_each_flat_quad_of(blockIdx.x, gridDim.x, n, aligned, body);
}

}  // namespace hourglass::gpu
