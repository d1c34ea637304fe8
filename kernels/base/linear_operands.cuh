// SPDX-License-Identifier: Apache-2.0
// What the CUDA kernels of the linear layer and of the ops that are fused with it put into gemm_tile.cuh: the store of
// its output, the operand of its backward, and the operand and store of its parameters' gradients.
#pragma once

#include "kernels/base/activation_functions.h"
#include "kernels/base/gemm_tile.cuh"

namespace hourglass::gpu {

/// y = f(sums + bias); bias may be null.
template <class T, bool kVector>
struct StoreActivated {
  const T* bias;
  T* y;
  int rows, columns;
  Activation activation;
  __device__ __forceinline__ void operator()(int row, int column, const Vec4& sums) const {
    Vec4 z = sums;
    if (bias) {
      const Vec4 b = load_four<kVector>(bias, 0, 1, column, columns);
#pragma unroll
      for (int i = 0; i < 4; ++i) z[i] += b[i];
    }
    with_activation(activation, [&](auto f) {
      if constexpr (f.value != Activation::kGelu) {
#pragma unroll
        for (int i = 0; i < 4; ++i) z[i] = activate<f.value>(z[i]);
      }
    });
    write_four<kVector>(y, row, rows, column, columns, z, Write::kSet);
  }
};

/// dz = dy f'(y) of (N, K) matrices as an operand: outer index n along the depth K, or k along the depth N.
template <class T, bool kAlongDepth_, bool kVector>
struct Derivative {
  static constexpr bool kAlongDepth = kAlongDepth_;
  struct Raw {
    Vec4 dy, y;
  };
  const T* dy;
  const T* y;
  int N, K;
  Activation activation;
  __device__ __forceinline__ Raw fetch(int o, int k) const {
    const int row = kAlongDepth ? o : k, column = kAlongDepth ? k : o;
    Raw raw = {load_four<kVector>(dy, row, N, column, K), {}};
    if (activation != Activation::kNone) raw.y = load_four<kVector>(y, row, N, column, K);
    return raw;
  }
  __device__ __forceinline__ Vec4 value(const Raw& raw) const {
    Vec4 dz = raw.dy;
    with_activation(activation, [&](auto f) {
      if constexpr (f.value != Activation::kGelu && f.value != Activation::kNone) {
#pragma unroll
        for (int i = 0; i < 4; ++i) dz[i] *= derivative_from_output<f.value>(raw.y[i]);
      }
    });
    return dz;
  }
};

/// [x 1] as an operand: outer index c = 0 ... C, depth N.
template <class T, bool kVector>
struct WithOnes {
  static constexpr bool kAlongDepth = false;
  using Raw = Vec4;
  const T* x;
  int C, N;
  __device__ __forceinline__ Raw fetch(int c, int n) const {
    Vec4 four = load_four<kVector>(x, n, N, c, C);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (c + i == C && n < N) four[i] = 1;
    }
    return four;
  }
  __device__ __forceinline__ Vec4 value(const Raw& raw) const { return raw; }
};

/// dw and db from dz^T [x 1], or from [x 1]^T dz.
template <bool kTransposed, bool kVector>
struct StoreWeight {
  Grad<float> dw, db;
  int C, K;
  __device__ __forceinline__ void operator()(int row, int column, const Vec4& four) const {
    if constexpr (kTransposed) {
      if (dw) write_four<kVector>(dw.data, row, C, column, K, four, dw.mode);
      if (db && row == C) write_four<kVector>(db.data, 0, 1, column, K, four, db.mode);
    } else {
      if (dw) write_four<kVector>(dw.data, row, K, column, C, four, dw.mode);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if (db && column + i == C && row < K) write(db.data[row], four[i], db.mode);
      }
    }
  }
};

/// The columns of [x 1] that are wanted: [first, first + count).
struct Inputs {
  int first, count;
};
inline Inputs wanted_inputs(int C, bool dw, bool db) {
  const int first = dw ? 0 : C;
  return {first, (db ? C + 1 : C) - first};
}

}  // namespace hourglass::gpu
