// SPDX-License-Identifier: Apache-2.0
// What the copy engine of sm_90 knows of a tensor of bf16: where it lies, and the box that one copy moves
// (base/hopper.cuh). Made on the host, by the driver, and handed to kernels as a __grid_constant__ parameter.
#pragma once

#include <cstdint>

namespace hourglass::gpu {

/// A CUtensorMap, opaque.
struct alignas(64) TensorMap {
  uint64_t words[16];
};

struct TensorBox {
  static constexpr int kMostRank = 5;
  int rank = 0;
  int64_t extents[kMostRank] = {};  ///< elements of the tensor, innermost first
  int64_t strides[kMostRank] =
      {};                     ///< elements from one to the next; of the innermost 1, of the others a multiple of 8
  int box[kMostRank] = {};    ///< elements that a copy brings
  int steps[kMostRank] = {};  ///< 1 to 8: every so many-th element
};

/// Copies with the 128-byte swizzle; box[0] is at most 64. `data` is aligned to 16. Throws Error(kDeviceFault) if the
/// driver refuses, Error(kDevice) if it knows no tensor maps.
TensorMap make_tensor_map(const void* data, const TensorBox& box);

/// Whether the current device and its driver have what base/hopper.cuh needs: compute capability 9.
bool has_wgmma();

}  // namespace hourglass::gpu
