// SPDX-License-Identifier: Apache-2.0
// Shared memory of the running block. A static array `__shared__ T x[N]` is a function-local thread-local variable;
// its place and size stand in the symbol table of the executable (_ZZ<kernel>E<name>), so that it can be poisoned when
// a block begins, with no help from the kernel's author. Executables must keep their symbols.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace simt {

/// Mangled name of a function of the executable; empty if unknown.
std::string symbol_of(const void* function);
/// That of the function which a code address lies in.
std::string symbol_around(const void* address);
/// Readable form of a mangled name.
std::string demangled(const std::string& symbol);

/// Bytes of the static shared arrays of a kernel and of gpu.cuh's helpers that may run in it.
size_t static_shared_bytes(const void* kernel);

struct SharedVariable;

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
  /// Copies what the block has in it, and puts it back.
  void save(std::vector<unsigned char>& contents) const;
  void restore(const std::vector<unsigned char>& contents);

  // For the access checker.
  struct Range {
    uintptr_t first;
    size_t bytes;
  };
  struct Array {
    uintptr_t first;
    size_t bytes;
    const std::string* symbol;  ///< null: there is none
  };
  /// Where dynamic shared memory of any size would lie, and the page behind it.
  Range dynamic_mapping() const;
  /// All thread-local variables of the executable.
  Range thread_locals() const;
  /// The static array of the kernel, or of its helpers, that begins last at or before `address`.
  Array array_before(uintptr_t address) const;
  bool is_guard(uintptr_t address) const;
  static std::string name_of(const Array& array);
  /// f(offset in the thread-local block, bytes).
  void for_each_array(const std::function<void(size_t, size_t)>& f) const;

 private:
  char* mapping_ = nullptr;
  char* thread_locals_ = nullptr;  ///< of this OS thread: one SharedMemory serves one
  size_t thread_local_bytes_ = 0;
  char* dynamic_ = nullptr;
  size_t dynamic_bytes_ = 0;
  const std::vector<SharedVariable>* variables_ = nullptr;  ///< of the kernel and its helpers
};

}  // namespace simt
