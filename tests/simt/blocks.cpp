// SPDX-License-Identifier: Apache-2.0
// The blocks of a launch: one after the other, or, in a cooperative launch, all of them together.
#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <utility>

#include "tests/simt/report.h"
#include "tests/simt/scheduler.h"

namespace simt {

/// Numbers of the blocks as the schedule orders them.
std::vector<uint64_t> Scheduler::block_order() {
  std::vector<uint64_t> order(uint64_t{grid_->grid.x} * grid_->grid.y * grid_->grid.z);
  std::iota(order.begin(), order.end(), uint64_t{0});
  if (config_.order == Order::kReverse) std::reverse(order.begin(), order.end());
  for (uint64_t i = order.size(); config_.order == Order::kShuffled && i > 1; --i) {
    std::swap(order[i - 1], order[random() % i]);
  }
  return order;
}

void Scheduler::shuffle_threads() {
  for (unsigned i = threads_in_block_; i > 1; --i) std::swap(order_[i - 1], order_[random() % i]);
}

void Scheduler::set_up_block() {
  alive_ = threads_in_block_;
  arrived_ = started_ = ready_first_ = ready_end_ = 0;
  if (!grid_->cooperative) yields_ = 0;
  failed_ = false;
  for (unsigned first = 0; first < threads_in_block_; first += kWarpLanes) {
    const unsigned lanes = std::min(kWarpLanes, threads_in_block_ - first);
    Warp& warp = warps_[first / kWarpLanes];
    warp.live = lanes == kWarpLanes ? ~0u : (1u << lanes) - 1;
    warp.pending = 0;
  }
  uint3 index{0, 0, 0};
  for (unsigned rank = 0; rank < threads_in_block_; ++rank) {
    Thread& thread = threads_[rank];
    thread.index = index;
    thread.rank = rank;
    thread.state = ThreadState::kNew;
    thread.stack = nullptr;
    thread.copies.clear();
    thread.copy_group = 0;
    if (++index.x == grid_->block.x) index.x = 0, ++index.y;
    if (index.y == grid_->block.y) index.y = 0, ++index.z;
  }
}

void Scheduler::begin_block(uint64_t number) {
  const dim3& grid = grid_->grid;
  block_ = {static_cast<unsigned>(number % grid.x), static_cast<unsigned>(number / grid.x % grid.y),
            static_cast<unsigned>(number / grid.x / grid.y)};
  blockIdx = block_;
  if (config_.order == Order::kShuffled) shuffle_threads();
  set_up_block();
  shared_.poison(config_.poison);
  checker_.begin_block(threads_in_block_);
  bulk_.begin_block();
  warpgroups_.begin_block(threads_in_block_);
}

/// From the first thread until none can go on, or a fault.
void Scheduler::run_fibers() {
  Thread& first = *pick();
  give_stack(first);
  enter(first);
  void* fake_stack = nullptr;
  announce_switch(&fake_stack, first.stack->base, first.stack->bytes);
  switch_fiber(host_, first.context);
  announce_arrival(fake_stack);
  asm volatile("" ::: "memory");
  running_ = nullptr;
}

/// False if a fault ended the block.
bool Scheduler::end_block() {
  if (!failed_ && alive_ > 0) {
    report_deadlock();
    failed_ = true;
  }
  if (failed_) stacks_.reclaim_all();
  return !failed_;
}

bool Scheduler::run_one_after_the_other() {
  for (const uint64_t block : block_order()) {
    begin_block(block);
    run_fibers();
    if (!end_block()) return false;
  }
  return true;
}

bool Scheduler::run_together() {
  const std::vector<uint16_t> threads = order_;
  for (const uint64_t block : block_order()) {
    order_ = threads;
    begin_block(block);
    shared_.save(shared_contents_);
    checker_.exchange(checked_);
    blocks_.push_back(std::make_unique<BlockState>());
    std::swap(static_cast<BlockState&>(*this), *blocks_.back());
  }
  current_ = blocks_.size();  // none of them
  switch_block(0);
  run_fibers();
  for (size_t i = 0; !failed_ && alive_ == 0 && i < blocks_.size(); ++i) {
    if (blocks_[i]->alive_ > 0) switch_block(i);  // for the report
  }
  const bool ok = end_block();
  blocks_.clear();
  return ok;
}

/// In a cooperative launch another block with a thread that can go on, or else this one. False: there is none.
bool Scheduler::choose_block() {
  const size_t count = blocks_.size();
  const size_t first = current_ + 1 + (count > 0 && config_.order == Order::kShuffled ? random() % count : 0);
  for (size_t i = 0; i < count; ++i) {
    const size_t next = (first + i) % count;
    const BlockState& block = next == current_ ? *this : *blocks_[next];
    if (!block.can_go_on(threads_in_block_)) continue;
    switch_block(next);
    return true;
  }
  return false;
}

/// The shared memory of all blocks lies at one place, so that what points into it stays valid: contents are exchanged.
void Scheduler::switch_block(size_t next) {
  if (next == current_) return;
  if (current_ < blocks_.size()) {
    shared_.save(shared_contents_);
    checker_.exchange(checked_);
    std::swap(static_cast<BlockState&>(*this), *blocks_[current_]);
  }
  std::swap(static_cast<BlockState&>(*this), *blocks_[next]);
  checker_.exchange(checked_);
  shared_.restore(shared_contents_);
  blockIdx = block_;
  current_ = next;
}

void Scheduler::report_deadlock() const {
  std::map<std::string, int> waiting;
  for (unsigned rank = 0; rank < threads_in_block_; ++rank) {
    const Thread& thread = threads_[rank];
    if (thread.state == ThreadState::kAtBarrier) ++waiting["at the barrier " + describe(thread.waits_at)];
    if (thread.state == ThreadState::kInCollective) ++waiting["in the warp collective " + describe(thread.waits_at)];
  }
  std::string text = "no thread can go on: " + std::to_string(threads_in_block_ - alive_) + " exited";
  for (const auto& [place, count] : waiting) text += ", " + std::to_string(count) + " wait " + place;
  report("deadlock", text + position());
}

}  // namespace simt
