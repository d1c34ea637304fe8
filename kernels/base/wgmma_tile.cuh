// SPDX-License-Identifier: Apache-2.0
// One tile of a matrix product by a warpgroup's instructions, D (128, kColumns) = A B^T of bf16 with float sums, by one
// block: the form of mma_tile.cuh for sm_90a.
//
//   global -- copy engine --> kStages shared buffers -- wgmma --> sums in registers -- shared memory --> stores
//
// Two warpgroups multiply, 64 rows each; lane 0 of one more warp keeps the buffers full. A stage is 64 terms, 128 bytes
// of each row, swizzled. `full` says that a stage has arrived, `empty` that all eight warps have read it. A warp waits
// for the products of a stage only after it has started those of the next, so that the tensor cores never stand still.
// Registers are not traded between the warpgroups (setmaxnreg): with one warp that fetches, 288 threads leave 112 (two
// blocks a multiprocessor) or 224 registers, and the sums take 32, 64 or 128.
//
// At the end the sums pass through the buffers, as in mma_tile.cuh, so that epilogues are the same functions.
#pragma once

#include <algorithm>

#include "kernels/base/hopper.cuh"

namespace hourglass::gpu {

template <int kColumns_>
struct WgmmaTile {
  static constexpr int kRows = 128, kColumns = kColumns_, kDepth = 64, kRowBytes = 2 * kDepth;
  static constexpr int kStages = kColumns == 128 ? 3 : 4;
  static constexpr int kBlocks = kColumns == 256 ? 1 : 2;  ///< that share a multiprocessor
  static constexpr int kConsumerWarps = 8, kThreads = (kConsumerWarps + 1) * kWarp;
  static constexpr int kOperandA = kRows * kRowBytes, kStageBytes = kOperandA + kColumns * kRowBytes;
  static constexpr int kPitch = kColumns + 8;  ///< of the sums in shared memory
  static constexpr int kBufferBytes = std::max(kStages * kStageBytes, kRows* kPitch * 4);
  static constexpr size_t kSharedBytes = kSwizzleSlack + kBufferBytes + 2 * kStages * sizeof(Barrier);
};

namespace detail {

/// A place in the ring of stages.
template <class Tile>
struct WgmmaStage {
  int stage = 0;
  unsigned parity = 0;
  __device__ __forceinline__ void advance() {
    if (++stage == Tile::kStages) stage = 0, parity ^= 1;
  }
};

template <class Tile, class Fetch>
__device__ __forceinline__ void fetch_stages(unsigned char* shared, Barrier* full, Barrier* empty, int stages,
                                             const Fetch& fetch) {
  WgmmaStage<Tile> at;
  for (int i = 0; i < stages; ++i, at.advance()) {
    wait_barrier(empty + at.stage, at.parity ^ 1);
    arrive_expecting(full + at.stage, Tile::kStageBytes);
    unsigned char* const a = shared + at.stage * Tile::kStageBytes;
    fetch(i, a, a + Tile::kOperandA, full + at.stage);
  }
}

template <class Tile>
__device__ __forceinline__ void multiply_stages(float (&sums)[Tile::kColumns / 2], unsigned char* shared, Barrier* full,
                                                Barrier* empty, int stages, int warp) {
  WgmmaStage<Tile> at;
  int before = 0;
  for (int i = 0; i < stages; ++i, at.advance()) {
    wait_barrier(full + at.stage, at.parity);
    const unsigned char* const buffer = shared + at.stage * Tile::kStageBytes;
    const uint64_t a = matrix_descriptor(buffer + warp / 4 * 64 * Tile::kRowBytes);
    const uint64_t b = matrix_descriptor(buffer + Tile::kOperandA);
    wgmma_fence(sums);
#pragma unroll
    for (unsigned step = 0; step < Tile::kDepth / 16; ++step) wgmma_k16(sums, a + 2 * step, b + 2 * step);
    wgmma_commit();
    wgmma_wait<1>(sums);
    if (i > 0 && lane() == 0) arrive(empty + before);
    before = at.stage;
  }
  wgmma_wait<0>(sums);
}

}  // namespace detail

/// fetch(i, a, b, full) starts the copies of stage i, kStageBytes in all, by one thread; store(row, column, four sums)
/// ignores what lies outside, and gets every row and column of the tile. All threads of the block call it.
template <class Tile, class Fetch, class Store>
__device__ __forceinline__ void wgmma_tile(int stages, const Fetch& fetch, const Store& store) {
  unsigned char* const shared = swizzle_aligned_shared();
  auto* const full = reinterpret_cast<Barrier*>(shared + Tile::kBufferBytes);
  Barrier* const empty = full + Tile::kStages;
  if (threadIdx.x == 0) {
    for (int i = 0; i < Tile::kStages; ++i) {
      init_barrier(full + i, 1);
      init_barrier(empty + i, Tile::kConsumerWarps);
    }
    publish_barriers();
  }
  __syncthreads();
  const int warp = __shfl_sync(kFullMask, gpu::warp(), 0);  // so that the compiler knows that all lanes agree
  float sums[Tile::kColumns / 2] = {};
  if (warp < Tile::kConsumerWarps) {
    detail::multiply_stages<Tile>(sums, shared, full, empty, stages, warp);
  } else {
    if (lane() == 0) detail::fetch_stages<Tile>(shared, full, empty, stages, fetch);
    __syncwarp();
  }
  __syncthreads();
  float* const results = reinterpret_cast<float*>(shared);
  if (warp < Tile::kConsumerWarps) {
    float* const at = results + (16 * warp + lane() / 4) * Tile::kPitch + lane() % 4 * 2;
#pragma unroll
    for (int j = 0; j < Tile::kColumns / 8; ++j) {
      *reinterpret_cast<float2*>(at + 8 * j) = make_float2(sums[4 * j], sums[4 * j + 1]);
      *reinterpret_cast<float2*>(at + 8 * j + 8 * Tile::kPitch) = make_float2(sums[4 * j + 2], sums[4 * j + 3]);
    }
  }
  __syncthreads();
  if (warp >= Tile::kConsumerWarps) return;
  constexpr int kFours = Tile::kColumns / 4;
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < Tile::kRows * kFours; i += Tile::kConsumerWarps * kWarp) {
    store(i / kFours, i % kFours * 4, load4(results + i / kFours * Tile::kPitch + i % kFours * 4));
  }
}

}  // namespace hourglass::gpu
