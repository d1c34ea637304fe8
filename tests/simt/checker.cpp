// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/checker.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <utility>

#include "tests/simt/report.h"
#include "tests/simt/scheduler.h"
#include "tests/simt/shared_memory.h"
#include "tests/simt/source_line.h"
#include "tests/simt/stream.h"

namespace simt {
namespace {

const char* verb(AccessKind kind) {
  return kind == AccessKind::kRead ? "read" : kind == AccessKind::kWrite ? "write" : "atomic";
}

std::string verb_of(const Access& access) {
  return access.kind == kReadByWarps ? "read" : verb(static_cast<AccessKind>(access.kind));
}

std::string device_name(uintptr_t address, const SharedMemory&) {
  const Allocation& allocation = *allocation_before(address);
  return "byte " + std::to_string(address - allocation.first) + " of a device allocation of " +
         std::to_string(allocation.bytes) + " bytes";
}
std::string dynamic_name(uintptr_t address, const SharedMemory& shared) {
  return "byte " + std::to_string(address - reinterpret_cast<uintptr_t>(shared.dynamic())) +
         " of dynamic shared memory";
}
std::string static_name(uintptr_t address, const SharedMemory& shared) {
  const SharedMemory::Array array = shared.array_before(address);
  return "byte " + std::to_string(address - array.first) + " of the shared array " + shared.name_of(array);
}

/// Of one thread, between two points of order.
bool is_same(const Access& a, const Access& b) {
  return a.unit == b.unit && a.epoch == b.epoch && a.time == b.time && a.lanes == b.lanes && a.thread == b.thread &&
         a.bytes == b.bytes;
}

bool inside(uintptr_t address, uintptr_t first, size_t bytes) { return address - first < bytes; }

bool is_built_in(uintptr_t address) {
  const auto in = [address](const auto& variable) {
    return inside(address, reinterpret_cast<uintptr_t>(&variable), sizeof variable);
  };
  return in(threadIdx) || in(blockIdx) || in(blockDim) || in(gridDim);
}

}  // namespace

// ---------------------------------------------------------------- reports

bool Checker::is_first(const char* kind, const void* pc) {
  return !is_library_code(pc) && said_.insert({kind, pc}).second;
}

void Checker::say(const char* kind, const void* pc, const std::string& text) {
  report(kind, source_line(pc) + ": " + text + scheduler_.position());
}

void Checker::stop(const char* kind, const void* pc, const std::string& text) {
  scheduler_.stop_for_access(kind, source_line(pc) + ": " + text);
}

// ---------------------------------------------------------------- launches and blocks

void Checker::begin_launch(const Grid& grid) {
  order_.begin_launch(size_t{grid.grid.x} * grid.grid.y * grid.grid.z, grid.cooperative);
  said_.clear();
  arguments_ = reinterpret_cast<uintptr_t>(grid.arguments);
  argument_bytes_ = grid.argument_bytes;
  dynamic_mapping_ = shared_.dynamic_mapping();
  locals_ = shared_.thread_locals();
}

void Checker::begin_block(unsigned threads) {
  order_.begin_block(threads);
  if (dynamic_.bytes() < scheduler_.dynamic_shared_bytes()) dynamic_.reset(scheduler_.dynamic_shared_bytes());
  if (statics_.bytes() == 0) statics_.reset(locals_.bytes);
  dynamic_.mark(0, scheduler_.dynamic_shared_bytes(), kNeverWritten);
  shared_.for_each_array([this](size_t offset, size_t bytes) { statics_.mark(offset, bytes, kNeverWritten); });
}

void Checker::exchange(CheckedBlock& block) {
  order_.exchange(block.order);
  std::swap(dynamic_, block.dynamic);
  std::swap(statics_, block.statics);
}

// ---------------------------------------------------------------- one word

void Checker::check_order(const Thread& thread, const Place& place, uintptr_t address, const Cell& cell,
                          const Access& now) {
  const bool writes = now.kind != static_cast<uint8_t>(AccessKind::kRead);
  const bool atomic = now.kind == static_cast<uint8_t>(AccessKind::kAtomic);
  for (const Access* before : {&cell.write, &cell.earlier_write, &cell.read, &cell.earlier_read}) {
    const bool was_read = before == &cell.read || before == &cell.earlier_read;
    if ((was_read && !writes) || !(before->bytes & now.bytes)) continue;
    if (atomic && before->kind == now.kind) continue;
    if (order_.ordered(*before, thread, place.shared)) continue;
    const void* const pc = code_address(now.pc);
    if (!is_first("race", pc)) return;
    say("race", pc,
        std::string(verb(static_cast<AccessKind>(now.kind))) + " of " + place.name(address, shared_) +
            ", which nothing orders after the " + verb_of(*before) + " at " + source_line(code_address(before->pc)) +
            " by thread " + std::to_string(before->thread) +
            (order_.in_this_block(*before) ? " of the same block" : " of block " + extents(order_.block_of(*before))));
    return;
  }
}

/// Readers are joined only where they read the very same bytes: bytes of a word may belong to different threads. What
/// was known of other bytes is forgotten: a conflict with it may be missed, but none is made up.
void Checker::record(Cell& cell, const Access& now) {
  const bool reads = now.kind == static_cast<uint8_t>(AccessKind::kRead);
  Access& last = reads ? cell.read : cell.write;
  if (order_.in_this_launch(last) && last.unit != now.unit) (reads ? cell.earlier_read : cell.earlier_write) = last;
  Access next = now;
  if (last.unit == now.unit && last.epoch == now.epoch && last.time == now.time && last.kind == now.kind &&
      last.thread == now.thread && last.lanes == now.lanes) {
    next.bytes |= last.bytes;
  } else if (reads && last.unit == now.unit && last.epoch == now.epoch && last.bytes == now.bytes) {
    if (last.kind == kReadByWarps || last.thread / kWarpLanes != now.thread / kWarpLanes) {
      next = last;
      next.kind = kReadByWarps;
    } else if (last.lanes != now.lanes) {
      next.lanes |= last.lanes;
      next.time = std::min(now.time, last.time);
    }
  }
  last = next;
}

void Checker::check_written(const Place& place, uintptr_t address, uint32_t bytes, const void* pc) {
  const uint8_t* const states = place.shadow->states(place.offset);
  uint64_t eight = 0;
  constexpr uint64_t kAllWritten = 0x0101010101010101u * kWritten;
  if (bytes <= 8) {
    std::memcpy(&eight, states, bytes);
    if (eight == kAllWritten >> 8 * (8 - bytes)) return;
  }
  for (uint32_t i = 0; i < bytes; ++i) {
    if (states[i] == kWritten) continue;
    if (!is_first("uninitialised", pc)) return;
    const char* const why =
        states[i] == kOnItsWay ? ", whose asynchronous copy has not been waited for" : ", which nobody has written";
    return say("uninitialised", pc, "read of " + place.name(address + i, shared_) + why);
  }
}

void Checker::touch(const Thread& thread, const Place& place, uintptr_t address, uint32_t bytes, AccessKind kind,
                    const void* pc) {
  if (kind != AccessKind::kWrite) check_written(place, address, bytes, pc);
  Access now = order_.now(thread);
  now.pc = code_offset(pc);
  now.kind = static_cast<uint8_t>(kind);
  for (uint32_t done = 0; done < bytes;) {
    const auto first = static_cast<uint32_t>((place.offset + done) % 4), count = std::min(4 - first, bytes - done);
    now.bytes = static_cast<uint8_t>(((1u << count) - 1) << first);
    Cell& cell = place.shadow->cell(place.offset + done);
    done += count;
    if (now.kind == cell.read.kind && is_same(cell.read, now)) continue;  // read again
    check_order(thread, place, address + done - count, cell, now);
    record(cell, now);
  }
  if (kind != AccessKind::kRead) place.shadow->mark(place.offset, bytes, kWritten);
}

// ---------------------------------------------------------------- whose memory

Checker::Place Checker::place_in_dynamic(uintptr_t address, uint32_t bytes, AccessKind kind, const void* pc) {
  const auto first = reinterpret_cast<uintptr_t>(shared_.dynamic());
  const size_t size = scheduler_.dynamic_shared_bytes();
  if (address >= first && address + bytes <= first + size) return {&dynamic_, address - first, true, dynamic_name};
  if (is_library_code(pc)) return {};
  stop("out-of-bounds", pc,
       std::string(verb(kind)) + " of " + std::to_string(bytes) + " bytes at byte " +
           std::to_string(static_cast<int64_t>(address - first)) + " of " + std::to_string(size) +
           " bytes of dynamic shared memory");
}

/// Between the arrays of this kernel lie those of others, and the program's own thread-local variables.
Checker::Place Checker::place_in_static(uintptr_t address, uint32_t bytes, AccessKind kind, const void* pc) {
  if (is_built_in(address)) return {};
  const SharedMemory::Array array = shared_.array_before(address);
  if (address + bytes <= array.first + array.bytes) return {&statics_, address - locals_.first, true, static_name};
  if (shared_.is_guard(address) || is_library_code(pc)) return {};
  stop("out-of-bounds", pc,
       std::string(verb(kind)) + " of " + std::to_string(bytes) + " bytes at byte " +
           std::to_string(address - array.first) + " of the shared array " + shared_.name_of(array) + " of " +
           std::to_string(array.bytes) + " bytes");
}

Checker::Place Checker::place_of(uintptr_t address, uint32_t bytes, AccessKind kind, const void* pc) {
  if (inside(address, locals_.first, locals_.bytes)) return place_in_static(address, bytes, kind, pc);
  if (inside(address, dynamic_mapping_.first, dynamic_mapping_.bytes)) {
    return place_in_dynamic(address, bytes, kind, pc);
  }
  Allocation* const allocation = allocation_before(address);
  if (allocation && !allocation->freed && address + bytes <= allocation->first + allocation->bytes) {
    return {&allocation->shadow, address - allocation->first, false, device_name};
  }
  if (inside(address, arguments_, argument_bytes_) || is_program_memory(address) ||
      is_pinned_memory(reinterpret_cast<const void*>(address), bytes) || is_library_code(pc)) {
    return {};
  }
  stop_outside(allocation, address, bytes, kind, pc);
}

/// `allocation` begins last before the address.
void Checker::stop_outside(const Allocation* allocation, uintptr_t address, uint32_t bytes, AccessKind kind,
                           const void* pc) {
  constexpr size_t kNear = 256;
  const std::string what = std::string(verb(kind)) + " of " + std::to_string(bytes) + " bytes ";
  if (scheduler_.is_fiber_stack(address)) stop("foreign-local", pc, what + "of a local variable of another thread");
  if (allocation && address < allocation->first + allocation->bytes + kNear) {
    const std::string name = "a device allocation of " + std::to_string(allocation->bytes) + " bytes";
    stop("out-of-bounds", pc,
         allocation->freed ? what + "of " + name + " that has been freed"
                           : what + "at byte " + std::to_string(address - allocation->first) + " of " + name);
  }
  const Allocation* const next = allocation_before(address + kNear);
  if (next && next != allocation) {
    stop("out-of-bounds", pc,
         what + std::to_string(next->first - address) + " bytes before a device allocation of " +
             std::to_string(next->bytes) + " bytes");
  }
  stop("host-memory", pc, what + "of host memory, or far from any device allocation");
}

void Checker::access(const Thread& thread, const void* memory, uint32_t bytes, AccessKind kind, const void* pc) {
  const auto address = reinterpret_cast<uintptr_t>(memory);
  const Place place = place_of(address, bytes, kind, pc);
  if (std::has_single_bit(bytes) && bytes <= 16 && address % bytes != 0 && is_first("misaligned", pc)) {
    say("misaligned", pc,
        std::string(verb(kind)) + " of " + std::to_string(bytes) + " bytes at an address that is no multiple of it");
  }
  if (!place.shadow) return;
  if (kind == AccessKind::kAtomic && !place.shared) order_.atomic(thread, address);
  touch(thread, place, address, bytes, kind, pc);
}

void Checker::copy_started(const Thread& thread, const void* to, uint32_t bytes, const void* pc) {
  const auto address = reinterpret_cast<uintptr_t>(to);
  const Place place = place_of(address, bytes, AccessKind::kWrite, pc);
  if (!place.shadow) return;
  touch(thread, place, address, bytes, AccessKind::kWrite, pc);
  place.shadow->mark(place.offset, bytes, kOnItsWay);
}

void Checker::copy_arrived(const Thread& thread, const void* to, uint32_t bytes, const void* pc) {
  access(thread, to, bytes, AccessKind::kWrite, pc);
}

void Checker::bulk_started(const void* to, uint32_t bytes, const void* pc) {
  const Place place = place_of(reinterpret_cast<uintptr_t>(to), bytes, AccessKind::kWrite, pc);
  if (place.shadow) place.shadow->mark(place.offset, bytes, kOnItsWay);
}

void Checker::bulk_arrived(const void* to, uint32_t bytes) {
  const Place place = place_of(reinterpret_cast<uintptr_t>(to), bytes, AccessKind::kWrite, nullptr);
  if (place.shadow) place.shadow->mark(place.offset, bytes, kWritten);
}

void Checker::operand_read(const void* from, uint32_t bytes, const void* pc) {
  const auto address = reinterpret_cast<uintptr_t>(from);
  const Place place = place_of(address, bytes, AccessKind::kRead, pc);
  if (place.shadow) check_written(place, address, bytes, pc);
}

// ---------------------------------------------------------------- from the running thread

void Scheduler::stop_for_access(const char* kind, const std::string& text) {
  checking_ = false;
  message_ = text;
  fault(kind);
}

void Scheduler::access(const void* address, uint32_t bytes, AccessKind kind, const void* pc) {
  if (!running_ || checking_) return;
  const Stack& own = *running_->stack;
  if (static_cast<size_t>(static_cast<const char*>(address) - own.base) < own.bytes) return;
  checking_ = true;  // templates of the standard library may be instrumented wherever they are used
  checker_.access(*running_, address, bytes, kind, pc);
  checking_ = false;
}

void checked_access(const void* address, uint32_t bytes, AccessKind kind, const void* pc) {
  if (Scheduler* const scheduler = Scheduler::running()) return scheduler->access(address, bytes, kind, pc);
  if (!in_device_memory(reinterpret_cast<uintptr_t>(address)) || is_library_code(pc)) return;
  report("device-memory", source_line(pc) + ": host code dereferences device memory");
}

void read_row(const void* row) {
  if (reinterpret_cast<uintptr_t>(row) % 16 == 0) {
    checked_access(row, 16, AccessKind::kRead, __builtin_return_address(0));
  }
}
void read_for_atomic(void* value, const void* address, uint32_t bytes) {
  checked_access(address, bytes, AccessKind::kAtomic, __builtin_return_address(0));
  std::memcpy(value, address, bytes);
}
void write_for_atomic(void* address, const void* value, uint32_t bytes) {
  std::memcpy(address, value, bytes);
  if (Scheduler* const scheduler = Scheduler::running()) scheduler->let_others_go_on();
}

}  // namespace simt
