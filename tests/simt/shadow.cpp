// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/shadow.h"

#if defined(HOURGLASS_SIMT_CHECK)

#include <sys/mman.h>

#include <cstring>
#include <map>
#include <new>
#include <utility>

#include "tests/simt/simt.h"

namespace simt {
namespace {

template <class T>
T* map_zeros(size_t count) {
  void* const memory =
      mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return static_cast<T*>(memory);
}

size_t cells_of(size_t bytes) { return bytes / 4 + 1; }

std::map<uintptr_t, Allocation>& allocations() {
  static auto& all = *new std::map<uintptr_t, Allocation>;
  return all;
}

/// Kernels go from array to array: recently found allocations, by page.
constexpr size_t kCached = 64;
Allocation* cache[kCached];
Allocation*& cached(uintptr_t address) { return cache[address / 4096 % kCached]; }
void forget_cached() { std::memset(cache, 0, sizeof cache); }

void mark(const void* memory, size_t bytes, ByteState state) {
  const auto address = reinterpret_cast<uintptr_t>(memory);
  Allocation* const found = allocation_before(address);
  if (!found || found->freed || address + bytes > found->first + found->bytes) return;
  found->shadow.mark(address - found->first, bytes, state);
}

}  // namespace

void Shadow::reset(size_t bytes) {
  unmap();
  cells_ = map_zeros<Cell>(cells_of(bytes));
  states_ = map_zeros<uint8_t>(bytes + 1);
  bytes_ = bytes;
}

void Shadow::unmap() {
  if (!cells_) return;
  munmap(cells_, cells_of(bytes_) * sizeof(Cell));
  munmap(states_, bytes_ + 1);
  cells_ = nullptr;
  states_ = nullptr;
  bytes_ = 0;
}

void Shadow::swap(Shadow& other) {
  std::swap(cells_, other.cells_);
  std::swap(states_, other.states_);
  std::swap(bytes_, other.bytes_);
}

void Shadow::mark(size_t offset, size_t bytes, ByteState state) { std::memset(states_ + offset, state, bytes); }

Allocation* allocation_before(uintptr_t address) {
  Allocation*& hit = cached(address);
  if (hit && address >= hit->first && address - hit->first < hit->bytes) return hit;
  auto after = allocations().upper_bound(address);
  if (after == allocations().begin()) return nullptr;
  Allocation* const found = &std::prev(after)->second;
  if (address - found->first < found->bytes) hit = found;
  return found;
}

void shadow_allocate(const void* memory, size_t bytes) {
  const auto first = reinterpret_cast<uintptr_t>(memory);
  allocations().insert_or_assign(first, Allocation{first, bytes, false, Shadow(bytes)});
  forget_cached();
}

void shadow_release(const void* memory) {
  const auto found = allocations().find(reinterpret_cast<uintptr_t>(memory));
  if (found == allocations().end()) return;
  found->second.freed = true;
  found->second.shadow = Shadow();
}

void shadow_forget(const void* memory) {
  allocations().erase(reinterpret_cast<uintptr_t>(memory));
  forget_cached();
}

void mark_written(const void* memory, size_t bytes) { mark(memory, bytes, kWritten); }
void mark_unwritten(const void* memory, size_t bytes) { mark(memory, bytes, kNeverWritten); }

bool in_device_memory(uintptr_t address) {
  const Allocation* const found = allocation_before(address);
  return found && !found->freed && address - found->first < found->bytes;
}

}  // namespace simt

#endif
