// SPDX-License-Identifier: Apache-2.0
#include "engine/buffer.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "engine/control_group.h"
#include "kernels/base/cuda_device.h"
#include "kernels/base/error.h"

namespace hourglass {
namespace {
std::atomic<int64_t> allocation_count{0};
}

void Buffer::Free::operator()(void* p) const { device == Device::kCuda ? cuda::release(p) : std::free(p); }

Buffer::Buffer(const Context& ctx, size_t bytes, const char* what) : bytes_(aligned(bytes)) {
  if (bytes == 0) return;
  const bool on_cuda = ctx.device == Device::kCuda;
  // Linux hands out more than it has and kills later: ask first.
  const size_t available = on_cuda ? cuda::available() : available_memory();
  void* data = bytes_ > available ? nullptr : on_cuda ? cuda::allocate(bytes_) : std::aligned_alloc(kAlignment, bytes_);
  if (!data) {
    throw Error(Exit::kDevice, std::string(what) + ": needs " + format_bytes(bytes_) + " of memory, " +
                                   format_bytes(available) + " available");
  }
  data_ = std::unique_ptr<void, Free>(data, Free{ctx.device});
  if (on_cuda) {
    cuda::zero(ctx.stream, data, bytes_);
  } else {
    std::memset(data, 0, bytes_);
  }
  ++allocation_count;
}

int64_t Buffer::allocations() { return allocation_count; }

size_t available_memory() {
  std::ifstream meminfo("/proc/meminfo");
  std::string key, unit;
  size_t available = SIZE_MAX;
  for (size_t kib; meminfo >> key >> kib; std::getline(meminfo, unit)) {
    if (key == "MemAvailable:") available = kib * 1024;
  }
  return std::min(available, available_to_group("/sys/fs/cgroup"));
}

size_t available_to_group(const std::filesystem::path& folder) {
  std::ifstream limits(folder / "memory.max"), uses(folder / "memory.current"), statistics(folder / "memory.stat");
  size_t limit = 0, used = 0;
  if (!(limits >> limit) || !(uses >> used)) return SIZE_MAX;  // "max" does not read as a number
  // Pages of files that were read count as used, and are given back first.
  std::string key;
  for (size_t bytes; statistics >> key >> bytes;) {
    if (key == "inactive_file") used -= std::min(used, bytes);
  }
  return limit - std::min(limit, used);
}

std::string format_bytes(size_t bytes) {
  const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 1024 && unit < 4) {
    value /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
  return text;
}

}  // namespace hourglass
