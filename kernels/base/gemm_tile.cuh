// SPDX-License-Identifier: Apache-2.0
// One tile of a matrix product on CUDA cores, in float arithmetic, by one block: what gemm.cu and linear.cu are made
// of. With Math::kTf32 operands are rounded to tf32 as they are staged: the numbers of the tensor cores, not their
// speed.
//
//   for each stage of kDepth terms: two operands -> registers -> shared memory -> kPerThread^2 sums in each thread
//
// The next stage travels from global memory to registers while the present one is multiplied, and lands in the other
// of two shared buffers: one barrier a stage. The block's threads form kGroups groups. Each group owns the whole tile
// and a share of every stage's terms, so that a small tile, of which a small product has many, still fills a block
// with threads; the groups' sums meet in shared memory at the end, in fixed order. A thread owns rows and columns in
// runs of four, read as Vec4.
//
// Operands say where elements come from, and may compute them (linear.cu: dy f'(y)); a store says what becomes of the
// sums (gradient, or bias and activation). An operand is a struct with
//
//   static constexpr bool kAlongDepth        whether neighbours in memory differ in the term k, or in the outer index o
//   Raw fetch(int o, int k) const            the four elements from (o, k) along that direction, zeros outside
//   static/const Vec4 value(const Raw&)      their values: after the multiplication that hides the fetch's latency
//
// and a store is a callable (int row, int column, const Vec4&) that ignores what lies outside.
#pragma once

#include "kernels/base/gemm_cut.h"
#include "kernels/base/gpu.cuh"
#include "kernels/base/mma.cuh"

namespace hourglass::gpu {

template <int kRows_, int kColumns_, int kDepth_, int kPerThread_, int kGroups_>
struct GemmTile {
  static constexpr int kRows = kRows_, kColumns = kColumns_, kDepth = kDepth_;
  static constexpr int kPerThread = kPerThread_;  ///< rows, and columns, of a thread
  static constexpr int kGroups = kGroups_;
  static constexpr int kArea = kRows * kColumns;
  static constexpr int kBlocks = kPerThread == 4 ? 3 : 2;  ///< that share a multiprocessor: bounds the registers
  static constexpr int kGroupThreads = kArea / (kPerThread * kPerThread);
  static constexpr int kThreads = kGroupThreads * kGroups;
  static constexpr int kBuffer = (kRows + kColumns) * kDepth;
  static constexpr size_t kSharedBytes = std::max(2 * kBuffer, kGroups / 2 * kArea) * sizeof(float);
  static_assert(kThreads == 256 && kGroupThreads % kWarp == 0 && kDepth % (4 * kGroups) == 0);
};
using SmallTile = GemmTile<32, 32, 32, 4, 4>;
using MediumTile = GemmTile<64, 64, 16, 8, 4>;
using LargeTile = GemmTile<128, 128, 8, 8, 1>;

inline constexpr int kGemmThreads = 256;

template <class Tile>
constexpr bool has_shape(const TileShape& s) {
  return Tile::kRows == s.rows && Tile::kColumns == s.columns && Tile::kDepth == s.depth;
}
static_assert(has_shape<SmallTile>(kTileShapes[0]) && has_shape<MediumTile>(kTileShapes[1]) &&
              has_shape<LargeTile>(kTileShapes[2]));

// ---------------------------------------------------------------- host: launching

/// Calls f(Tile{}) with the tile of a plan; without vector access the small one, which is all that is compiled then.
template <bool kVector, class F>
void with_tile(TileSize size, F&& f) {
  if constexpr (kVector) {
    if (size == TileSize::kLarge) return f(LargeTile{});
    if (size == TileSize::kMedium) return f(MediumTile{});
  }
  f(SmallTile{});
}

/// Calls f(std::bool_constant) for a condition known at run time.
template <class F>
void with_flag(bool flag, F&& f) {
  flag ? f(std::true_type{}) : f(std::false_type{});
}

// ---------------------------------------------------------------- device: rows of four

/// Elements [column, column + 4) of row `row` of a dense (rows, columns) matrix, zeros outside. kVector: columns % 4 =
/// 0 and `data` is aligned, so that four lie inside or outside together.
template <bool kVector, class T>
__device__ __forceinline__ Vec4 load_four(const T* data, int row, int rows, int column, int columns) {
  Vec4 four = {};
  if (row >= rows) return four;
  const T* p = data + int64_t{row} * columns + column;
  if constexpr (kVector) {
    if (column < columns) four = load4(p);
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (column + i < columns) four[i] = to_float(p[i]);
    }
  }
  return four;
}

