// SPDX-License-Identifier: Apache-2.0
// Runs the blocks of a launch, one after the other, each thread of a block as a fiber. A fiber that never waits costs
// no switch: the next thread starts on the stack that it leaves. The blocks of a cooperative launch are alive together:
// one runs until no thread of it can go on, or until one waits for another block (__nanosleep).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/simt/bulk_copy.h"
#include "tests/simt/checker.h"
#include "tests/simt/device.h"
#include "tests/simt/fiber.h"
#include "tests/simt/language.h"
#include "tests/simt/shared_memory.h"
#include "tests/simt/simt.h"
#include "tests/simt/warpgroup.h"

namespace simt {

inline constexpr unsigned kMaxThreads = 1024, kWarpLanes = 32, kMaxWarps = kMaxThreads / kWarpLanes;

/// A launch as the scheduler sees it.
struct Grid {
  dim3 grid, block;
  size_t shared_bytes = 0;
  const void* kernel = nullptr;
  void (*run_thread)(const void* arguments) = nullptr;  ///< one CUDA thread from beginning to end
  const void* arguments = nullptr;
  size_t argument_bytes = 0;
  bool cooperative = false;
};

/// False: a fault, already reported, ended the launch.
bool run_grid(const Grid& grid);

enum class ThreadState : uint8_t { kNew, kReady, kRunning, kAtBarrier, kInCollective, kDone };

/// A copy to shared memory that has been started.
struct AsyncCopy {
  void* to;
  const void* from;
  uint32_t bytes, copied;    ///< zeros follow what is copied
  unsigned group = 0;        ///< groups that the thread had committed before
  const void* pc = nullptr;  ///< of the call that started it
};

struct Thread {
  FiberContext context;
  uint3 index{};      ///< threadIdx
  unsigned rank = 0;  ///< in the block
  ThreadState state = ThreadState::kNew;
  Stack* stack = nullptr;
  void* fake_stack = nullptr;  ///< AddressSanitizer's
  Site waits_at;
  std::vector<AsyncCopy> copies;  ///< not yet waited for, in order
  unsigned copy_group = 0;
};

struct Warp {
  uint32_t live = 0;     ///< lanes that have not exited
  uint32_t pending = 0;  ///< lanes that wait in a collective
  Collective* lanes[kWarpLanes] = {};
};

/// What belongs to one block.
struct BlockState {
  uint3 block_{};  ///< blockIdx
  unsigned alive_ = 0;
  std::vector<Thread> threads_{kMaxThreads};
  std::vector<Warp> warps_{kMaxWarps};

  // Threads yet to start, in `order_` from `started_` on; then those made ready, a ring.
  std::vector<uint16_t> order_;
  unsigned started_ = 0;
  static constexpr unsigned kRing = 2 * kMaxThreads;
  std::vector<uint16_t> ready_ = std::vector<uint16_t>(kRing);
  unsigned ready_first_ = 0, ready_end_ = 0;

  // The block's one barrier.
  unsigned arrived_ = 0, votes_ = 0;
  int vote_result_ = 0;
  Site barrier_site_;

  BulkCopies bulk_;
  Warpgroups warpgroups_;

  // While another block runs:
  std::vector<unsigned char> shared_contents_;
  CheckedBlock checked_;

  bool can_go_on(unsigned threads) const { return ready_end_ != ready_first_ || started_ < threads; }
};

/// Its own BlockState is that of the block which runs.
class Scheduler : private BlockState {
 public:
  /// The one of this OS thread.
  static Scheduler& of_this_thread();
  /// The same while it runs a launch, else null.
  static Scheduler* running();

  bool run(const Grid& grid);

  int barrier(Vote vote, int predicate, Site site);
  void collective(Collective& lane);
  void yield();
  /// In a cooperative launch another block goes on. After each atomic, for the access checker: so whoever waits for a
  /// block looks before that block has done more than it has to.
  void let_others_go_on();
  [[noreturn]] void trap(const char* reason, Site site);
  void* dynamic_shared() { return shared_.dynamic(); }
  size_t dynamic_shared_bytes() const { return grid_->shared_bytes; }
  void fence() { checker_.fence(*running_); }

  void start_copy(const AsyncCopy& copy);
  void commit_copies() { ++running_->copy_group; }
  void wait_for_copies(unsigned groups);

  // For what the hardware does beside the threads.
  BulkCopies& bulk() { return bulk_; }
  Warpgroups& warpgroups() { return warpgroups_; }
  unsigned running_rank() const { return running_->rank; }
  uint8_t poison() const { return config_.poison; }
  /// Something has happened that others may wait for.
  void goes_on() { idle_yields_ = 0; }
  /// Whether something that may happen now happens later.
  bool puts_off() { return config_.order == Order::kShuffled && random() % 2; }
  void bulk_started(void* to, uint32_t bytes, const void* pc);
  void bulk_arrived(const void* to, uint32_t bytes) { checker_.bulk_arrived(to, bytes); }
  void operand_read(const void* from, uint32_t bytes, const void* pc) { checker_.operand_read(from, bytes, pc); }
  /// Reports a fault and ends the launch.
  [[noreturn]] void stop(const char* kind, const std::string& text);

  /// For the access checker.
  void access(const void* address, uint32_t bytes, AccessKind kind, const void* pc);
  bool is_fiber_stack(uintptr_t address) const { return stacks_.contains(address); }
  [[noreturn]] void stop_for_access(const char* kind, const std::string& text);
  /// " [kernel, block, thread]" of what runs.
  std::string position() const;

 private:
  static void fiber_entry();
  void run_fiber();

  std::vector<uint64_t> block_order();
  void begin_block(uint64_t number);
  void run_fibers();
  bool end_block();
  bool run_one_after_the_other();
  bool run_together();
  bool choose_block();
  void switch_block(size_t next);
  void set_up_block();
  void shuffle_threads();
  void report_deadlock() const;

  Thread* pick();
  void make_ready(Thread& thread);
  void enter(Thread& thread);
  void give_stack(Thread& thread);
  void leave_to_other(Thread& self);
  [[noreturn]] void leave_to_host();
  /// Reports `message_`, and leaves for the host, which ends the launch.
  [[noreturn]] void fault(const char* kind);
  void thread_exits(Thread& thread);
  void drop_copies(Thread& thread);

  void release_barrier(Thread* last);
  bool complete_collective(Warp& warp, const Thread* arriving);
  void check_members(const Warp& warp, uint32_t members, int first);

  uint32_t random();

  Config config_;
  const Grid* grid_ = nullptr;
  unsigned threads_in_block_ = 0;

  // Of a cooperative launch: the states of all blocks, in the order of the schedule, but for that of the running one.
  std::vector<std::unique_ptr<BlockState>> blocks_;
  size_t current_ = 0;

  Thread* running_ = nullptr;
  FiberContext host_;
  const void* host_stack_ = nullptr;
  size_t host_stack_bytes_ = 0;
  StackPool stacks_;
  SharedMemory shared_;
  Checker checker_{*this, shared_};
  bool checking_ = false;
  bool failed_ = false;
  std::string message_;
  uint64_t yields_ = 0, idle_yields_ = 0;  ///< of the launch; since something went on
  uint64_t random_state_ = 1;
};

/// Computes the results of a complete collective; `members` are the lanes that take part.
void compute_collective(Warp& warp, uint32_t members, uint8_t poison);
/// Reports it if not.
bool is_whole_warp(const Warp& warp, uint32_t members);
/// Those of tensor_core.h among them.
void compute_matrices(Warp& warp, uint32_t members, Operation operation);

}  // namespace simt
