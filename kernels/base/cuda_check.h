// SPDX-License-Identifier: Apache-2.0
// CUDA_CHECK(call): throws when a CUDA runtime call fails. For the host side of the CUDA device; kernels are checked by
// gpu::launch (gpu.cuh). `<cuda_runtime.h>` is the toolkit's, or the emulator's in an emulated build.
#pragma once

#include <cuda_runtime.h>

#include <string>

#include "kernels/base/error.h"

namespace hourglass::gpu {

/// kDevice for what a user can mend (no device, an old driver, a card without a kernel image, too little memory),
/// kDeviceFault for the rest.
inline Exit exit_of(cudaError_t error) {
  switch (error) {
    case cudaErrorMemoryAllocation:
    case cudaErrorInsufficientDriver:
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
    case cudaErrorNoKernelImageForDevice:
      return Exit::kDevice;
    default:
      return Exit::kDeviceFault;
  }
}

/// Throws "<file>:<line>: <what>: <error name> (<number>): <its text>" unless `error` is cudaSuccess.
inline void check(cudaError_t error, const std::string& what, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
  if (error == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());  // so that a later check does not report this error again
  throw Error(exit_of(error), std::string(file) + ":" + std::to_string(line) + ": " + what + ": " +
                                  cudaGetErrorName(error) + " (" + std::to_string(static_cast<int>(error)) +
                                  "): " + cudaGetErrorString(error));
}

}  // namespace hourglass::gpu

#define CUDA_CHECK(call)                                                                   \
  do {                                                                                     \
    const cudaError_t cuda_check_error = (call);                                           \
    if (cuda_check_error != cudaSuccess) ::hourglass::gpu::check(cuda_check_error, #call); \
  } while (false)
