// SPDX-License-Identifier: Apache-2.0
// The bodies of the loops that ceilings.cu times: a step of each is a fixed number of one instruction, on operands that
// the steps before have changed, so that no compiler can shorten it. Read in cuobjdump -sass (nvcc 13.0, sm_90a and
// sm_80): the loops hold sixteen steps of the instructions named below, and besides them a counter, a comparison, and a
// branch. Other versions of nvcc may do otherwise.
#pragma once

#include "kernels/base/mma.cuh"

namespace hourglass::bench {

inline constexpr int kChains = 8;

/// Some hash: bits that are neither all zero nor alike.
__device__ __forceinline__ uint32_t random_bits(uint32_t i) {
  i = (i ^ i >> 16) * 0x7feb352du;
  i = (i ^ i >> 15) * 0x846ca68bu;
  return i ^ i >> 16;
}
/// In [1, 2) or (-2, -1].
__device__ __forceinline__ float random_float(uint32_t i) {
  return __uint_as_float((random_bits(i) & 0x807FFFFFu) | 0x3F800000u);
}

__device__ __forceinline__ int least_of_three(int a, int b, int c) {
#if defined(__CUDACC__)
  return __vimin3_s32(a, b, c);
#else
  return a < b ? (a < c ? a : c) : (b < c ? b : c);
#endif
}
__device__ __forceinline__ int most_of_three(int a, int b, int c) {
#if defined(__CUDACC__)
  return __vimax3_s32(a, b, c);
#else
  return a > b ? (a > c ? a : c) : (b > c ? b : c);
#endif
}

/// FFMA.
struct MultiplyAdd {
  static constexpr int kOperations = kChains;
  float acc[kChains], scale, shift;
  __device__ __forceinline__ explicit MultiplyAdd(uint32_t seed)
      : scale(-0.5f * random_float(seed)), shift(random_float(seed + 1)) {
#pragma unroll
    for (int i = 0; i < kChains; ++i) acc[i] = random_float(seed + 2 + i);
  }
  __device__ __forceinline__ void step() {
#pragma unroll
    for (int i = 0; i < kChains; ++i) acc[i] = fmaf(acc[i], scale, shift);
  }
  __device__ __forceinline__ uint32_t result() const {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kChains; ++i) sum += acc[i];
    return __float_as_uint(sum);
  }
};

/// Eight integers, each replaced in a step by what Change makes of it and two others.
template <class Change>
struct Exchange {
  static constexpr int kOperations = kChains;
  int v[kChains];
  __device__ __forceinline__ explicit Exchange(uint32_t seed) {
#pragma unroll
    for (int i = 0; i < kChains; ++i) v[i] = static_cast<int>(random_bits(seed + i));
  }
  __device__ __forceinline__ void step() {
#pragma unroll
    for (int i = 0; i < kChains; ++i) v[i] = Change::of(i, v[i], v[(i + 1) % kChains], v[(i + 2) % kChains]);
  }
  __device__ __forceinline__ uint32_t result() const {
    int all = 0;
#pragma unroll
    for (int i = 0; i < kChains; ++i) all ^= v[i];
    return static_cast<uint32_t>(all);
  }
};

/// VIMNMX3 on compute capability 9.0, two IMNMX before. Least and most in turn: the least alone would soon be one
/// value.
struct Least3 {
  static __device__ __forceinline__ int of(int i, int a, int b, int c) {
    return i % 2 ? most_of_three(a, b, c) : least_of_three(a, b, c);
  }
};
/// FMNMX: of two.
struct FloatLeast2 {
  static __device__ __forceinline__ int of(int i, int a, int b, int) {
    const float x = __int_as_float(a), y = __int_as_float(b);
    return __float_as_int(i % 2 ? fmaxf(x, y) : fminf(x, y));
  }
};
/// Two FMNMX: compute capability 9.0 has none of three.
struct FloatLeast3 {
  static __device__ __forceinline__ int of(int i, int a, int b, int c) {
    const float x = __int_as_float(a), y = __int_as_float(b), z = __int_as_float(c);
    return __float_as_int(i % 2 ? fmaxf(fmaxf(x, y), z) : fminf(fminf(x, y), z));
  }
};
/// LOP3.
struct Logic {
  static __device__ __forceinline__ int of(int, int a, int b, int c) { return (a & b) ^ c; }
};

