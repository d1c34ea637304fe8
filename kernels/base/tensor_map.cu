// SPDX-License-Identifier: Apache-2.0
// The driver's function is asked for by name, so that the program starts where there is no driver.
#include <cudaTypedefs.h>

#include <string>

#include "kernels/base/gpu.cuh"
#include "kernels/base/tensor_map.h"

namespace hourglass::gpu {
namespace {

using Encode = PFN_cuTensorMapEncodeTiled_v12000;

Encode find_encode() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found);
#else
  const cudaError_t error = cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &function, cudaEnableDefault, &found);
#endif
  if (error != cudaSuccess) static_cast<void>(cudaGetLastError());
  const bool there = error == cudaSuccess && found == cudaDriverEntryPointSuccess;
  return there ? reinterpret_cast<Encode>(function) : nullptr;
}

Encode encode_tiled() {
  static const Encode function = find_encode();
  return function;
}

}  // namespace

TensorMap make_tensor_map(const void* data, const TensorBox& box) {
  static_assert(sizeof(TensorMap) == sizeof(CUtensorMap));
  constexpr int64_t kElement = 2;
  uint64_t extents[TensorBox::kMostRank], strides[TensorBox::kMostRank];
  uint32_t sides[TensorBox::kMostRank], steps[TensorBox::kMostRank];
  for (int i = 0; i < box.rank; ++i) {
    extents[i] = static_cast<uint64_t>(box.extents[i]);
    if (i > 0) strides[i - 1] = static_cast<uint64_t>(box.strides[i] * kElement);
    sides[i] = static_cast<uint32_t>(box.box[i] * box.steps[i]);  // the driver counts what a copy passes over
    steps[i] = static_cast<uint32_t>(box.steps[i]);
  }
  if (!encode_tiled()) throw Error(Exit::kDevice, "cuda: the driver knows no cuTensorMapEncodeTiled");
  TensorMap map;
  const CUresult result = encode_tiled()(reinterpret_cast<CUtensorMap*>(&map), CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                                         static_cast<uint32_t>(box.rank), const_cast<void*>(data), extents, strides,
                                         sides, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                         CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    throw Error(Exit::kDeviceFault, "cuda: cuTensorMapEncodeTiled refuses a tensor of rank " +
                                        std::to_string(box.rank) + ": driver error " +
                                        std::to_string(static_cast<int>(result)));
  }
  return map;
}

bool has_wgmma() {
  int device = 0, major = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return false;
  }
  return major == 9 && encode_tiled() != nullptr;
}

}  // namespace hourglass::gpu
