// SPDX-License-Identifier: Apache-2.0
// The rows of a step (step_state.h), read or written by one block whose threads take the columns.
#pragma once

#include "kernels/base/error.h"
#include "kernels/base/gpu.cuh"
#include "kernels/step_state.h"

namespace hourglass::cuda {

__device__ __forceinline__ void load_row(const Schedule& s, int64_t step, Fault* fault) {
  const int64_t r = step - *s.base;
  if (r >= 0 && r < s.shape.rows) {
    const double* const from = s.table + r * s.shape.columns;
    for (int c = static_cast<int>(threadIdx.x); c < s.shape.columns; c += static_cast<int>(blockDim.x))
      s.row[c] = from[c];
  } else if (threadIdx.x == 0 && fault->code == 0) {
    *fault = {static_cast<int32_t>(Exit::kInternal), kFaultSchedule, step, r};
  }
}

template <class T>
__device__ __forceinline__ void write_row(const TableShape& s, const T* statistics, const Norm* norm, int64_t step,
                                          double* table) {
  if (s.rows <= 0) return;
  double* const row = table + step % s.rows * s.columns;
  for (int c = static_cast<int>(threadIdx.x); c < s.columns; c += static_cast<int>(blockDim.x)) {
    row[c] = c < s.columns - 1 ? static_cast<double>(statistics[c]) : norm ? norm->norm : 0;
  }
}

}  // namespace hourglass::cuda
