// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/happens_before.h"

#include <algorithm>
#include <bit>

#include "tests/simt/scheduler.h"

namespace simt {
namespace {

bool is_atomic(const Access& access) { return access.kind == static_cast<uint8_t>(AccessKind::kAtomic); }

bool is_in(const Access& access, const Published& published) {
  return access.epoch < published.epoch ||
         (access.thread < published.times.size() && access.time <= published.times[access.thread]);
}

}  // namespace

uint32_t* HappensBefore::clock_of(unsigned thread) { return &time_[size_t{thread} * kWarpLanes]; }
const uint32_t* HappensBefore::clock_of(unsigned thread) const { return &time_[size_t{thread} * kWarpLanes]; }

void HappensBefore::begin_launch(size_t blocks, bool cooperative) {
  first_unit_ = last_unit_ + 1;
  blocks_.clear();
  words_.clear();
  together_ = cooperative;
  count_ = blocks;
}

void HappensBefore::begin_block(unsigned threads) {
  unit_ = ++last_unit_;
  epoch_ = 0;
  blocks_.push_back({blockIdx, {}, {}});
  if (together_) known_.assign(count_, 0), learned_ = known_;
  fenced_since_ = false;
  time_.assign(size_t{threads} * kWarpLanes, 0);
  for (unsigned rank = 0; rank < threads; ++rank) clock_of(rank)[rank % kWarpLanes] = 1;
  fenced_.epoch = 0;
  fenced_.times.assign(threads, 0);
  did_atomic_.assign(threads, false);
  any_atomic_ = false;
}

void HappensBefore::barrier() {
  ++epoch_;
  if (!together_) return;
  known_ = learned_;
  did_atomic_.assign(did_atomic_.size(), false);
}

/// Every member knows what any of them knew, and goes on at a new time.
void HappensBefore::warp_barrier(unsigned warp, uint32_t members) {
  uint32_t joined[kWarpLanes] = {};
  bool did_atomic = false;
  for (uint32_t rest = members; rest; rest &= rest - 1) {
    const unsigned thread = warp * kWarpLanes + static_cast<unsigned>(std::countr_zero(rest));
    const uint32_t* const clock = clock_of(thread);
    for (unsigned i = 0; i < kWarpLanes; ++i) joined[i] = std::max(joined[i], clock[i]);
    did_atomic |= did_atomic_[thread];
  }
  for (uint32_t rest = members; rest; rest &= rest - 1) {
    const unsigned thread = warp * kWarpLanes + static_cast<unsigned>(std::countr_zero(rest));
    std::copy(joined, joined + kWarpLanes, clock_of(thread));
    ++clock_of(thread)[thread % kWarpLanes];
    if (together_ && did_atomic) did_atomic_[thread] = true;
  }
}

/// Covers what this thread and, by barriers, others did before it.
void HappensBefore::fence(const Thread& thread) {
  uint32_t* const clock = clock_of(thread.rank);
  const unsigned first = thread.rank / kWarpLanes * kWarpLanes;
  fenced_.epoch = epoch_;
  fenced_since_ = true;
  for (unsigned lane = 0; lane < kWarpLanes && first + lane < fenced_.times.size(); ++lane) {
    fenced_.times[first + lane] = std::max(fenced_.times[first + lane], clock[lane]);
  }
  ++clock[thread.rank % kWarpLanes];
}

void HappensBefore::atomic(const Thread& thread, uintptr_t address) {
  blocks_[unit_ - first_unit_].published = fenced_;
  if (together_) publish_and_learn(address);
  did_atomic_[thread.rank] = true;
  if (!any_atomic_) first_atomic_epoch_ = epoch_;
  any_atomic_ = true;
}

/// What a fence has covered becomes the word's, and what the word has become this block's.
void HappensBefore::publish_and_learn(uintptr_t address) {
  const size_t block = unit_ - first_unit_;
  std::vector<Published>& publications = blocks_[block].publications;
  if (std::exchange(fenced_since_, false)) publications.push_back(fenced_);
  learned_[block] = static_cast<uint32_t>(publications.size());
  BlockClock& word = words_[address];
  word.resize(count_);
  for (size_t i = 0; i < count_; ++i) word[i] = learned_[i] = std::max(word[i], learned_[i]);
}

Access HappensBefore::now(const Thread& thread) const {
  const unsigned lane = thread.rank % kWarpLanes;
  Access access;
  access.unit = unit_;
  access.epoch = epoch_;
  access.time = clock_of(thread.rank)[lane];
  access.lanes = 1u << lane;
  access.thread = static_cast<uint16_t>(thread.rank);
  return access;
}

bool HappensBefore::acquired(const Thread& thread) const {
  return any_atomic_ && (first_atomic_epoch_ < epoch_ || did_atomic_[thread.rank]);
}

bool HappensBefore::ordered_in_block(const Access& before, const Thread& thread) const {
  if (before.epoch != epoch_) return true;
  const unsigned warp = thread.rank / kWarpLanes, lane = thread.rank % kWarpLanes;
  if (before.kind == kReadByWarps || before.thread / kWarpLanes != warp) return false;
  const uint32_t* const clock = clock_of(thread.rank);
  for (uint32_t rest = before.lanes & ~(1u << lane); rest; rest &= rest - 1) {
    if (clock[std::countr_zero(rest)] < before.time) return false;
  }
  return true;
}

bool HappensBefore::ordered_together(const Access& before, const Thread& thread) const {
  const size_t block = before.unit - first_unit_;
  const uint32_t publications = (did_atomic_[thread.rank] ? learned_ : known_)[block];
  return publications > 0 && is_in(before, blocks_[block].publications[publications - 1]);
}

bool HappensBefore::ordered(const Access& before, const Thread& thread, bool shared) const {
  if (!in_this_launch(before) || (shared && !in_this_block(before))) return true;
  if (in_this_block(before)) return ordered_in_block(before, thread);
  if (is_atomic(before)) return acquired(thread);
  if (together_) return ordered_together(before, thread);
  return acquired(thread) && is_in(before, blocks_[before.unit - first_unit_].published);
}

}  // namespace simt
