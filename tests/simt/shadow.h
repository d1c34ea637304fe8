// SPDX-License-Identifier: Apache-2.0
// Shadow memory of the access checker: for every byte whether it has been written, for every word the accesses that a
// later one may conflict with. In builds without the checker nothing is kept.
#pragma once

#include <cstddef>
#include <cstdint>

namespace simt {

enum class AccessKind : uint8_t { kRead, kWrite, kAtomic };

#if defined(HOURGLASS_SIMT_CHECK)

/// The last access of its sort, by one thread, by lanes of one warp, or by several warps.
struct Access {
  uint32_t unit = 0;   ///< run of a block; 0: none
  uint32_t epoch = 0;  ///< barriers of the block before
  uint32_t time = 0;   ///< of the thread's own clock; of several lanes the earliest
  uint32_t pc = 0;     ///< from the start of the executable
  uint32_t lanes = 0;  ///< of the warp of `thread`
  uint16_t thread = 0;
  uint8_t bytes = 0;  ///< of the word, as a mask
  uint8_t kind = 0;   ///< AccessKind, or kReadByWarps
};
inline constexpr uint8_t kReadByWarps = 0x80;

/// Four bytes. Blocks run one after the other: the access of an earlier block is kept beside the running one's.
struct Cell {
  Access write, read, earlier_write, earlier_read;
};

enum ByteState : uint8_t { kNeverWritten = 0, kWritten = 1, kOnItsWay = 2 };

/// The shadow of one stretch of memory. Zero pages until used.
class Shadow {
 public:
  Shadow() = default;
  explicit Shadow(size_t bytes) { reset(bytes); }
  Shadow(Shadow&& other) noexcept { swap(other); }
  Shadow& operator=(Shadow&& other) noexcept {
    swap(other);
    return *this;
  }
  Shadow(const Shadow&) = delete;
  Shadow& operator=(const Shadow&) = delete;
  ~Shadow() { unmap(); }

  /// Forgets everything.
  void reset(size_t bytes);
  size_t bytes() const { return bytes_; }
  Cell& cell(size_t offset) { return cells_[offset / 4]; }
  uint8_t* states(size_t offset) { return states_ + offset; }
  void mark(size_t offset, size_t bytes, ByteState state);

 private:
  void swap(Shadow& other);
  void unmap();
  Cell* cells_ = nullptr;
  uint8_t* states_ = nullptr;
  size_t bytes_ = 0;
};

/// A device allocation, alive or freed a short while ago.
struct Allocation {
  uintptr_t first;
  size_t bytes;
  bool freed;
  Shadow shadow;
};
/// The one that begins last at or before `address`; null if there is none.
Allocation* allocation_before(uintptr_t address);

void shadow_allocate(const void* memory, size_t bytes);
void shadow_release(const void* memory);  ///< freed, if it was allocated; the address is not used again yet
void shadow_forget(const void* memory);   ///< the address may be used again
/// Device memory that the runtime has written, or whose contents no longer count. Other memory is left alone.
void mark_written(const void* memory, size_t bytes);
void mark_unwritten(const void* memory, size_t bytes);
/// True if any byte is in a live device allocation.
bool in_device_memory(uintptr_t address);

#else

inline void shadow_allocate(const void*, size_t) {}
inline void shadow_release(const void*) {}
inline void shadow_forget(const void*) {}
inline void mark_written(const void*, size_t) {}

#endif

}  // namespace simt
