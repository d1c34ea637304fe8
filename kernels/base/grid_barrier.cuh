// SPDX-License-Identifier: Apache-2.0
// A barrier for all blocks of a cooperative launch (gpu::launch_cooperative), which hold the device together.
//
//   __global__ void two_stages_kernel(..., unsigned* barrier) {
//     for (unsigned i = blockIdx.x; i < items; i += gridDim.x) ...   // writes
//     gpu::grid_barrier(barrier);                                    // every thread of every block calls it
//     ...                                                            // reads what any block wrote before
//   }
//
// One word of device memory, zero before its first use and again after each barrier but for its top bit. Each block
// adds 1, block 0 adds what then flips the top bit when all have come; whoever sees the bit change goes on. So the last
// arrival is also the release: a waiter learns of it after one trip to the second-level cache, and no block has to
// reset a counter. The grid is one-dimensional.
//
// Thread 0 arrives and waits for its block. Its fence, behind the block's barrier, publishes what all threads of the
// block have written; the acquire and the second fence drop what the first-level cache holds of older contents.
#pragma once

#include "kernels/base/gpu.cuh"

namespace hourglass::gpu {

/// Bytes from one barrier word to the next, so that waiting on one does not slow another.
inline constexpr size_t kBarrierBytes = 128;

__device__ __forceinline__ void grid_barrier(unsigned* word) {
  constexpr unsigned kTop = 0x80000000u;
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    const unsigned before = atomicAdd(word, blockIdx.x == 0 ? kTop - (gridDim.x - 1) : 1u);
    while (((load_acquire(word) ^ before) & kTop) == 0) __nanosleep(20);
    __threadfence();
  }
  __syncthreads();
}

}  // namespace hourglass::gpu
