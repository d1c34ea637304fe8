// SPDX-License-Identifier: Apache-2.0
// One tile of a matrix product on the tensor cores, by one block; operands and stores are those of conv2d_operands.cuh.
//
//   global -- cp.async --> kStages shared buffers -- ldmatrix --> fragments -- mma.sync --> sums in registers
//
// A stage is kDepth terms, 64 bytes of each row. While one is multiplied, kStages - 1 are on their way; one barrier a
// stage. A warp owns kWarpRows x 32 sums. At the end the sums pass through shared memory, so that each thread stores
// four neighbours and a warp whole lines.
//
// T = bf16 multiplies as it is, float as tf32 (operands rounded to nearest). Sums are float.
//
// Shared layout, in units of 16 bytes. Operands along the depth lie as rows o of four units, unit u at u ^ (o / 2 % 4);
// the others as rows k of kOuter elements, unit u at u ^ (k % 8) (bf16) or u ^ 2 (k % 4) (tf32). The exclusive or
// spreads what a warp reads at a time, eight rows of one unit, over all banks. bf16 across the depth is transposed by
// ldmatrix; tf32 cannot be, and is read word by word.
#pragma once

#include <algorithm>

#include "kernels/base/mma.cuh"

namespace hourglass::gpu {

/// kSide x kSide results; 64: four warps, 128: eight.
template <class T_, int kSide_>
struct MmaTile {
  using T = T_;
  static constexpr int kSide = kSide_;
  static constexpr int kUnit = 16 / sizeof(T);  ///< elements of one copy
  static constexpr int kDepth = 4 * kUnit;
  static constexpr int kStages = 4;
  static constexpr int kWarpsAcross = kSide / 32, kThreads = 2 * kWarpsAcross * kWarp;
  static constexpr int kBlocks = kSide == 64 ? 4 : 2;  ///< that share a multiprocessor: bounds the registers
  static constexpr int kMmaRows = kSide / 32;          ///< 16-row products of a warp, above one another
  static constexpr int kOperandUnits = kSide * 4;      ///< of one stage
  static constexpr int kPitch = kSide + 8;             ///< of the sums in shared memory
  static constexpr size_t kSharedBytes =
      std::max(size_t{kStages} * 2 * kOperandUnits * 16, size_t{kSide} * kPitch * sizeof(float));
};

namespace detail {

template <class Tile, bool kAlongDepth>
__device__ __forceinline__ int unit_at(int row, int unit) {
  if constexpr (kAlongDepth) return row * 4 + (unit ^ (row / 2 % 4));
  constexpr int kRow = Tile::kSide / Tile::kUnit;
  return row * kRow + (unit ^ (sizeof(typename Tile::T) == 2 ? row % 8 : 2 * (row % 4)));
}

/// This thread's part of moving a stage of one operand to shared memory: two units, which share the outer index or the
/// term.
template <class Tile, class Operand, bool kVector>
struct MmaStage {
  using T = typename Tile::T;
  static constexpr bool kAlong = Operand::kAlongDepth;
  static constexpr int kUnits = Tile::kOperandUnits / Tile::kThreads;
  static constexpr int kRow = kAlong ? 4 : Tile::kSide / Tile::kUnit;  // units of a row
  static constexpr int kStep = Tile::kThreads / kRow;  // rows from one of the thread's units to the next
  static_assert(Tile::kThreads % kRow == 0 && kUnits * Tile::kThreads == Tile::kOperandUnits);

  const Operand& operand;
  int first, row, unit;
  typename Operand::Outer outer[kAlong ? kUnits : 1];

  __device__ __forceinline__ MmaStage(const Operand& operand_, int first_) : operand(operand_), first(first_) {
    row = static_cast<int>(threadIdx.x) / kRow;
    unit = static_cast<int>(threadIdx.x) % kRow;
    if constexpr (kVector) {
      if constexpr (kAlong) {
#pragma unroll
        for (int i = 0; i < kUnits; ++i) outer[i] = operand.outer(first + row + i * kStep);
      } else {
        outer[0] = operand.outer(first + unit * Tile::kUnit);
      }
    }
  }

