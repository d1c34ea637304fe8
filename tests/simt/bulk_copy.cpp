// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/bulk_copy.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "tests/simt/hopper.h"
#include "tests/simt/report.h"
#include "tests/simt/scheduler.h"

namespace simt {
namespace {

Scheduler& scheduler() { return *Scheduler::running(); }

constexpr uint32_t kMostTests = 1u << 16;  // of a phase whose arrivals are complete and for which nothing is under way

}  // namespace

void BulkCopies::begin_block() {
  barriers_.clear();
  under_way_.clear();
}

void BulkCopies::end_block() {
  if (!under_way_.empty()) {
    report("bulk-copy", "a block ended with " + std::to_string(under_way_.size()) +
                            " bulk copies that nobody had waited for" + scheduler().position());
  }
}

std::string BulkCopies::name(const void* barrier) const {
  return "the barrier at byte " +
         std::to_string(static_cast<const char*>(barrier) - static_cast<char*>(scheduler().dynamic_shared())) +
         " of dynamic shared memory";
}

std::string BulkCopies::unfinished() const {
  std::string text;
  for (const auto& [address, b] : barriers_) {
    if (b.tests == 0) continue;
    text += "; " + name(address) + " waits for " + std::to_string(b.missing) + " of " + std::to_string(b.count) +
            " arrivals and " + std::to_string(b.bytes) + " bytes";
  }
  return text;
}

// ---------------------------------------------------------------- barriers

void BulkCopies::init(void* barrier, uint32_t count) {
  if (reinterpret_cast<uintptr_t>(barrier) % 8 != 0)
    scheduler().stop("misaligned", name(barrier) + " is not aligned to 8");
  if (count == 0) scheduler().stop("mbarrier", name(barrier) + " counts no arrivals");
  Barrier b{};
  b.count = b.missing = count;
  b.maker = scheduler().running_rank();
  barriers_[barrier] = b;
}

void BulkCopies::publish() {
  for (auto& [address, b] : barriers_) b.published |= b.maker == scheduler().running_rank();
}

BulkCopies::Barrier& BulkCopies::at(void* barrier) {
  const auto found = barriers_.find(barrier);
  if (found == barriers_.end()) scheduler().stop("mbarrier", name(barrier) + " is used, which nobody has initialised");
  if (!found->second.published && found->second.maker != scheduler().running_rank()) {
    scheduler().stop("mbarrier", name(barrier) + " is used by a thread that no fence of the one that made it has told");
  }
  return found->second;
}

void BulkCopies::settle(Barrier& b) {
  if (b.missing > 0 || b.bytes != 0) return;
  scheduler().goes_on();
  ++b.phase;
  b.missing = b.count;
  b.tests = 0;
}

void BulkCopies::arrive(void* barrier, uint32_t expected_bytes) {
  Barrier& b = at(barrier);
  if (b.missing == 0) scheduler().stop("mbarrier", "more threads arrive at " + name(barrier) + " than it counts");
  b.bytes += expected_bytes;
  --b.missing;
  settle(b);
}

bool BulkCopies::phase_is_over(void* barrier, uint32_t parity) {
  Barrier& b = at(barrier);
  bring(barrier);
  if ((b.phase & 1) != parity) return true;
  ++b.tests;
  const bool more_to_come = std::any_of(under_way_.begin(), under_way_.end(),
                                        [barrier](const BoxCopy& copy) { return copy.barrier == barrier; });
  if (b.missing == 0 && !more_to_come && (b.bytes < 0 || b.tests > kMostTests)) {
    scheduler().stop("mbarrier", "copies have brought " + name(barrier) + " " + std::to_string(std::abs(b.bytes)) +
                                     " bytes " + (b.bytes < 0 ? "more" : "fewer") + " than it was told to expect");
  }
  scheduler().yield();
  return false;
}

// ---------------------------------------------------------------- copies

void BulkCopies::start(void* to, const void* map, void* barrier, const int* corner, int rank, const void* pc) {
  BoxCopy copy{static_cast<char*>(to), {}, barrier, {}, pc};
  if (reinterpret_cast<uintptr_t>(map) % 64 != 0) scheduler().stop("misaligned", "a tensor map is not aligned to 64");
  std::memcpy(&copy.map, map, sizeof copy.map);
  if (copy.map.magic != TensorMap::kMagic || copy.map.rank != rank) {
    scheduler().stop("tensor-map", "a copy of rank " + std::to_string(rank) + " by what is no tensor map of that rank");
  }
  std::copy_n(corner, rank, copy.corner);
  if (!at(barrier).published) {
    scheduler().stop("mbarrier", name(barrier) + " is given to a bulk copy before a fence has told of it");
  }
  const uint32_t bytes = copy.map.box_bytes(), address = shared_address(to);
  const auto offset = static_cast<size_t>(copy.to - static_cast<char*>(scheduler().dynamic_shared()));
  if (offset + bytes > scheduler().dynamic_shared_bytes()) {
    scheduler().stop("out-of-bounds", "a bulk copy of " + std::to_string(bytes) + " bytes to byte " +
                                          std::to_string(static_cast<int64_t>(offset)) + " of " +
                                          std::to_string(scheduler().dynamic_shared_bytes()) +
                                          " of dynamic shared memory");
  }
  if (address % 128 != 0)
    scheduler().stop("misaligned", "a bulk copy of a tensor to an address that is not aligned to 128");
  if (copy.map.swizzled && address % 1024 != 0) {
    scheduler().stop("swizzle", "a copy with the 128-byte swizzle to an address that is not aligned to 1024");
  }
  scheduler().bulk_started(to, bytes, pc);
  under_way_.push_back(copy);
}

bool BulkCopies::will_write(const char* first, size_t bytes) const {
  return std::any_of(under_way_.begin(), under_way_.end(), [=](const BoxCopy& copy) {
    return first < copy.to + copy.map.box_bytes() && copy.to < first + bytes;
  });
}

/// The copies of a barrier, all of them or, with shuffled threads, some.
void BulkCopies::bring(void* barrier) {
  for (size_t i = 0; i < under_way_.size();) {
    if (under_way_[i].barrier != barrier || scheduler().puts_off()) {
      ++i;
      continue;
    }
    const BoxCopy copy = under_way_[i];
    under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(i));
    run(copy);
    Barrier& b = at(barrier);
    b.bytes -= copy.map.box_bytes();
    settle(b);
  }
}

