// SPDX-License-Identifier: Apache-2.0
// What orders the accesses of a launch, for the access checker.
//
// Two of one block: __syncthreads, and within a warp __syncwarp (vector clocks of the lanes). No other collective does.
// Two of different blocks: a fence after the first access and an atomic after the fence, then an atomic in the other
// block; in a cooperative launch on the same word, or along a chain of such words, because there blocks meet more than
// once. Two of different launches: always; a missing event between streams is what lazy streams are for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "tests/simt/language.h"
#include "tests/simt/shadow.h"

namespace simt {

struct Thread;

/// What a block has made visible to others: all of the epochs before `epoch`, and each thread's accesses up to a time.
struct Published {
  uint32_t epoch = 0;
  std::vector<uint32_t> times;
};

/// How many publications of each block of a cooperative launch are known.
using BlockClock = std::vector<uint32_t>;

/// What belongs to one block.
struct BlockOrder {
  // Every run of a block has a number of its own, so that what stands in shadow memory need not be cleared.
  uint32_t unit_ = 0;
  uint32_t epoch_ = 0;          ///< barriers that the block has passed
  std::vector<uint32_t> time_;  ///< vector clocks: [thread][lane], of lanes of its own warp
  Published fenced_;
  bool fenced_since_ = false;  ///< since the last publication
  std::vector<bool> did_atomic_;
  uint32_t first_atomic_epoch_ = 0;
  bool any_atomic_ = false;
  BlockClock known_, learned_;  ///< by all threads; with the atomics since the last barrier
};

/// Its own BlockOrder is that of the running block.
class HappensBefore : private BlockOrder {
 public:
  void begin_launch(size_t blocks, bool cooperative);
  void begin_block(unsigned threads);
  /// Puts another block in the place of the running one.
  void exchange(BlockOrder& block) { std::swap(static_cast<BlockOrder&>(*this), block); }

  void barrier();
  void warp_barrier(unsigned warp, uint32_t members);
  void fence(const Thread& thread);
  void atomic(const Thread& thread, uintptr_t address);  ///< of device memory

  /// When and by whom an access of this moment is made.
  Access now(const Thread& thread) const;
  bool in_this_launch(const Access& access) const { return access.unit >= first_unit_; }
  bool in_this_block(const Access& access) const { return access.unit == unit_; }
  const uint3& block_of(const Access& access) const { return blocks_[access.unit - first_unit_].index; }
  /// True if `thread` may rely on `before` having happened. `shared`: of shared memory.
  bool ordered(const Access& before, const Thread& thread, bool shared) const;

 private:
  struct Block {
    uint3 index;
    Published published;
    std::vector<Published> publications;  ///< all of them, in a cooperative launch
  };

  uint32_t* clock_of(unsigned thread);
  const uint32_t* clock_of(unsigned thread) const;
  void publish_and_learn(uintptr_t address);
  bool acquired(const Thread& thread) const;
  bool ordered_in_block(const Access& before, const Thread& thread) const;
  bool ordered_together(const Access& before, const Thread& thread) const;

  uint32_t last_unit_ = 0, first_unit_ = 1;
  std::vector<Block> blocks_;              ///< of the launch, in the order they began
  bool together_ = false;                  ///< a cooperative launch
  size_t count_ = 0;                       ///< of its blocks
  std::map<uintptr_t, BlockClock> words_;  ///< that its atomics have left behind
};

}  // namespace simt
