// SPDX-License-Identifier: Apache-2.0
// Reductions over a whole grid in one launch, with the same bits on every run: each block writes its partial result to
// the workspace (context.h), and the block that finishes last combines the partials in the order of the blocks. No
// floating-point atomics, no second launch.
//
//   __global__ void sum_ticket_kernel(int64_t n, const float* x, float* partials, unsigned* ticket, float* sum) {
//     float mine = ...;                                                  // of this thread
//     mine = gpu::block_sum<float, kThreads>(mine);
//     if (threadIdx.x == 0) partials[blockIdx.x] = mine;
//     if (!gpu::is_last_block(ticket)) return;                           // a whole block returns: no barrier follows
//     const float total = gpu::sum_of_partials<kThreads>(partials, gridDim.x);                        // grid_sum.cuh
//     if (threadIdx.x == 0) *sum = total;
//   }
//   gpu::launch(..., gpu::partials<float>(ctx), gpu::tickets(ctx), ...);  // grid <= gpu::kMostPartials<float>
#pragma once

#include "kernels/base/gpu.cuh"

namespace hourglass::gpu {

/// The tickets at the head of the workspace, all 0 between kernels. Kernels take turns on the stream: one serves most.
inline constexpr int kTickets = 64;
inline constexpr int64_t kTicketBytes = kTickets * int64_t{sizeof(unsigned)};
static_assert(kTicketBytes == 256);

inline unsigned* tickets(const Context& ctx) {
  if (!ctx.workspace) throw Error(Exit::kInternal, "cuda: the context of this kernel has no workspace");
  return static_cast<unsigned*>(ctx.workspace);
}

/// The rest of the workspace. What it holds before a kernel is left over from another.
template <class T>
T* partials(const Context& ctx) {
  return reinterpret_cast<T*>(reinterpret_cast<unsigned char*>(tickets(ctx)) + kTicketBytes);
}
template <class T>
inline constexpr int64_t kMostPartials = (kWorkspaceBytes - kTicketBytes) / static_cast<int64_t>(sizeof(T));

/// True in every thread of the block that is the last of `blocks` to call it with this ticket, after which that block
/// sees all that the others wrote before their calls (read it past the first-level cache: __ldcg). Leaves the ticket at
/// 0 for the next kernel. All threads of every block must call it; it holds two barriers.
__device__ __forceinline__ bool is_last_block(unsigned* ticket, unsigned blocks) {
  __shared__ bool last;
  __threadfence();  // this thread's writes, before the ticket
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(ticket, 1u) == blocks - 1;
    if (last) *ticket = 0;
  }
  __syncthreads();
  if (last) __threadfence();
  return last;
}
/// The last of all blocks of a one-dimensional grid.
__device__ __forceinline__ bool is_last_block(unsigned* ticket) { return is_last_block(ticket, gridDim.x); }

}  // namespace hourglass::gpu
