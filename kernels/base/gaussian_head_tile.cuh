// SPDX-License-Identifier: Apache-2.0
// What the kernels of the Gaussian head (gaussian_head.h) put around gemm_tile.cuh: z and KL of rows whose head is in
// memory, and the gradient of the head as an operand.
#pragma once

#include "kernels/base/gemm_tile.cuh"
#include "kernels/base/latent.cuh"
#include "kernels/gaussian_head.h"

namespace hourglass::cuda {

using gpu::kGemmThreads;
using gpu::Vec4;

/// What another block of this launch has written: past the first-level cache.
__device__ __forceinline__ float fresh(const float* p) { return __ldcg(p); }
__device__ __forceinline__ float fresh(const bf16* p) {
  bf16 x;
  x.bits = __ldcg(reinterpret_cast<const unsigned short*>(p));
  return x;
}

template <class T>
struct LatentRows {
  GaussianHeadShape s;
  Noise noise;
  const T* head;
  T* z;
  float* kl;  ///< null: not wanted
};

/// z and KL of rows [first, last): a row is the work of 2^k neighbouring threads, at most a warp, a quad of columns at
/// a time.
template <class T>
__device__ __forceinline__ void sample_rows(const LatentRows<T>& p, int first, int last, int threads) {
  const int D = p.s.D, quads = (D + 3) / 4, thread = static_cast<int>(threadIdx.x) & (threads - 1);
  for (int start = first; start < last; start += kGemmThreads / threads) {
    const int n = start + static_cast<int>(threadIdx.x) / threads;
    float sum = 0;
    for (int quad = thread; n < last && quad < quads; quad += threads) {
      const T* const mu = p.head + int64_t{n} * 2 * D + 4 * quad;
      const int count = min(4, D - 4 * quad);
      float m[4], sigma[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        m[j] = j < count ? fresh(mu + j) : 0.0f;
        const float lv = j < count ? fresh(mu + D + j) : 0.0f;
        const gpu::Scale scale(lv);
        sigma[j] = scale.sigma();
        if (j < count) sum += ((scale.variance() - 1.0f) - lv) + m[j] * m[j];
      }
      for (int draw = 0; draw < p.s.draws; ++draw) {
        const Vec4 eps = gpu::RowNoise(p.noise, n, draw).normals(quad);
        T* const z = p.z + (int64_t{n} * p.s.draws + draw) * D + 4 * quad;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          if (j < count) z[j] = gpu::from_float<T>(m[j] + sigma[j] * eps[j]);
        }
      }
    }
    for (int distance = threads / 2; distance > 0; distance /= 2) {
      sum += __shfl_xor_sync(gpu::kFullMask, sum, distance);
    }
    if (p.kl && n < last && thread == 0) p.kl[n] = 0.5f * sum;
  }
}

/// dhead = (dmu, dlogvar) of (N, 2 D) as an operand, with one draw: outer index n along the depth k, or k along n.
template <class T, bool kAlongDepth_, bool kVector>
struct LatentGradient {
  static constexpr bool kAlongDepth = kAlongDepth_;
  struct Raw {
    Vec4 dz, p;  // p: mu or logvar
    int row, column;
  };
  const T* head;
  const T* dz;
  Noise noise;
  float g;  // weight of the KL, divided by N
  int N, D;

  __device__ __forceinline__ Raw fetch(int o, int k) const {
    const int row = kAlongDepth ? o : k, column = kAlongDepth ? k : o;
    Raw raw = {{}, gpu::load_four<kVector>(head, row, N, column, 2 * D), row, column};
    if constexpr (kVector) {
      if (dz) raw.dz = gpu::load_four<true>(dz, column < 2 * D ? row : N, N, column < D ? column : column - D, D);
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int k = column + i;
        if (dz && row < N && k < 2 * D) raw.dz[i] = gpu::to_float(dz[int64_t{row} * D + (k < D ? k : k - D)]);
      }
    }
    return raw;
  }
  __device__ __forceinline__ Vec4 value(const Raw& raw) const {
    Vec4 gradient = {};
    if (raw.row >= N) return gradient;
    if constexpr (kVector) {
      if (raw.column >= 2 * D) return gradient;
      if (raw.column < D) {
#pragma unroll
        for (int i = 0; i < 4; ++i) gradient[i] = raw.dz[i] + g * raw.p[i];
      } else {
        const Vec4 eps = gpu::RowNoise(noise, raw.row, 0).normals((raw.column - D) / 4);
#pragma unroll
        for (int i = 0; i < 4; ++i) gradient[i] = of_logvar(raw.p[i], raw.dz[i], eps[i]);
      }
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int k = raw.column + i;
        if (k < D) gradient[i] = raw.dz[i] + g * raw.p[i];
        if (k < D || k >= 2 * D) continue;
        const Vec4 eps = gpu::RowNoise(noise, raw.row, 0).normals((k - D) / 4);
        const int j = (k - D) % 4;
        gradient[i] = of_logvar(raw.p[i], raw.dz[i], j == 0 ? eps[0] : j == 1 ? eps[1] : j == 2 ? eps[2] : eps[3]);
      }
    }
    return gradient;
  }
  __device__ __forceinline__ float of_logvar(float logvar, float d, float eps) const {
    const float e = gpu::Scale(logvar).e;
    return 0.5f * (e * (d * eps) + g * (e * e - 1.0f));
  }
};

}  // namespace hourglass::cuda
