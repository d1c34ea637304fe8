// SPDX-License-Identifier: Apache-2.0
// Pixels of a batch (batch.h) as its kernels load them.
#pragma once

#include "kernels/base/batch_order.h"
#include "kernels/base/philox.h"
#include "kernels/base/row_tasks.cuh"

namespace hourglass::cuda {

/// The draws of a binarisation as the kernel needs them: `noise` is binarize_noise's, its pointers on the device.
struct PixelNoise {
  Noise noise;
  bool draws = false;    ///< whether to binarise at all
  bool by_step = false;  ///< keyed by step and row of the batch; else by row of the store, with step 0
};

/// value / 255 for each of the 256 bytes, correctly rounded, without a division: 1 / 255 in two parts, of which the
/// first times a byte is exact. The fused multiply-add is named, so that every compiler makes the same one.
__device__ __forceinline__ float scaled(uint8_t value) {
  const auto x = static_cast<float>(value);
  return fmaf(x, 0x1.01p-8f, x * 0x1.010102p-24f);
}

template <bool kVector>
__device__ __forceinline__ gpu::Vec4 load_pixels(const uint8_t* p, int count) {
  if constexpr (kVector) {
    const uchar4 x = *reinterpret_cast<const uchar4*>(p);
    return {{scaled(x.x), scaled(x.y), scaled(x.z), scaled(x.w)}};
  } else {
    gpu::Vec4 v{};
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (j < count) v[j] = scaled(p[j]);
    }
    return v;
  }
}
template <bool kVector>
__device__ __forceinline__ gpu::Vec4 load_pixels(const float* p, int count) {
  return gpu::load_quad<kVector>(p, count);
}

/// Four draws: 1 with the pixel's probability. `key` and `step`: PixelNoise.
__device__ __forceinline__ gpu::Vec4 binarized(const Noise& noise, uint32_t key, uint32_t step, int quad, gpu::Vec4 v) {
  const PhiloxWords words = philox(noise.seed, noise.stream, static_cast<uint32_t>(quad), 0, key, step);
#pragma unroll
  for (int j = 0; j < 4; ++j) v[j] = uniform_of_word<float>(words.w[j]) < v[j] ? 1.0f : 0.0f;
  return v;
}

}  // namespace hourglass::cuda
