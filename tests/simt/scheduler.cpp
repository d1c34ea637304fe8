// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/scheduler.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <utility>

#include "tests/simt/report.h"
#include "tests/simt/tensor_core.h"

constinit thread_local uint3 threadIdx{0, 0, 0};
constinit thread_local uint3 blockIdx{0, 0, 0};
constinit thread_local dim3 blockDim{1, 1, 1};
constinit thread_local dim3 gridDim{1, 1, 1};

namespace simt {
namespace {

constexpr uint64_t kMaxYields = 1u << 22;
// Of a cooperative launch, while no block passes a barrier and no thread ends: each may cost a copy of shared memory.
constexpr uint64_t kMaxIdleYields = 1u << 16;

// A plain pointer, so that intrinsics reach the scheduler without a guard.
constinit thread_local Scheduler* active = nullptr;

}  // namespace

std::string extents(uint3 i) {
  return "(" + std::to_string(i.x) + "," + std::to_string(i.y) + "," + std::to_string(i.z) + ")";
}

std::string describe(const Site& site) { return std::string(site.file_name()) + ":" + std::to_string(site.line()); }

bool same_place(const Site& a, const Site& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

Scheduler* Scheduler::running() { return active; }

Scheduler& Scheduler::of_this_thread() {
  thread_local const std::unique_ptr<Scheduler> scheduler = std::make_unique<Scheduler>();
  return *scheduler;
}

// ---------------------------------------------------------------- choosing the next thread

uint32_t Scheduler::random() {
  random_state_ ^= random_state_ << 13;
  random_state_ ^= random_state_ >> 7;
  random_state_ ^= random_state_ << 17;
  return static_cast<uint32_t>(random_state_ >> 16);
}

void Scheduler::make_ready(Thread& thread) {
  thread.state = ThreadState::kReady;
  ready_[ready_end_++ % kRing] = static_cast<uint16_t>(thread.rank);
}

/// Ready threads go before new ones; shuffled: any of the ready ones, or the next new one.
Thread* Scheduler::pick() {
  const unsigned ready = ready_end_ - ready_first_, fresh = threads_in_block_ - started_;
  bool start = ready == 0;
  if (config_.order == Order::kShuffled && ready > 0) {
    const unsigned choice = random() % (ready + std::min(fresh, kWarpLanes));
    start = choice >= ready;
    if (!start) std::swap(ready_[(ready_first_ + choice) % kRing], ready_[ready_first_ % kRing]);
  }
  if (!start) return &threads_[ready_[ready_first_++ % kRing]];
  return fresh > 0 ? &threads_[order_[started_++]] : nullptr;
}

// ---------------------------------------------------------------- changing places

void Scheduler::enter(Thread& thread) {
  running_ = &thread;
  thread.state = ThreadState::kRunning;
  threadIdx = thread.index;
}

void Scheduler::give_stack(Thread& thread) {
  if (thread.stack) return;
  thread.stack = stacks_.take();
  prepare_fiber(thread.context, *thread.stack, &fiber_entry);
}

/// Suspends `self`, whose state the caller has set; returns when somebody has made it ready and it was picked.
void Scheduler::leave_to_other(Thread& self) {
  Thread* next = pick();
  if (!next && choose_block()) next = pick();
  if (next == &self) return enter(self);
  if (next) {
    give_stack(*next);
    enter(*next);
    announce_switch(&self.fake_stack, next->stack->base, next->stack->bytes);
    switch_fiber(self.context, next->context);
  } else {  // nobody can go on: the host reports the deadlock
    running_ = nullptr;
    announce_switch(&self.fake_stack, host_stack_, host_stack_bytes_);
    switch_fiber(self.context, host_);
  }
  announce_arrival(self.fake_stack);
  asm volatile("" ::: "memory");
}

void Scheduler::leave_to_host() {
  FiberContext abandoned;
  running_ = nullptr;
  announce_switch(nullptr, host_stack_, host_stack_bytes_);
  switch_fiber(abandoned, host_);
  __builtin_unreachable();
}

/// Nothing on the stack of the fiber is destroyed any more: callers must hold no memory but `message_`.
void Scheduler::fault(const char* kind) {
  report(kind, message_ + position());
  failed_ = true;
  leave_to_host();
}

std::string Scheduler::position() const {
  std::string text = " [" + demangled(symbol_of(grid_->kernel)) + ", block " + extents(blockIdx);
  if (running_) text += ", thread " + extents(running_->index);
  return text + "]";
}

void Scheduler::fiber_entry() { active->run_fiber(); }

void Scheduler::run_fiber() {
  announce_arrival(nullptr, host_stack_ ? nullptr : &host_stack_, host_stack_ ? nullptr : &host_stack_bytes_);
  for (;;) {
    Thread& self = *running_;
    grid_->run_thread(grid_->arguments);
    thread_exits(self);
    Stack* const stack = std::exchange(self.stack, nullptr);
    Thread* next = pick();
    if (!next && choose_block()) next = pick();
    if (next && !next->stack) {  // new: it starts on this very stack
      next->stack = stack;
      enter(*next);
      continue;
    }
    stacks_.give_back(stack);
    if (!next) leave_to_host();
    FiberContext abandoned;
    enter(*next);
    announce_switch(nullptr, next->stack->base, next->stack->bytes);
    switch_fiber(abandoned, next->context);
    __builtin_unreachable();
  }
}

void Scheduler::thread_exits(Thread& thread) {
  thread.state = ThreadState::kDone;
  --alive_;
  idle_yields_ = 0;
  drop_copies(thread);
  if (arrived_ > 0) {
    message_ = "a thread exited while " + std::to_string(arrived_) + " threads of its block wait at " +
               describe(barrier_site_);
    fault("barrier-divergence");
  }
  Warp& warp = warps_[thread.rank / kWarpLanes];
  warp.live &= ~(1u << thread.rank % kWarpLanes);
  if (warp.pending) complete_collective(warp, nullptr);
  if (alive_ > 0) return;
  bulk_.end_block();
  warpgroups_.end_block();
}

// ---------------------------------------------------------------- barriers

int Scheduler::barrier(Vote vote, int predicate, Site site) {
  Thread& self = *running_;
  self.waits_at = site;
  if (arrived_ == 0) {
    barrier_site_ = site;
    votes_ = 0;
  } else if (!same_place(site, barrier_site_)) {
    message_ = "a thread reached the barrier at " + describe(site) + " while others of its block wait at " +
               describe(barrier_site_);
    fault("barrier-divergence");
  }
  ++arrived_;
  votes_ += predicate != 0;
  if (alive_ != threads_in_block_) {
    message_ = std::to_string(threads_in_block_ - alive_) + " of " + std::to_string(threads_in_block_) +
               " threads had exited before the barrier at " + describe(site);
    fault("barrier-divergence");
  }
  if (arrived_ < alive_) {
    self.state = ThreadState::kAtBarrier;
  } else {
    vote_result_ = vote == Vote::kCount ? static_cast<int>(votes_)
                   : vote == Vote::kAnd ? votes_ == arrived_
                                        : vote == Vote::kOr && votes_ > 0;
    release_barrier(&self);
  }
  leave_to_other(self);
  return vote_result_;
}

/// The last to arrive queues with the others, so that they go on in the order of the schedule.
void Scheduler::release_barrier(Thread* last) {
  checker_.barrier();
  arrived_ = 0;
  idle_yields_ = 0;
  for (uint16_t rank : order_) {
    Thread& thread = threads_[rank];
    if (&thread == last || thread.state == ThreadState::kAtBarrier) make_ready(thread);
  }
}

void Scheduler::trap(const char* reason, Site site) {
  message_ = std::string(reason) + " at " + describe(site);
  fault("trap");
}

void Scheduler::stop(const char* kind, const std::string& text) {
  message_ = text;
  fault(kind);
}

void Scheduler::yield() {
  ++idle_yields_;
  if (++yields_ > kMaxYields || (!blocks_.empty() && idle_yields_ > kMaxIdleYields)) {
    message_ = "a spin loop waits for something that cannot happen" + bulk_.unfinished();
    if (!blocks_.empty()) {
      const auto ended = std::count_if(blocks_.begin(), blocks_.end(), [](const auto& b) { return b->alive_ == 0; });
      message_ += "; of " + std::to_string(blocks_.size()) + " blocks " +
                  std::to_string(ended - (blocks_[current_]->alive_ == 0)) + " have ended";
    }
    fault("livelock");
  }
  Thread& self = *running_;
  make_ready(self);
  choose_block();
  leave_to_other(self);
}

void Scheduler::let_others_go_on() {
  if (blocks_.empty()) return;
  Thread& self = *running_;
  make_ready(self);
  choose_block();
  leave_to_other(self);
}

// ---------------------------------------------------------------- warp collectives

void Scheduler::collective(Collective& lane) {
  Thread& self = *running_;
  Warp& warp = warps_[self.rank / kWarpLanes];
  const unsigned number = self.rank % kWarpLanes;
  self.waits_at = lane.site;
  if (!(lane.mask >> number & 1u)) {
    message_ = describe(lane.site) + ": lane " + std::to_string(number) +
               " calls a _sync intrinsic with a mask that does not name it";
    fault("warp-mask");
  }
  warp.lanes[number] = &lane;
  warp.pending |= 1u << number;
  if (!complete_collective(warp, &self)) {
    self.state = ThreadState::kInCollective;
    leave_to_other(self);
  } else if (config_.order == Order::kShuffled && random() % 2) {  // else the last to arrive would always go on first
    make_ready(self);
    leave_to_other(self);
  }
}

/// Computes a collective whose members have all arrived and readies them, but for `arriving`, which runs already.
/// True if `arriving` was one of them.
bool Scheduler::complete_collective(Warp& warp, const Thread* arriving) {
  for (uint32_t left = warp.pending; left != 0;) {
    const int first = __builtin_ctz(left);
    const uint32_t members = warp.lanes[first]->mask & warp.live;
    left &= ~(members | 1u << first);
    if ((warp.pending & members) != members) continue;
    check_members(warp, members, first);
    if (warp.lanes[first]->operation < Operation::kFenceProducts) {
      compute_collective(warp, members, config_.poison);
    } else if (is_whole_warp(warp, members)) {
      warpgroups_.run(warp, warp.lanes[first]->operation);
    }
    warp.pending &= ~members;
    const auto warp_number = static_cast<unsigned>(&warp - warps_.data()), warp_first = warp_number * kWarpLanes;
    if (warp.lanes[first]->operation == Operation::kSync) checker_.warp_barrier(warp_number, members);
    for (unsigned i = 0; i < kWarpLanes; ++i) {
      const unsigned number = config_.order == Order::kReverse ? kWarpLanes - 1 - i : i;
      Thread& member = threads_[warp_first + number];
      if ((members >> number & 1u) && &member != arriving) make_ready(member);
    }
    return arriving && (members >> arriving->rank % kWarpLanes & 1u);
  }
  return false;
}

void Scheduler::check_members(const Warp& warp, uint32_t members, int first) {
  const Collective& expected = *warp.lanes[first];
  for (uint32_t rest = members; rest != 0; rest &= rest - 1) {
    const Collective& lane = *warp.lanes[__builtin_ctz(rest)];
    if (lane.mask == expected.mask && lane.operation == expected.operation && same_place(lane.site, expected.site)) {
      continue;
    }
    message_ = "lanes of one warp meet in different collectives: lane " + std::to_string(first) + " at " +
               describe(expected.site) + ", lane " + std::to_string(__builtin_ctz(rest)) + " at " +
               describe(lane.site) + ", or with different masks";
    fault("warp-divergence");
  }
}

// ---------------------------------------------------------------- launches

bool Scheduler::run(const Grid& grid) {
  config_ = config();
  grid_ = &grid;
  active = this;
  threads_in_block_ = grid.block.x * grid.block.y * grid.block.z;
  blockDim = grid.block;
  gridDim = grid.grid;
  random_state_ = config_.seed * 0x9E3779B97F4A7C15u + 12345;
  shared_.prepare(grid.kernel, grid.shared_bytes);
  checker_.begin_launch(grid);
  order_.resize(threads_in_block_);
  std::iota(order_.begin(), order_.end(), uint16_t{0});
  if (config_.order == Order::kReverse) std::reverse(order_.begin(), order_.end());
  yields_ = idle_yields_ = 0;
  const bool ok = grid.cooperative ? run_together() : run_one_after_the_other();
  active = nullptr;
  grid_ = nullptr;
  return ok;
}

bool run_grid(const Grid& grid) { return Scheduler::of_this_thread().run(grid); }

// ---------------------------------------------------------------- what kernels call

int block_barrier(Vote vote, int predicate, Site site) { return active->barrier(vote, predicate, site); }
void warp_collective(Collective& lane) { active->collective(lane); }
void yield_thread() { active->yield(); }
void trap(const char* reason, Site site) { active->trap(reason, site); }
void* dynamic_shared() { return active->dynamic_shared(); }
void thread_fence() { active->fence(); }
void start_copy(void* to, const void* from, uint32_t bytes, uint32_t copied) {
  active->start_copy({to, from, bytes, copied, 0, __builtin_return_address(0)});
}
void commit_copies() { active->commit_copies(); }
void wait_for_copies(unsigned groups) { active->wait_for_copies(groups); }

}  // namespace simt
