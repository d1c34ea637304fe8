// SPDX-License-Identifier: Apache-2.0
// What kernels/base/hopper.cuh asks of the emulator: barriers that count arrivals and bytes (mbarrier), bulk copies of
// boxes of a tensor, and products of a warpgroup. Everything that the hardware does behind the threads' backs happens
// as late as it may: a copy arrives when somebody waits for its barrier, and a product reads its operands and writes
// its sums when its warp waits for it. Until then what they will write is poisoned.
#pragma once

#include <cstdint>

#include "tests/simt/device.h"

namespace simt {

/// Address in the window of shared memory: of dynamic shared memory alone. It begins there at a multiple of 128, as on
/// a device, and of no more: who needs more must see to it.
uint32_t shared_address(const void* shared);

void init_barrier(void* barrier, uint32_t count);
/// The barriers that this thread has made may be used by others, and by copies.
void publish_barriers();
void arrive(void* barrier);
/// Arrives, and lets the phase wait for so many bytes more.
void arrive_expecting(void* barrier, uint32_t bytes);
/// Whether the phase of that parity is over. If not, the other threads go on before it returns.
bool phase_is_over(void* barrier, uint32_t parity);
/// Puts off the copy of the box at `corner` (innermost first) of the tensor to shared memory.
void start_box_copy(void* to, const void* map, void* barrier, const int* corner, int rank);

/// One lane's part of a warpgroup's instruction.
struct WarpgroupCall {
  float* sums = nullptr;  ///< columns / 2 of them
  int columns = 0;
  uint64_t a = 0, b = 0;  ///< matrix descriptors
  unsigned groups = 0;    ///< that may go on
  unsigned warp = 0;      ///< of the block
  const void* pc = nullptr;
};
void warpgroup(Operation operation, WarpgroupCall call, Site site);

}  // namespace simt
