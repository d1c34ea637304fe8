// SPDX-License-Identifier: Apache-2.0
// Tensor maps, with the rules of the CUDA driver API, "Tensor Map Object Management", cuTensorMapEncodeTiled. What the
// driver refuses is refused here, and what Hourglass does not use as well.
#include "tests/simt/tensor_map.h"

#include <cstring>

#include "tests/simt/report.h"
#include "tests/simt/runtime_api.h"

namespace simt {
namespace {

CUresult refuse(const std::string& why) {
  report("tensor-map", "cuTensorMapEncodeTiled: " + why);
  return CUDA_ERROR_INVALID_VALUE;
}

std::string number(uint64_t value) { return std::to_string(value); }

}  // namespace

CUresult encode_tiled(CUtensorMap* map, CUtensorMapDataType type, uint32_t rank, void* address, const uint64_t* extents,
                      const uint64_t* strides, const uint32_t* box, const uint32_t* steps, CUtensorMapInterleave,
                      CUtensorMapSwizzle swizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  if (reinterpret_cast<uintptr_t>(map) % 64 != 0) return refuse("the map's address is no multiple of 64");
  if (reinterpret_cast<uintptr_t>(address) % 16 != 0) return refuse("the tensor's address is no multiple of 16");
  if (rank < 1 || rank > TensorMap::kMostRank) return refuse("rank " + number(rank) + "; expected 1 to 5");
  TensorMap out = {};
  out.magic = TensorMap::kMagic;
  out.rank = static_cast<uint8_t>(rank);
  out.element_bytes = type == CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 ? 2 : 4;
  out.swizzled = swizzle == CU_TENSOR_MAP_SWIZZLE_128B;
  out.address = static_cast<const char*>(address);
  for (uint32_t i = 0; i < rank; ++i) {
    if (extents[i] < 1 || extents[i] > UINT32_MAX) return refuse("an extent of " + number(extents[i]));
    if (box[i] < 1 || box[i] > 256) return refuse("a box of " + number(box[i]) + "; expected 1 to 256");
    if (steps[i] < 1 || steps[i] > 8) return refuse("a step of " + number(steps[i]) + "; expected 1 to 8");
    out.extent[i] = static_cast<uint32_t>(extents[i]);
    out.box[i] = static_cast<uint16_t>(box[i]);
    out.step[i] = static_cast<uint8_t>(steps[i]);
    out.stride[i] = i == 0 ? out.element_bytes : strides[i - 1];
    if (i > 0 && (strides[i - 1] % 16 != 0 || strides[i - 1] >= uint64_t{1} << 40)) {
      return refuse("a stride of " + number(strides[i - 1]) + " bytes; expected a multiple of 16 below 2^40");
    }
  }
  const uint32_t inner = box[0] * out.element_bytes;
  if (inner % 16 != 0) return refuse("a box of " + number(inner) + " bytes across; expected a multiple of 16");
  if (out.swizzled && inner > 128)
    return refuse("a box of " + number(inner) + " bytes across, more than the swizzle's 128");
  std::memcpy(map, &out, sizeof out);
  return CUDA_SUCCESS;
}

}  // namespace simt

cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* found) {
  const bool known = std::strcmp(symbol, "cuTensorMapEncodeTiled") == 0;
  *function = known ? reinterpret_cast<void*>(&simt::encode_tiled) : nullptr;
  *found = known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}