  __device__ __forceinline__ void fetch(uint4* buffer, int first_k) const {
#pragma unroll
    for (int i = 0; i < kUnits; ++i) {
      uint4* const to = buffer + unit_at<Tile, kAlong>(row + i * kStep, unit);
      if constexpr (!kVector) {
        *to = gathered(i, first_k);
      } else if constexpr (kAlong) {
        const T* const from = operand.at(outer[i], operand.depth(first_k + unit * Tile::kUnit));
        cp_async16(to, from, from != nullptr);
      } else {
        const T* const from = operand.at(outer[0], operand.depth(first_k + row + i * kStep));
        cp_async16(to, from, from != nullptr);
      }
    }
  }

  /// Element by element, for extents and addresses that allow no copies of 16 bytes.
  __device__ __forceinline__ uint4 gathered(int i, int first_k) const {
    uint32_t words[4] = {};
#pragma unroll
    for (int j = 0; j < Tile::kUnit; ++j) {
      const int o = kAlong ? first + row + i * kStep : first + unit * Tile::kUnit + j;
      const int k = kAlong ? first_k + unit * Tile::kUnit + j : first_k + row + i * kStep;
      const T* const from = operand.at(operand.outer(o), operand.depth(k));
      if (!from) continue;
      if constexpr (sizeof(T) == 2) {
        words[j / 2] |= static_cast<uint32_t>(from->bits) << (j % 2 * 16);
      } else {
        words[j] = __float_as_uint(*from);
      }
    }
    return make_uint4(words[0], words[1], words[2], words[3]);
  }
};

/// A word of a tf32 operand that lies across the depth: outer index base + local + g, term k + t, with g = lane / 4 and
/// t = lane % 4. base is a multiple of 32 and local of 8, known to the compiler: so few different addresses are kept.
template <class Tile>
__device__ __forceinline__ uint32_t word_across(const uint4* buffer, int base, int local, int k) {
  const int g = lane() / 4, t = lane() % 4, unit = local / 4;
  const uint32_t* const row = reinterpret_cast<const uint32_t*>(buffer) + (k + t) * Tile::kSide + base + g % 4;
  return row[4 * (unit - unit % 8 + (unit % 8 ^ (g / 4 ^ 2 * t)))];
}

/// Words 0 ... 3 of A for rows base + local ... + 15, product `step` of a stage.
template <class Tile, bool kAlong>
__device__ __forceinline__ void load_a(uint32_t (&a)[4], const uint4* buffer, int base, int local, int step) {
  const int l = lane(), row = base + local;
  if constexpr (kAlong) {
    ldmatrix_x4(a, buffer + unit_at<Tile, true>(row + l % 16, 2 * step + l / 16));
  } else if constexpr (sizeof(typename Tile::T) == 2) {
    ldmatrix_x4_trans(a, buffer + unit_at<Tile, false>(16 * step + l / 16 * 8 + l % 8, row / 8 + l / 8 % 2));
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) a[i] = word_across<Tile>(buffer, base, local + 8 * (i % 2), 8 * step + 4 * (i / 2));
  }
}

/// B for columns base + local ... + 7 (words 0, 1) and the eight after them (words 2, 3).
template <class Tile, bool kAlong>
__device__ __forceinline__ void load_b(uint32_t (&b)[4], const uint4* buffer, int base, int local, int step) {
  const int l = lane(), column = base + local;
  if constexpr (kAlong) {
    ldmatrix_x4(b, buffer + unit_at<Tile, true>(column + l / 16 * 8 + l % 8, 2 * step + l / 8 % 2));
  } else if constexpr (sizeof(typename Tile::T) == 2) {
    ldmatrix_x4_trans(b, buffer + unit_at<Tile, false>(16 * step + l / 8 % 2 * 8 + l % 8, column / 8 + l / 16));
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) b[i] = word_across<Tile>(buffer, base, local + 8 * (i / 2), 8 * step + 4 * (i % 2));
  }
}