void BulkCopies::run(const BoxCopy& copy) {
  const TensorMap& map = copy.map;
  int64_t rows = 1;
  for (int i = 1; i < map.rank; ++i) rows *= map.count(i);
  for (int64_t row = 0; row < rows; ++row) {
    const char* from = map.address;
    bool inside = true;
    int64_t rest = row;
    for (int i = 1; i < map.rank; ++i) {
      const int64_t at = copy.corner[i] + rest % map.count(i) * map.step[i];
      rest /= map.count(i);
      inside = inside && at >= 0 && at < int64_t{map.extent[i]};
      from += at * static_cast<int64_t>(map.stride[i]);
    }
    copy_row(copy, from, inside, static_cast<uint32_t>(row) * map.box[0] * map.element_bytes);
  }
  scheduler().bulk_arrived(copy.to, map.box_bytes());
}

/// One innermost row of a box, in units of 16 bytes, which the swizzle leaves whole.
void BulkCopies::copy_row(const BoxCopy& copy, const char* from, bool inside, uint32_t offset) {
  const TensorMap& map = copy.map;
  const uint32_t base = shared_address(copy.to);
  const int in_unit = 16 / map.element_bytes;
  for (int first = 0; first < map.box[0]; first += in_unit) {
    const uint32_t plain = base + offset + static_cast<uint32_t>(first) * map.element_bytes;
    char* const to = copy.to + (static_cast<int64_t>(map.swizzled ? swizzled(plain) : plain) - base);
    std::memset(to, 0, 16);
    if (!inside) continue;
    const int64_t element = int64_t{copy.corner[0]} + first;
    const int64_t begin = std::max<int64_t>(element, 0), end = std::min<int64_t>(element + in_unit, map.extent[0]);
    if (begin >= end) continue;
    const char* const source = from + begin * map.element_bytes;
    const auto bytes = static_cast<uint32_t>((end - begin) * map.element_bytes);
    checked_access(source, bytes, AccessKind::kRead, copy.pc);
    std::memcpy(to + (begin - element) * map.element_bytes, source, bytes);
  }
}

}  // namespace simt
