// SPDX-License-Identifier: Apache-2.0
// What stands in an emulated CUtensorMap.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace simt {

struct TensorMap {
  static constexpr uint32_t kMagic = 0x7E4503A9;
  static constexpr int kMostRank = 5;
  uint32_t magic;
  uint8_t rank, element_bytes, swizzled;  ///< swizzled: the 128-byte pattern
  uint8_t step[kMostRank];
  uint16_t box[kMostRank];
  uint32_t extent[kMostRank];
  const char* address;
  uint64_t stride[kMostRank];  ///< bytes; of the innermost dimension the element's

  /// Elements that a copy brings along a dimension.
  int count(int dimension) const { return (box[dimension] + step[dimension] - 1) / step[dimension]; }
  uint32_t box_bytes() const {
    uint32_t bytes = element_bytes;
    for (int i = 0; i < rank; ++i) bytes *= static_cast<uint32_t>(i == 0 ? box[0] : count(i));
    return bytes;
  }
};
static_assert(sizeof(TensorMap) <= sizeof(CUtensorMap));

/// cuTensorMapEncodeTiled.
CUresult encode_tiled(CUtensorMap* map, CUtensorMapDataType type, uint32_t rank, void* address, const uint64_t* extents,
                      const uint64_t* strides, const uint32_t* box, const uint32_t* steps,
                      CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
                      CUtensorMapFloatOOBfill fill);

}  // namespace simt
