// SPDX-License-Identifier: Apache-2.0
// Shared memory of the running block. A static array `__shared__ T x[N]` is a function-local thread-local variable;
// its place and size stand in the symbol table of the executable (_ZZ<kernel>E<name>), so that it can be poisoned when
// a block begins, with no help from the kernel's author. Executables must keep their symbols.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace simt {

/// Mangled name of a function of the executable; empty if unknown.
std::string symbol_of(const void* function);
/// Readable form of a mangled name.
std::string demangled(const std::string& symbol);

/// Bytes of the static shared arrays of a kernel and of gpu.cuh's helpers that may run in it.
size_t static_shared_bytes(const void* kernel);

class SharedMemory {
 public:
  SharedMemory() = default;
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  ~SharedMemory();

  /// Before a launch: exactly `dynamic_bytes` are accessible, up to the page; under AddressSanitizer to the byte.
  void prepare(const void* kernel, size_t dynamic_bytes);
  /// Before a block.
  void poison(uint8_t byte);
  void* dynamic() const { return dynamic_; }

 private:
  char* mapping_ = nullptr;
  char* thread_locals_ = nullptr;  ///< of this OS thread: one SharedMemory serves one
  char* dynamic_ = nullptr;
  size_t dynamic_bytes_ = 0;
  const void* kernel_ = nullptr;
};

}  // namespace simt