/// The counterpart of load_four.
template <bool kVector, class T>
__device__ __forceinline__ void write_four(T* data, int row, int rows, int column, int columns, const Vec4& four,
                                           Write mode) {
  if (row >= rows) return;
  T* p = data + int64_t{row} * columns + column;
  if constexpr (kVector) {
    if (column < columns) write4(p, four, mode);
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (column + i < columns) write(p[i], four[i], mode);
    }
  }
}

/// A dense matrix in memory: element (o, k) at data[o depth + k] if kAlongDepth_, else at data[k outer + o].
template <class T, bool kAlongDepth_, bool kVector>
struct Matrix {
  static constexpr bool kAlongDepth = kAlongDepth_;
  using Raw = Vec4;
  const T* data;
  int outer, depth;
  __device__ __forceinline__ Raw fetch(int o, int k) const {
    if constexpr (kAlongDepth) return load_four<kVector>(data, o, outer, k, depth);
    return load_four<kVector>(data, k, depth, o, outer);
  }
  __device__ __forceinline__ Vec4 value(const Raw& raw) const { return raw; }
};

template <class T, bool kVector>
struct StoreMatrix {
  Grad<T> c;
  int rows, columns;
  __device__ __forceinline__ void operator()(int row, int column, const Vec4& four) const {
    write_four<kVector>(c.data, row, rows, column, columns, four, c.mode);
  }
};

namespace detail {

__device__ __forceinline__ Vec4 rounded_to_tf32(Vec4 four) {
#pragma unroll
  for (int i = 0; i < 4; ++i) four[i] = __uint_as_float(to_tf32(__float_as_uint(four[i])));
  return four;
}

/// Element (o, k) of a staged operand lies at k kOuter + (o ^ swizzle(k)). The exclusive or keeps runs of four whole
/// and spreads the 32 lanes that write an operand transposed (four values of k each) over all banks.
template <int kDepth>
__device__ __forceinline__ int swizzle(int k) {
  return k / 4 * (128 / kDepth);
}

/// This thread's part of moving kOuter x kDepth elements of an operand to shared memory.
template <class Tile, int kOuter, class Operand>
struct Stage {
  static constexpr int kFours = kOuter * Tile::kDepth / (4 * Tile::kThreads);
  typename Operand::Raw raw[kFours];

  static __device__ __forceinline__ void locate(int i, int* o, int* k) {
    const int four = static_cast<int>(threadIdx.x) + i * Tile::kThreads;
    constexpr int kRun = (Operand::kAlongDepth ? Tile::kDepth : kOuter) / 4;
    *k = Operand::kAlongDepth ? four % kRun * 4 : four / kRun;
    *o = Operand::kAlongDepth ? four / kRun : four % kRun * 4;
  }
  __device__ __forceinline__ void fetch(const Operand& operand, int first, int first_k) {
#pragma unroll
    for (int i = 0; i < kFours; ++i) {
      int o, k;
      locate(i, &o, &k);
      raw[i] = operand.fetch(first + o, first_k + k);
    }
  }
  __device__ __forceinline__ void stash(const Operand& operand, float* shared, bool tf32) const {
#pragma unroll
    for (int i = 0; i < kFours; ++i) {
      int o, k;
      locate(i, &o, &k);
      Vec4 four = operand.value(raw[i]);
      if (tf32) four = rounded_to_tf32(four);
      float* to = shared + k * kOuter + (o ^ swizzle<Tile::kDepth>(k));
      if constexpr (Operand::kAlongDepth) {
#pragma unroll
        for (int j = 0; j < 4; ++j) to[j * kOuter] = four[j];
      } else {
        store4_whole(to, four);
      }
    }
  }
};

/// The sums of one thread and where they lie in the tile.
template <class Tile>
struct Sums {
  static constexpr int kP = Tile::kPerThread, kRuns = kP / 4;
  static constexpr int kFours = kP * kRuns;  // of a thread
  float v[kP][kP] = {};
  int thread, group;  // in the group; of the block
  int row, column;    // of the first run; runs are kRows / kRuns rows, or kColumns / kRuns columns, apart

  /// A warp covers 4 threads down and 8 across: its reads of shared memory are broadcasts without conflicts.
  __device__ __forceinline__ Sums() {
    thread = static_cast<int>(threadIdx.x) % Tile::kGroupThreads;
    group = static_cast<int>(threadIdx.x) / Tile::kGroupThreads;
    constexpr int kWarpsAcross = Tile::kColumns / (8 * kP);
    const int warp = thread / kWarp;
    row = 4 * (warp / kWarpsAcross * 4 + lane() / 8);
    column = 4 * (warp % kWarpsAcross * 8 + lane() % 8);
  }

