// SPDX-License-Identifier: Apache-2.0
// Fibers: stacks with guard pages, and the switch from one to another. AddressSanitizer is told of every switch, so
// that kernels are checked as ordinary code is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#if defined(HOURGLASS_SANITIZED)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if !defined(__x86_64__)
#error "the SIMT emulator switches stacks on x86-64 only"
#endif

namespace simt {

/// Memory of one fiber. `top` is lower than the end by a few cache lines that differ from stack to stack: a thousand
/// stacks with equal tops would share one cache set.
struct Stack {
  char* base;
  size_t bytes;
  char* top;
};

/// Where a suspended fiber goes on.
struct FiberContext {
  void* stack_pointer = nullptr;
};

/// Reuses stacks; maps new ones in chunks, each above a page without access.
class StackPool {
 public:
  StackPool() = default;
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;
  ~StackPool();
  Stack* take();
  void give_back(Stack* stack) { free_.push_back(stack); }
  /// After an aborted block: no fiber is alive, so every stack is free, whatever lies on it.
  void reclaim_all();
  bool contains(uintptr_t address) const;

 private:
  void map_chunk();
  std::vector<std::unique_ptr<Stack>> stacks_;
  std::vector<void*> chunks_;
  std::vector<Stack*> free_;
};

/// Makes `context` start at `entry`, which never returns, on an empty stack.
void prepare_fiber(FiberContext& context, const Stack& stack, void (*entry)());

/// Suspends this fiber into `from` and goes on with `to`. Inlined, and left through an indirect jump: there is no call
/// and return to mispredict. The clobbers make the compiler save what it needs.
inline __attribute__((always_inline)) void switch_fiber(FiberContext& from, FiberContext& to) {
  FiberContext* save = &from;
  FiberContext* load = &to;
  asm volatile(
      "leaq -128(%%rsp), %%rsp\n\t"  // over the red zone
      "pushq %%rbp\n\t"
      "leaq 1f(%%rip), %%rax\n\t"
      "pushq %%rax\n\t"
      "movq %%rsp, (%0)\n\t"
      "movq (%1), %%rsp\n\t"
      "popq %%rax\n\t"
      "jmp *%%rax\n"
      "1:\n\t"
      "popq %%rbp\n\t"
      "leaq 128(%%rsp), %%rsp"
      : "+D"(save), "+S"(load)
      :
      : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc", "xmm0",
        "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
        "xmm14", "xmm15"
#if defined(__AVX512F__)
        ,
        "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",
        "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#endif
  );
}

/// AddressSanitizer: about to leave for `bottom`. `fake` keeps this fiber's fake stack; null: it never comes back.
inline void announce_switch([[maybe_unused]] void** fake, [[maybe_unused]] const void* bottom,
                            [[maybe_unused]] size_t bytes) {
#if defined(HOURGLASS_SANITIZED)
  __sanitizer_start_switch_fiber(fake, bottom, bytes);
#endif
}
/// AddressSanitizer: arrived. Optionally tells the stack that was left.
inline void announce_arrival([[maybe_unused]] void* fake, [[maybe_unused]] const void** bottom = nullptr,
                             [[maybe_unused]] size_t* bytes = nullptr) {
#if defined(HOURGLASS_SANITIZED)
  __sanitizer_finish_switch_fiber(fake, bottom, bytes);
#endif
}

}  // namespace simt