/// The sums of one thread.
template <class Tile>
struct MmaSums {
  float v[Tile::kMmaRows][4][4] = {};
  int row, column;  // of the warp

  __device__ __forceinline__ MmaSums() {
    row = warp() / Tile::kWarpsAcross * (Tile::kSide / 2);
    column = warp() % Tile::kWarpsAcross * 32;
  }

  template <bool kAlongA, bool kAlongB>
  __device__ __forceinline__ void multiply(const uint4* buffer) {
    constexpr bool kBf16 = sizeof(typename Tile::T) == 2;
#pragma unroll
    for (int step = 0; step < 2; ++step) {
      uint32_t b[2][4];
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        load_b<Tile, kAlongB>(b[j], buffer + Tile::kOperandUnits, column, 16 * j, step);
        if constexpr (!kBf16) round_words(b[j]);
      }
#pragma unroll
      for (int i = 0; i < Tile::kMmaRows; ++i) {
        uint32_t a[4];
        load_a<Tile, kAlongA>(a, buffer, row, 16 * i, step);
        if constexpr (!kBf16) round_words(a);
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const uint32_t pair[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
          if constexpr (kBf16) {
            mma_m16n8k16(v[i][j], a, pair);
          } else {
            mma_m16n8k8(v[i][j], a, pair);
          }
        }
      }
    }
  }
  static __device__ __forceinline__ void round_words(uint32_t (&words)[4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) words[i] = to_tf32(words[i]);
  }

  __device__ __forceinline__ void save(float* to) const {
    const int g = lane() / 4, t = lane() % 4;
#pragma unroll
    for (int i = 0; i < Tile::kMmaRows; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        float* const at = to + (row + 16 * i + g) * Tile::kPitch + column + 8 * j + 2 * t;
        *reinterpret_cast<float2*>(at) = make_float2(v[i][j][0], v[i][j][1]);
        *reinterpret_cast<float2*>(at + 8 * Tile::kPitch) = make_float2(v[i][j][2], v[i][j][3]);
      }
    }
  }
};

}  // namespace detail

/// Computes the tile that begins at (row, column) over `depth` terms. All threads of the block call it.
template <class Tile, bool kVector, class A, class B, class Store>
__device__ __forceinline__ void mma_tile(const A& a, const B& b, int row, int column, int depth, const Store& store) {
  uint4* const shared = dynamic_shared<uint4>();
  const int stages = (depth + Tile::kDepth - 1) / Tile::kDepth;
  detail::MmaSums<Tile> sums;
  {
    const detail::MmaStage<Tile, A, kVector> stage_a(a, row);
    const detail::MmaStage<Tile, B, kVector> stage_b(b, column);
    const auto fetch = [&](int stage) {
      uint4* const buffer = shared + stage % Tile::kStages * 2 * Tile::kOperandUnits;
      if (stage < stages) {
        stage_a.fetch(buffer, stage * Tile::kDepth);
        stage_b.fetch(buffer + Tile::kOperandUnits, stage * Tile::kDepth);
      }
      cp_async_commit();  // an empty group too, so that the count below holds to the end
    };
#pragma unroll
    for (int stage = 0; stage < Tile::kStages - 1; ++stage) fetch(stage);
    for (int stage = 0; stage < stages; ++stage) {
      cp_async_wait<Tile::kStages - 2>();
      __syncthreads();  // the stage has arrived for all, and all have read the one whose buffer is next
      fetch(stage + Tile::kStages - 1);
      sums.template multiply<A::kAlongDepth, B::kAlongDepth>(shared + stage % Tile::kStages * 2 * Tile::kOperandUnits);
    }
  }
  cp_async_wait<0>();
  __syncthreads();
  float* const results = reinterpret_cast<float*>(shared);
  sums.save(results);
  __syncthreads();
  constexpr int kFours = Tile::kSide / 4;
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < Tile::kSide * kFours; i += Tile::kThreads) {
    store(row + i / kFours, column + i % kFours * 4, load4(results + i / kFours * Tile::kPitch + i % kFours * 4));
  }
}

}  // namespace hourglass::gpu
