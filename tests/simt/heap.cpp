// SPDX-License-Identifier: Apache-2.0
// Device memory and pinned host memory: poisoned blocks of the host's heap, known by address. Under AddressSanitizer
// an access one byte past an allocation is found.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>

#include "tests/simt/checker.h"
#include "tests/simt/report.h"
#include "tests/simt/shadow.h"
#include "tests/simt/stream.h"

#if defined(HOURGLASS_SANITIZED)
#include <sanitizer/asan_interface.h>
#endif

namespace simt {
namespace {

constexpr size_t kAlignment = 256;
/// Kept free on both sides of an allocation, and freed memory kept from use, so that the access checker knows what an
/// address was meant for.
constexpr size_t kMargin = kChecked ? 256 : 0;
constexpr size_t kMostRetired = kChecked ? 64 << 20 : 0;

class Heap {
 public:
  void* allocate(size_t bytes) {
    const size_t rounded = (std::max<size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
    auto* const block = static_cast<char*>(std::aligned_alloc(kAlignment, rounded + 2 * kMargin));
    if (!block) return nullptr;
    char* const memory = block + kMargin;
    std::memset(memory, config().poison, rounded);
#if defined(HOURGLASS_SANITIZED)
    __asan_poison_memory_region(memory + bytes, rounded - bytes);
#endif
    blocks_[reinterpret_cast<uintptr_t>(memory)] = bytes;
    bytes_ += bytes;
    return memory;
  }
  bool release(void* memory) {
    const auto found = blocks_.find(reinterpret_cast<uintptr_t>(memory));
    if (found == blocks_.end()) return false;
#if defined(HOURGLASS_SANITIZED)
    __asan_unpoison_memory_region(memory, (found->second + kAlignment - 1) / kAlignment * kAlignment);
#endif
    bytes_ -= found->second;
    retired_.push_back({memory, found->second});
    retired_bytes_ += found->second;
    blocks_.erase(found);
    while (retired_bytes_ > kMostRetired || (kMostRetired == 0 && !retired_.empty())) free_oldest();
    return true;
  }
  bool contains(const void* pointer, size_t bytes) const {
    const auto address = reinterpret_cast<uintptr_t>(pointer);
    auto after = blocks_.upper_bound(address);
    if (after == blocks_.begin()) return false;
    --after;
    return address + bytes <= after->first + after->second;
  }
  size_t bytes() const { return bytes_; }

 private:
  struct Retired {
    void* memory;
    size_t bytes;
  };
  void free_oldest() {
    const Retired oldest = retired_.front();
    retired_.pop_front();
    retired_bytes_ -= oldest.bytes;
    shadow_forget(oldest.memory);
    std::free(static_cast<char*>(oldest.memory) - kMargin);
  }

  std::map<uintptr_t, size_t> blocks_;
  std::deque<Retired> retired_;
  size_t bytes_ = 0, retired_bytes_ = 0;
};

Heap& device_heap() {
  static Heap& heap = *new Heap;  // outlives every static object that still frees memory
  return heap;
}
Heap& pinned_heap() {
  static Heap& heap = *new Heap;
  return heap;
}

cudaError_t allocate(Heap& heap, void** pointer, size_t bytes) {
  if (const cudaError_t refused = refuse_during_capture()) return refused;
  if (const cudaError_t fault = device_fault()) return fault;
  *pointer = nullptr;
  if (bytes == 0) return cudaSuccess;
  if (&heap == &device_heap() && heap.bytes() + bytes > config().device_bytes) {
    return remember(cudaErrorMemoryAllocation);
  }
  *pointer = heap.allocate(bytes);
  if (!*pointer) return remember(cudaErrorMemoryAllocation);
  if (&heap == &device_heap()) shadow_allocate(*pointer, bytes);
  ++counters().allocations;
  counters().live_bytes = static_cast<int64_t>(device_heap().bytes());
  return cudaSuccess;
}

cudaError_t release(Heap& heap, void* pointer) {
  if (const cudaError_t refused = refuse_during_capture()) return refused;
  if (!pointer) return cudaSuccess;
  drain_all();
  if (&heap == &device_heap()) shadow_release(pointer);
  if (!heap.release(pointer)) {
    report("free", "a pointer that this heap has not allocated, or has freed before");
    return remember(cudaErrorInvalidValue);
  }
  counters().live_bytes = static_cast<int64_t>(device_heap().bytes());
  return cudaSuccess;
}

const char* name(bool device) { return device ? "device memory" : "host memory, or beyond its allocation"; }

/// Reports a copy whose pointers are not where its kind says.
cudaError_t check_copy(const void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault) return cudaErrorInvalidMemcpyDirection;
  if (kind == cudaMemcpyDefault) return cudaSuccess;
  const bool to_device = is_device_memory(to, bytes), from_device = is_device_memory(from, bytes);
  const bool wants_to = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool wants_from = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (to_device == wants_to && from_device == wants_from) return cudaSuccess;
  report("memcpy", "a copy of " + std::to_string(bytes) + " bytes of kind " + std::to_string(kind) + " from " +
                       name(from_device) + " to " + name(to_device));
  return cudaErrorInvalidValue;
}

cudaError_t check_set(const void* to, size_t bytes) {
  if (is_device_memory(to, bytes)) return cudaSuccess;
  report("memset", std::to_string(bytes) + " bytes that are not in one device allocation");
  return cudaErrorInvalidValue;
}

bool is_pageable(const void* pointer, size_t bytes) {
  return !is_device_memory(pointer, bytes) && !is_pinned_memory(pointer, bytes);
}

/// A copy that has read `from` when this returns, and writes `to` in its turn.
cudaError_t push_staged(void* to, const void* from, size_t bytes, cudaStream_t stream) {
  const auto* first = static_cast<const unsigned char*>(from);
  return push(stream, cudaGraphNodeTypeMemcpy, [to, staged = std::vector<unsigned char>(first, first + bytes)] {
    std::memcpy(to, staged.data(), staged.size());
    mark_written(to, staged.size());
  });
}

}  // namespace

bool is_device_memory(const void* pointer, size_t bytes) { return device_heap().contains(pointer, bytes); }
bool is_pinned_memory(const void* pointer, size_t bytes) { return pinned_heap().contains(pointer, bytes); }

bool has_access_checker() { return kChecked; }
void forget_contents([[maybe_unused]] const void* device_memory, [[maybe_unused]] size_t bytes) {
#if defined(HOURGLASS_SIMT_CHECK)
  mark_unwritten(device_memory, bytes);
#endif
}

}  // namespace simt

