// SPDX-License-Identifier: Apache-2.0
// The functions that g++ -fsanitize=thread calls, for the access checker in the place of ThreadSanitizer. Atomics of
// host code (std::shared_ptr, function-local statics) only do what they say.
#include <cstddef>
#include <cstdint>

#include "tests/simt/checker.h"

using simt::AccessKind;

#define SIMT_ACCESS(name, bytes, kind)                                                   \
  extern "C" void name(void* address) {                                                  \
    simt::checked_access(address, bytes, AccessKind::kind, __builtin_return_address(0)); \
  }
#define SIMT_ACCESSES(bytes)                    \
  SIMT_ACCESS(__tsan_read##bytes, bytes, kRead) \
  SIMT_ACCESS(__tsan_write##bytes, bytes, kWrite)
SIMT_ACCESSES(1)
SIMT_ACCESSES(2)
SIMT_ACCESSES(4)
SIMT_ACCESSES(8)
SIMT_ACCESSES(16)
#define SIMT_UNALIGNED(bytes)                             \
  SIMT_ACCESS(__tsan_unaligned_read##bytes, bytes, kRead) \
  SIMT_ACCESS(__tsan_unaligned_write##bytes, bytes, kWrite)
SIMT_UNALIGNED(2)
SIMT_UNALIGNED(4)
SIMT_UNALIGNED(8)
SIMT_UNALIGNED(16)

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_read(void**) {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_read_range(void* address, size_t bytes) {
  simt::checked_access(address, static_cast<uint32_t>(bytes), AccessKind::kRead, __builtin_return_address(0));
}
void __tsan_write_range(void* address, size_t bytes) {
  simt::checked_access(address, static_cast<uint32_t>(bytes), AccessKind::kWrite, __builtin_return_address(0));
}
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) {}

#define SIMT_ATOMIC(bits, operation)                                                                        \
  uint##bits##_t __tsan_atomic##bits##_##operation(volatile uint##bits##_t* p, uint##bits##_t value, int) { \
    return __atomic_##operation(p, value, __ATOMIC_SEQ_CST);                                                \
  }
#define SIMT_EXCHANGE(bits, strength, weak)                                                                    \
  bool __tsan_atomic##bits##_compare_exchange_##strength(volatile uint##bits##_t* p, uint##bits##_t* expected, \
                                                         uint##bits##_t value, int, int) {                     \
    return __atomic_compare_exchange_n(p, expected, value, weak, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);          \
  }
#define SIMT_ATOMICS(bits)                                                                               \
  uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t* p, int) {                     \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                                         \
  }                                                                                                      \
  void __tsan_atomic##bits##_store(volatile uint##bits##_t* p, uint##bits##_t value, int) {              \
    __atomic_store_n(p, value, __ATOMIC_SEQ_CST);                                                        \
  }                                                                                                      \
  uint##bits##_t __tsan_atomic##bits##_exchange(volatile uint##bits##_t* p, uint##bits##_t value, int) { \
    return __atomic_exchange_n(p, value, __ATOMIC_SEQ_CST);                                              \
  }                                                                                                      \
  SIMT_ATOMIC(bits, fetch_add)                                                                           \
  SIMT_ATOMIC(bits, fetch_sub)                                                                           \
  SIMT_ATOMIC(bits, fetch_and)                                                                           \
  SIMT_ATOMIC(bits, fetch_or)                                                                            \
  SIMT_ATOMIC(bits, fetch_xor)                                                                           \
  SIMT_EXCHANGE(bits, strong, false)                                                                     \
  SIMT_EXCHANGE(bits, weak, true)
SIMT_ATOMICS(8)
SIMT_ATOMICS(16)
SIMT_ATOMICS(32)
SIMT_ATOMICS(64)

}  // extern "C"
