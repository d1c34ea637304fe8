// SPDX-License-Identifier: Apache-2.0
// What the last layer of a Bernoulli decoder (linear_bce.h) does with the sums of gemm_tile.cuh: losses of this thread,
// and gradients.
#pragma once

#include "kernels/base/bernoulli.cuh"
#include "kernels/base/gemm_tile.cuh"

namespace hourglass::cuda {

template <class T, bool kVector>
struct StoreBernoulliGradient {
  const T* bias;
  const T* target;
  T* dlogits;
  int rows, columns, draws;
  float scale;
  float* sum;  // of this thread
  __device__ __forceinline__ void operator()(int row, int column, const gpu::Vec4& sums) const {
    if (row >= rows) return;
    const gpu::Vec4 t = gpu::load_four<kVector>(target, draws == 1 ? row : row / draws, rows, column, columns);
    gpu::Vec4 z = sums, gradient;
    if (bias) {
      const gpu::Vec4 b = gpu::load_four<kVector>(bias, 0, 1, column, columns);
#pragma unroll
      for (int i = 0; i < 4; ++i) z[i] += b[i];
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (column + i < columns) *sum += BernoulliNll::loss(z[i], t[i]);
      gradient[i] = scale * BernoulliNll::slope(z[i], t[i]);
    }
    gpu::write_four<kVector>(dlogits, row, rows, column, columns, gradient, Write::kSet);
  }
};

}  // namespace hourglass::cuda
