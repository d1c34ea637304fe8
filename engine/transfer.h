// SPDX-License-Identifier: Apache-2.0
// Copies between the host and device memory: the engine never reads or writes device memory in another way.
#pragma once

#include <cstddef>

#include "kernels/base/context.h"

namespace hourglass {

// In the order of the context's stream; the host's memory may be used again on return.
void to_device(const Context& ctx, void* to, const void* from, size_t bytes);
void to_host(const Context& ctx, void* to, const void* from, size_t bytes);

/// One object of device memory.
template <class T>
T read_device(const Context& ctx, const T* from) {
  T value;
  to_host(ctx, &value, from, sizeof value);
  return value;
}
template <class T>
void write_device(const Context& ctx, T* to, const T& value) {
  to_device(ctx, to, &value, sizeof value);
}

}  // namespace hourglass
