// SPDX-License-Identifier: Apache-2.0
#include "engine/transfer.h"

#include <cstring>

#include "kernels/base/cuda_device.h"

namespace hourglass {

void to_device(const Context& ctx, void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  if (ctx.device == Device::kCuda) return cuda::copy_to_device(ctx.stream, to, from, bytes);
  std::memcpy(to, from, bytes);
}

void to_host(const Context& ctx, void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  if (ctx.device == Device::kCuda) return cuda::copy_to_host(ctx.stream, to, from, bytes);
  std::memcpy(to, from, bytes);
}

}  // namespace hourglass
