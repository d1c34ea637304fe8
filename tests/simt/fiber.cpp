// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace simt {
namespace {

constexpr size_t kPage = 4096, kStacksPerChunk = 32;
#if defined(HOURGLASS_SANITIZED)
constexpr size_t kStackBytes = 256 << 10;
#else
constexpr size_t kStackBytes = 64 << 10;
#endif
constexpr size_t kSlotBytes = kPage + kStackBytes;

}  // namespace

void StackPool::map_chunk() {
  void* const chunk = mmap(nullptr, kStacksPerChunk * kSlotBytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (chunk == MAP_FAILED) throw std::bad_alloc();
  chunks_.push_back(chunk);
  for (size_t i = 0; i < kStacksPerChunk; ++i) {
    char* const slot = static_cast<char*>(chunk) + i * kSlotBytes;
    if (mprotect(slot, kPage, PROT_NONE) != 0) throw std::bad_alloc();
    const size_t stagger = stacks_.size() * 5 % 31 * 128;
    char* const base = slot + kPage;
    stacks_.push_back(std::make_unique<Stack>(Stack{base, kStackBytes, base + kStackBytes - stagger}));
    free_.push_back(stacks_.back().get());
  }
}

StackPool::~StackPool() {
  for (void* chunk : chunks_) munmap(chunk, kStacksPerChunk * kSlotBytes);
}

Stack* StackPool::take() {
  if (free_.empty()) map_chunk();
  Stack* const stack = free_.back();
  free_.pop_back();
  return stack;
}

void StackPool::reclaim_all() {
  free_.clear();
  for (const auto& stack : stacks_) {
    free_.push_back(stack.get());
#if defined(HOURGLASS_SANITIZED)
    __asan_unpoison_memory_region(stack->base, stack->bytes);
#endif
  }
}

bool StackPool::contains(uintptr_t address) const {
  for (const auto& stack : stacks_) {
    if (address - reinterpret_cast<uintptr_t>(stack->base) < stack->bytes) return true;
  }
  return false;
}

void prepare_fiber(FiberContext& context, const Stack& stack, void (*entry)()) {
#if defined(HOURGLASS_SANITIZED)
  // The last fiber left its outermost frames without returning from them.
  constexpr size_t kOutermost = 4096;
  __asan_unpoison_memory_region(stack.top - kOutermost,
                                kOutermost + static_cast<size_t>(stack.base + stack.bytes - stack.top));
#endif
  auto* slot = reinterpret_cast<uintptr_t*>(reinterpret_cast<uintptr_t>(stack.top) & ~uintptr_t{15});
  *--slot = 0;  // as if entry had been called: the stack pointer is 8 below a multiple of 16
  *--slot = reinterpret_cast<uintptr_t>(entry);
  context.stack_pointer = slot;
}

}  // namespace simt