  /// The four sums of row i and run j.
  __device__ __forceinline__ Vec4 four(int i, int j) const {
    return {{v[i][4 * j], v[i][4 * j + 1], v[i][4 * j + 2], v[i][4 * j + 3]}};
  }
  __device__ __forceinline__ void add(int i, int j, const Vec4& four) {
#pragma unroll
    for (int l = 0; l < 4; ++l) v[i][4 * j + l] += four[l];
  }

  /// Adds this group's share of a stage. Four terms have one swizzle, and so share their addresses.
  template <int kUnroll>
  __device__ __forceinline__ void multiply(const float* a, const float* b) {
    constexpr int kShare = Tile::kDepth / Tile::kGroups;
#pragma unroll 1
    for (int first = group * kShare; first < (group + 1) * kShare; first += 4) {
      const int x = swizzle<Tile::kDepth>(first);
      const float* const from_a = a + first * Tile::kRows + (row ^ x);
      const float* const from_b = b + first * Tile::kColumns + (column ^ x);
#pragma unroll kUnroll
      for (int k = 0; k < 4; ++k) {
        Vec4 rows[kRuns], columns[kRuns];
#pragma unroll
        for (int r = 0; r < kRuns; ++r) {
          rows[r] = load4(from_a + k * Tile::kRows + r * (Tile::kRows / kRuns));
          columns[r] = load4(from_b + k * Tile::kColumns + r * (Tile::kColumns / kRuns));
        }
#pragma unroll
        for (int i = 0; i < kP; ++i) {
#pragma unroll
          for (int j = 0; j < kP; ++j) v[i][j] += rows[i / 4][i % 4] * columns[j / 4][j % 4];
        }
      }
    }
  }

  /// Writes the sums of this thread where the threads of a warp write next to each other. Not kWhole: in as many
  /// accesses as the compiler likes.
  template <bool kWhole>
  __device__ __forceinline__ void save(float* to) const {
#pragma unroll
    for (int i = 0; i < kP; ++i) {
#pragma unroll
      for (int j = 0; j < kRuns; ++j) {
        float* const at = to + 4 * ((i * kRuns + j) * Tile::kGroupThreads + thread);
        kWhole ? store4_whole(at, four(i, j)) : store4(at, four(i, j));
      }
      if (kWhole) __syncwarp();  // keeps the compiler from laying all rows side by side at once
    }
  }
  __device__ __forceinline__ void add_saved(const float* from) {
#pragma unroll
    for (int i = 0; i < kP; ++i) {
#pragma unroll
      for (int j = 0; j < kRuns; ++j) add(i, j, load4(from + 4 * ((i * kRuns + j) * Tile::kGroupThreads + thread)));
      __syncwarp();  // keeps the compiler from loading all rows at once, into registers that it does not have
    }
  }

  /// Adds the groups' sums into group 0's, always as ((0 + 2) + (1 + 3)). All threads call it.
  __device__ __forceinline__ void add_groups(float* shared) {
#pragma unroll
    for (int half = Tile::kGroups / 2; half > 0; half /= 2) {
      if (group >= half && group < 2 * half) save<false>(shared + (group - half) * Tile::kArea);
      __syncthreads();
      if (group < half) add_saved(shared + group * Tile::kArea);
      __syncthreads();
    }
  }

  /// Leaves group 0's sums among the tile's partials; true, in all threads, in the block that arrives last. All threads
  /// call it. The fences order the partials before the ticket that announces them, and after the last one taken.
  __device__ __forceinline__ bool leave_slice(float* partials, int slice, int slices, unsigned* ticket, float* shared) {
    if (group == 0) save<true>(partials + slice * Tile::kArea);
    __threadfence();
    __syncthreads();
    bool* last = reinterpret_cast<bool*>(shared);
    if (threadIdx.x == 0) {
      *last = atomicAdd(ticket, 1u) + 1 == static_cast<unsigned>(slices);
      if (*last) *ticket = 0;
    }
    __syncthreads();
    if (!*last) return false;
    __threadfence();
    return true;
  }

