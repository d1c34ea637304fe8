// SPDX-License-Identifier: Apache-2.0
// An owned block of device memory. On the CPU device that is host memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "kernels/base/context.h"

namespace hourglass {

/// 256-byte aligned and zeroed. Allocation is counted, so that a test can show a step makes none.
class Buffer {
 public:
  static constexpr size_t kAlignment = 256;

  Buffer() = default;
  /// Memory of the context's device. Throws Error(kDevice) naming `what`, the bytes wanted and the bytes to be had.
  Buffer(const Context& ctx, size_t bytes, const char* what);

  void* data() const { return data_.get(); }
  size_t bytes() const { return bytes_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_.get());
  }

  /// Allocations made by this process so far.
  static int64_t allocations();

 private:
  struct Free {
    Device device;
    void operator()(void* p) const;
  };
  std::unique_ptr<void, Free> data_{nullptr, Free{Device::kCpu}};
  size_t bytes_ = 0;
};

/// Rounded up to the alignment of device memory.
constexpr size_t aligned(size_t bytes) { return (bytes + Buffer::kAlignment - 1) & ~(Buffer::kAlignment - 1); }

/// Bytes of memory a new allocation can hope for, as the system reports it; SIZE_MAX where it does not.
size_t available_memory();

/// "1.5 GiB".
std::string format_bytes(size_t bytes);

}  // namespace hourglass
