// SPDX-License-Identifier: Apache-2.0
// What running kernels ask of the scheduler. The intrinsics of collectives.h are thin wrappers around it; the call site
// travels along, because threads of a block must meet at the same one.
#pragma once

#include <cstdint>
#include <source_location>

namespace simt {

using Site = std::source_location;

enum class Vote : uint8_t { kNone, kCount, kAnd, kOr };

/// __syncthreads and its voting forms: waits for every thread of the block; returns the vote.
int block_barrier(Vote vote, int predicate, Site site);

enum class Operation : uint8_t {
  kSync,
  kShuffleIndex,
  kShuffleUp,
  kShuffleDown,
  kShuffleXor,
  kBallot,
  kAny,
  kAll,
  kMatchAny,
  kAddUnsigned,
  kMinUnsigned,
  kMaxUnsigned,
  kAddSigned,
  kMinSigned,
  kMaxSigned,
  kAnd,
  kOr,
  kXor,
  kMultiplyBf16,
  kMultiplyTf32,
  kLoadMatrices,
  kLoadMatricesTransposed,
  kFenceProducts,
  kWarpgroupProduct,
  kCommitProducts,
  kWaitForProducts,
};

/// One lane's part in a warp collective. It lives on the lane's own stack while the lane waits; the last member to
/// arrive computes the results of all.
struct Collective {
  Operation operation;
  uint32_t mask;   ///< lanes that take part
  void* value;     ///< in: this lane's value; out: its result
  uint32_t bytes;  ///< of the value; of a shuffle at most 16
  int argument;    ///< source lane, distance, or lane mask of a shuffle
  int width;       ///< of a shuffle's segments
  Site site;
};
void warp_collective(Collective& lane);

/// Lets the other threads of the block go on (__nanosleep in a spin loop).
void yield_thread();
/// Reports a fault and ends the launch.
[[noreturn]] void trap(const char* reason, Site site);

/// __threadfence.
void thread_fence();

#if defined(HOURGLASS_SIMT_CHECK)
/// Accesses that the compiler does not show to the access checker.
void read_row(const void* row);
void read_for_atomic(void* value, const void* address, uint32_t bytes);
void write_for_atomic(void* address, const void* value, uint32_t bytes);
#endif

/// Dynamic shared memory of the running block.
void* dynamic_shared();

}  // namespace simt
