// SPDX-License-Identifier: Apache-2.0
// Takes the place of the toolkit's <cuda_profiler_api.h>: between the two calls simt::counters().profiled_launches
// counts kernels run.
#pragma once

#include <cuda_runtime.h>

cudaError_t cudaProfilerStart();
cudaError_t cudaProfilerStop();