/// What a search for the nearest code does with two distances: a LOP3 for each, which puts its index into its low bits,
/// and one VIMNMX3.
template <int kPairs>
struct PackedLeast {
  static constexpr int kOperations = 3 * kPairs;
  int x[kPairs], y[kPairs], best[kPairs], mask, bit;
  __device__ __forceinline__ explicit PackedLeast(uint32_t seed)
      : mask(static_cast<int>(random_bits(seed))), bit(static_cast<int>(random_bits(seed + 1))) {
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      x[i] = static_cast<int>(random_bits(seed + 2 + 3 * i));
      y[i] = static_cast<int>(random_bits(seed + 3 + 3 * i));
      best[i] = static_cast<int>(random_bits(seed + 4 + 3 * i));
    }
  }
  __device__ __forceinline__ void pair(int i) {
    x[i] = (x[i] & mask) ^ best[i];
    y[i] = (y[i] | bit) ^ x[i];
    best[i] = least_of_three(best[i], x[i], y[i]);
  }
  __device__ __forceinline__ void step() {
#pragma unroll
    for (int i = 0; i < kPairs; ++i) pair(i);
  }
  __device__ __forceinline__ uint32_t result() const {
    int all = 0;
#pragma unroll
    for (int i = 0; i < kPairs; ++i) all ^= x[i] ^ y[i] ^ best[i];
    return static_cast<uint32_t>(all);
  }
};

/// HMMA.16816.F32.BF16 or HMMA.1688.F32.TF32, kProducts independent sums; operations are a lane's share of the flops.
template <bool kBf16, int kProducts = 4>
struct Product {
  static constexpr int kOperations = kProducts * 2 * 16 * 8 * (kBf16 ? 16 : 8) / gpu::kWarp;
  float sums[kProducts][4];
  uint32_t a[4], b[2];
  __device__ __forceinline__ explicit Product(uint32_t seed) {
#pragma unroll
    for (int i = 0; i < 4; ++i) a[i] = operand(seed + i);
#pragma unroll
    for (int i = 0; i < 2; ++i) b[i] = operand(seed + 4 + i);
#pragma unroll
    for (int i = 0; i < 4 * kProducts; ++i) sums[i / 4][i % 4] = 0;
  }
  static __device__ __forceinline__ uint32_t operand(uint32_t seed) {
    const uint32_t word = __float_as_uint(random_float(seed));
    return kBf16 ? (word & 0xFFFF0000u) | __float_as_uint(random_float(~seed)) >> 16 : gpu::to_tf32(word);
  }
  __device__ __forceinline__ void multiply(int i) {
    if constexpr (kBf16) {
      gpu::mma_m16n8k16(sums[i], a, b);
    } else {
      gpu::mma_m16n8k8(sums[i], a, b);
    }
  }
  __device__ __forceinline__ void step() {
#pragma unroll
    for (int i = 0; i < kProducts; ++i) multiply(i);
  }
  __device__ __forceinline__ uint32_t result() const {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 4 * kProducts; ++i) sum += sums[i / 4][i % 4];
    return __float_as_uint(sum);
  }
};

/// Four products of a step and kPairs pairs of distances in the same warp. Counts the product's flops.
template <int kPairs>
struct ProductAndLeast {
  static constexpr int kOperations = Product<true>::kOperations;
  Product<true> product;
  PackedLeast<4> least;
  __device__ __forceinline__ explicit ProductAndLeast(uint32_t seed) : product(seed), least(~seed) {}
  __device__ __forceinline__ void step() {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      product.multiply(i);
#pragma unroll
      for (int pair = i * kPairs / 4; pair < (i + 1) * kPairs / 4; ++pair) least.pair(pair % 4);
    }
  }
  __device__ __forceinline__ uint32_t result() const { return product.result() ^ least.result(); }
};

}  // namespace hourglass::bench
