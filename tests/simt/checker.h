// SPDX-License-Identifier: Apache-2.0
// The access checker (HOURGLASS_SIMT_CHECK): .cu files are compiled with -fsanitize=thread, which makes the compiler
// call __tsan_read4(address) and the like before every access, and those calls come here (tsan.cpp) instead of to
// ThreadSanitizer. So the thread, the address and the source line of every access of a kernel are known. Found:
//
//   race           two accesses of one launch by two threads, at least one a write, not both atomic, and nothing orders
//                  them, whatever order they happened to run in
//   uninitialised  bytes that nobody has written since cudaMalloc, or since the block began, or that a started copy
//                  has not brought yet
//   out-of-bounds  no live allocation or shared array is there; use-after-free; the launch ends
//   misaligned     an access that is not a multiple of its size
//   host-memory    a kernel dereferences host memory; foreign-local: a local of another thread; the launch ends
//   device-memory  host code of a .cu file dereferences device memory
//
// happens_before.h says what orders two accesses.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tests/simt/shadow.h"

#if defined(HOURGLASS_SIMT_CHECK)
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "tests/simt/happens_before.h"
#include "tests/simt/shared_memory.h"
#endif

namespace simt {

struct Thread;
struct Grid;
class Scheduler;
class SharedMemory;

#if defined(HOURGLASS_SIMT_CHECK)

inline constexpr bool kChecked = true;

/// What belongs to one block.
struct CheckedBlock {
  BlockOrder order;
  Shadow dynamic, statics;
};

/// Accesses of the running launch. One Checker belongs to one Scheduler, and both to one OS thread.
class Checker {
 public:
  Checker(Scheduler& scheduler, const SharedMemory& shared) : scheduler_(scheduler), shared_(shared) {}
  Checker(const Checker&) = delete;
  Checker& operator=(const Checker&) = delete;

  void begin_launch(const Grid& grid);
  void begin_block(unsigned threads);
  /// Puts another block in the place of the running one.
  void exchange(CheckedBlock& block);
  void barrier() { order_.barrier(); }
  void warp_barrier(unsigned warp, uint32_t members) { order_.warp_barrier(warp, members); }
  void fence(const Thread& thread) { order_.fence(thread); }
  void access(const Thread& thread, const void* address, uint32_t bytes, AccessKind kind, const void* pc);

  /// cp.async: a write when it is started, whose bytes are not there yet, and one when it has been waited for.
  void copy_started(const Thread& thread, const void* to, uint32_t bytes, const void* pc);
  void copy_arrived(const Thread& thread, const void* to, uint32_t bytes, const void* pc);

  /// Bulk copies, and operands that tensor cores read: whether bytes are there, but not in what order; barriers that
  /// count arrivals order no accesses here.
  void bulk_started(const void* to, uint32_t bytes, const void* pc);
  void bulk_arrived(const void* to, uint32_t bytes);
  void operand_read(const void* from, uint32_t bytes, const void* pc);

 private:
  /// Where bytes are, and what is known of them.
  struct Place {
    Shadow* shadow = nullptr;  ///< null: not tracked
    size_t offset = 0;
    bool shared = false;
    std::string (*name)(uintptr_t address, const SharedMemory& shared) = nullptr;
  };

  Place place_of(uintptr_t address, uint32_t bytes, AccessKind kind, const void* pc);
  Place place_in_dynamic(uintptr_t address, uint32_t bytes, AccessKind kind, const void* pc);
  Place place_in_static(uintptr_t address, uint32_t bytes, AccessKind kind, const void* pc);
  [[noreturn]] void stop_outside(const Allocation* allocation, uintptr_t address, uint32_t bytes, AccessKind kind,
                                 const void* pc);
  void touch(const Thread& thread, const Place& place, uintptr_t address, uint32_t bytes, AccessKind kind,
             const void* pc);
  void check_order(const Thread& thread, const Place& place, uintptr_t address, const Cell& cell, const Access& now);
  void check_written(const Place& place, uintptr_t address, uint32_t bytes, const void* pc);
  void record(Cell& cell, const Access& now);

  bool is_first(const char* kind, const void* pc);
  void say(const char* kind, const void* pc, const std::string& text);
  [[noreturn]] void stop(const char* kind, const void* pc, const std::string& text);

  Scheduler& scheduler_;
  const SharedMemory& shared_;
  SharedMemory::Range dynamic_mapping_{}, locals_{};
  uintptr_t arguments_ = 0;
  size_t argument_bytes_ = 0;
  std::set<std::pair<std::string, const void*>> said_;  ///< one report for each kind and place of a launch

  HappensBefore order_;
  Shadow dynamic_, statics_;  ///< of the running block
};

/// One access of a kernel or of host code; called by tsan.cpp and by what reads or writes memory for a kernel.
void checked_access(const void* address, uint32_t bytes, AccessKind kind, const void* pc);

#else

inline constexpr bool kChecked = false;

struct CheckedBlock {};

class Checker {
 public:
  Checker(Scheduler&, const SharedMemory&) {}
  void begin_launch(const Grid&) {}
  void begin_block(unsigned) {}
  void barrier() {}
  void exchange(CheckedBlock&) {}
  void warp_barrier(unsigned, uint32_t) {}
  void fence(const Thread&) {}
  void copy_started(const Thread&, const void*, uint32_t, const void*) {}
  void copy_arrived(const Thread&, const void*, uint32_t, const void*) {}
  void bulk_started(const void*, uint32_t, const void*) {}
  void bulk_arrived(const void*, uint32_t) {}
  void operand_read(const void*, uint32_t, const void*) {}
};
inline void checked_access(const void*, uint32_t, AccessKind, const void*) {}

#endif

}  // namespace simt