  /// Adds the slices in index order and stores the sums; a group has a share of the rows. The other blocks are done:
  /// what counts is how many loads one after the other wait for the second-level cache, so several are under way.
  template <class Store>
  __device__ __forceinline__ void store_slices(const float* partials, int slices, int first_row, int first_column,
                                               const Store& store) const {
    constexpr int kShare = kP / Tile::kGroups, kAtOnce = 4;
#pragma unroll 1
    for (int i = group * kShare; i < (group + 1) * kShare; ++i) {
      const float* const from = partials + 4 * (i * kRuns * Tile::kGroupThreads + thread);
      Vec4 total[kRuns] = {};
#pragma unroll 1
      for (int slice = 0; slice < slices; slice += kAtOnce) {
        Vec4 four[kAtOnce][kRuns] = {};
#pragma unroll
        for (int s = 0; s < kAtOnce; ++s) {
#pragma unroll
          for (int j = 0; j < kRuns; ++j) {
            if (slice + s < slices) four[s][j] = load4(from + (slice + s) * Tile::kArea + 4 * j * Tile::kGroupThreads);
          }
        }
#pragma unroll
        for (int s = 0; s < kAtOnce; ++s) {
#pragma unroll
          for (int j = 0; j < kRuns; ++j) {
#pragma unroll
            for (int l = 0; l < 4; ++l) total[j][l] += four[s][j][l];
          }
        }
      }
#pragma unroll
      for (int j = 0; j < kRuns; ++j) {
        store(first_row + row + i / 4 * (Tile::kRows / kRuns) + i % 4,
              first_column + column + j * (Tile::kColumns / kRuns), total[j]);
      }
    }
  }
};

}  // namespace detail

/// sums = those of the tile at (row, column) over stages begin .. end - 1, in group 0. All threads of the block call
/// it; it ends in a barrier, so it may be called again at once.
template <class Tile, class A, class B>
__device__ __forceinline__ void sum_tile(const A& a, const B& b, int row, int column, int begin, int end,
                                         detail::Sums<Tile>& sums, bool tf32 = false) {
  float* const shared = dynamic_shared<float>();
  // As much as the registers allow beside the sums and the next stage.
  constexpr int kUnroll = Tile::kPerThread == 4 ? 4 : sizeof(typename A::Raw) + sizeof(typename B::Raw) > 32 ? 1 : 2;
  detail::Stage<Tile, Tile::kRows, A> stage_a;
  detail::Stage<Tile, Tile::kColumns, B> stage_b;
  const auto fetch = [&](int stage) {
    stage_a.fetch(a, row, stage * Tile::kDepth);
    stage_b.fetch(b, column, stage * Tile::kDepth);
  };
  const auto stash = [&](int stage) {
    float* const buffer = shared + stage % 2 * Tile::kBuffer;
    stage_a.stash(a, buffer, tf32);
    stage_b.stash(b, buffer + Tile::kRows * Tile::kDepth, tf32);
  };
  if (begin < end) {
    fetch(begin);
    stash(begin);
  }
  __syncthreads();
  for (int stage = begin; stage < end; ++stage) {
    if (stage + 1 < end) fetch(stage + 1);
    const float* const buffer = shared + stage % 2 * Tile::kBuffer;
    sums.template multiply<kUnroll>(buffer, buffer + Tile::kRows * Tile::kDepth);
    if (stage + 1 < end) stash(stage + 1);
    __syncthreads();
  }
  sums.add_groups(shared);
}

/// Computes block `block` of a product's cut. All threads of the block call it. True, in all of them, in the block that
/// has stored a tile; false in one whose slice another block adds up.
template <class Tile, class A, class B, class Store>
__device__ __forceinline__ bool gemm_tile(const A& a, const B& b, const GemmCut& cut, int block, void* workspace,
                                          const Store& store) {
  const int tile = block / cut.slices, slice = block % cut.slices;
  const int row = cut.first_row + tile / cut.across * Tile::kRows;
  const int column = cut.first_column + tile % cut.across * Tile::kColumns;
  const int begin = static_cast<int>(int64_t{cut.stages} * slice / cut.slices);
  const int end = static_cast<int>(int64_t{cut.stages} * (slice + 1) / cut.slices);

  detail::Sums<Tile> sums;
  sum_tile<Tile>(a, b, row, column, begin, end, sums, cut.tf32);
  if (cut.slices > 1) {
    unsigned* const ticket = static_cast<unsigned*>(workspace) + cut.first_ticket + tile;
    float* const partials = static_cast<float*>(workspace) + detail::kTickets + cut.first_partial +
                            int64_t{tile} * cut.slices * Tile::kArea;
    if (!sums.leave_slice(partials, slice, cut.slices, ticket, dynamic_shared<float>())) return false;
    sums.store_slices(partials, cut.slices, row, column, store);
    return true;
  }
  if (sums.group > 0) return true;
  constexpr int kP = Tile::kPerThread, kRuns = kP / 4;
#pragma unroll
  for (int i = 0; i < kP; ++i) {
#pragma unroll
    for (int j = 0; j < kRuns; ++j) {
      store(row + sums.row + i / 4 * (Tile::kRows / kRuns) + i % 4, column + sums.column + j * (Tile::kColumns / kRuns),
            sums.four(i, j));
    }
  }
  return true;
}

}  // namespace hourglass::gpu