using namespace simt;

cudaError_t cudaMalloc(void** pointer, size_t bytes) { return allocate(device_heap(), pointer, bytes); }
cudaError_t cudaFree(void* pointer) { return release(device_heap(), pointer); }
cudaError_t cudaMallocHost(void** pointer, size_t bytes) { return allocate(pinned_heap(), pointer, bytes); }
cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) { return cudaMallocHost(pointer, bytes); }
cudaError_t cudaFreeHost(void* pointer) { return release(pinned_heap(), pointer); }

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = config().device_bytes;
  *free = *total - device_heap().bytes();
  return cudaSuccess;
}

/// From pageable memory it returns when the bytes are staged: they arrive in the order of the default stream.
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  if (const cudaError_t refused = refuse_during_capture()) return refused;
  ++counters().synchronizations;
  drain_blocking();
  if (const cudaError_t fault = device_fault()) return fault;
  if (bytes == 0) return cudaSuccess;
  if (const cudaError_t error = check_copy(to, from, bytes, kind)) return remember(error);
  if (is_pageable(from, bytes) && is_device_memory(to, bytes)) return push_staged(to, from, bytes, nullptr);
  std::memcpy(to, from, bytes);
  mark_written(to, bytes);
  return cudaSuccess;
}

/// A copy from pageable memory reads it before the call returns; a copy to pageable memory waits for the stream. In a
/// capture both are refused.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  SimtStream& target = stream_of(stream);
  if (bytes == 0) return cudaSuccess;
  if (const cudaError_t error = check_copy(to, from, bytes, kind)) return remember(error);
  const bool reads_pageable = is_pageable(from, bytes), writes_pageable = is_pageable(to, bytes);
  if (target.capture && (reads_pageable || writes_pageable)) {
    return invalidate(*target.capture, cudaErrorStreamCaptureUnsupported);
  }
  if (reads_pageable) return push_staged(to, from, bytes, stream);
  const cudaError_t error = push(stream, cudaGraphNodeTypeMemcpy, [=] {
    std::memmove(to, from, bytes);
    mark_written(to, bytes);
  });
  if (error == cudaSuccess && writes_pageable) {
    ++counters().synchronizations;
    drain(target);
  }
  return error;
}

cudaError_t cudaMemset(void* to, int byte, size_t bytes) { return cudaMemsetAsync(to, byte, bytes, nullptr); }

cudaError_t cudaMemsetAsync(void* to, int byte, size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (const cudaError_t error = check_set(to, bytes)) return remember(error);
  return push(stream, cudaGraphNodeTypeMemset, [=] {
    std::memset(to, byte, bytes);
    mark_written(to, bytes);
  });
}
