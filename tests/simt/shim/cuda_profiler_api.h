// SPDX-License-Identifier: Apache-2.0
// Takes the place of the toolkit's <cuda_profiler_api.h>: there is no profiler to tell.
#pragma once

#include <cuda_runtime.h>

inline cudaError_t cudaProfilerStart() { return cudaSuccess; }
inline cudaError_t cudaProfilerStop() { return cudaSuccess; }
