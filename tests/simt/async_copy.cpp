// SPDX-License-Identifier: Apache-2.0
// Copies that a thread starts and later waits for (cp.async), and what kernels call of hopper.h.
#include <cstring>

#include "tests/simt/hopper.h"
#include "tests/simt/report.h"
#include "tests/simt/scheduler.h"
#include "tests/simt/tensor_core.h"

namespace simt {

void Scheduler::start_copy(const AsyncCopy& copy) {
  const uintptr_t addresses =
      reinterpret_cast<uintptr_t>(copy.to) | (copy.copied ? reinterpret_cast<uintptr_t>(copy.from) : 0);
  if (addresses % copy.bytes != 0) {
    message_ = "an asynchronous copy of " + std::to_string(copy.bytes) + " bytes between unaligned addresses";
    fault("misaligned");
  }
  if (copy.copied) checked_access(copy.from, copy.copied, AccessKind::kRead, copy.pc);
  checker_.copy_started(*running_, copy.to, copy.bytes, copy.pc);
  std::memset(copy.to, config_.poison, copy.bytes);
  running_->copies.push_back(copy);
  running_->copies.back().group = running_->copy_group;
}

void Scheduler::wait_for_copies(unsigned groups) {
  Thread& self = *running_;
  size_t arrived = 0;
  for (; arrived < self.copies.size() && self.copies[arrived].group + groups < self.copy_group; ++arrived) {
    const AsyncCopy& copy = self.copies[arrived];
    checker_.copy_arrived(self, copy.to, copy.bytes, copy.pc);
    if (copy.copied) std::memcpy(copy.to, copy.from, copy.copied);
    std::memset(static_cast<char*>(copy.to) + copy.copied, 0, copy.bytes - copy.copied);
  }
  self.copies.erase(self.copies.begin(), self.copies.begin() + static_cast<std::ptrdiff_t>(arrived));
}

/// A thread's copies end with it, wherever they stand.
void Scheduler::drop_copies(Thread& thread) {
  if (!thread.copies.empty()) report("async-copy", "a thread exited with copies it never waited for" + position());
  thread.copies.clear();
}

// ---------------------------------------------------------------- what kernels call

namespace {

Scheduler& running() { return *Scheduler::running(); }

}  // namespace

void Scheduler::bulk_started(void* to, uint32_t bytes, const void* pc) {
  checker_.bulk_started(to, bytes, pc);
  std::memset(to, config_.poison, bytes);
}

uint32_t shared_address(const void* shared) {
  constexpr uint32_t kFirst = 1024 + 128;  // the system's part, and what may lie before
  return static_cast<uint32_t>(static_cast<const char*>(shared) - static_cast<char*>(running().dynamic_shared())) +
         kFirst;
}
void init_barrier(void* barrier, uint32_t count) { running().bulk().init(barrier, count); }
void publish_barriers() { running().bulk().publish(); }
void arrive(void* barrier) { running().bulk().arrive(barrier, 0); }
void arrive_expecting(void* barrier, uint32_t bytes) { running().bulk().arrive(barrier, bytes); }
bool phase_is_over(void* barrier, uint32_t parity) { return running().bulk().phase_is_over(barrier, parity); }
void start_box_copy(void* to, const void* map, void* barrier, const int* corner, int rank) {
  running().bulk().start(to, map, barrier, corner, rank, __builtin_return_address(0));
}
void warpgroup(Operation operation, WarpgroupCall call, Site site) {
  call.warp = running().running_rank() / kWarpLanes;
  call.pc = __builtin_return_address(0);
  Collective lane{operation, ~0u, &call, sizeof call, 0, 32, site};
  warp_collective(lane);
}

}  // namespace simt
