// SPDX-License-Identifier: Apache-2.0
// Three kernels. The first takes norms and looks for what is not finite. The second scores every row against every
// code, and keeps, of each row, the few codes that the error bound cannot exclude; it has two forms:
//
//   tiles        a block holds kRows rows and walks over tiles of codes as a matrix product does (base/gemm_tile.cuh).
//                After each tile the lowest score of a row goes to shared memory by an integer atomic, and behind a
//                barrier the scores within the bound of it are appended to the row's list; later tiles prune it.
//   thread row   a thread holds a row of up to 16 columns in registers, the block's codes lie in shared memory, and the
//                minimum of eight scores costs eight instructions: no index is kept until eight codes pass the test.
//
// The third compares the candidates in double (the second form does it itself). What is on a list depends on timing, as
// rows share one limit; which codes win does not, because every list holds all that could.
#include "kernels/base/codebook_candidates.cuh"
#include "kernels/base/gemm_tile.cuh"
#include "kernels/base/last_block.cuh"
#include "kernels/base/nearest_codebook_check.h"

namespace hourglass::cuda {
namespace {

using gpu::CodebookScratch;
using gpu::kBoundCodes;
using gpu::kListEntries;
using gpu::kLost;

constexpr int kThreads = 256;
constexpr int kRowThreads = 128;
constexpr int kSmallD = 16;
constexpr int kGroup = 8;                // codes of one test of the thread-row form
constexpr int kCodes = 4 * kBoundCodes;  // codes in shared memory
constexpr int kGroupList = 6;

__device__ __forceinline__ float infinity() { return __uint_as_float(0x7F800000u); }

// ---------------------------------------------------------------- norms

/// A block takes kBoundCodes vectors, a warp one after the other: first those of the rows, then those of the codes.
__global__ void __launch_bounds__(kThreads)
    codebook_norms_kernel(NearestCodebookShape s, const float* x, const float* codebook, CodebookScratch scratch,
                          FaultReport report, unsigned* ticket) {
  const int64_t row_blocks = (int64_t{s.N} + kBoundCodes - 1) / kBoundCodes;
  const bool codes = blockIdx.x >= row_blocks;
  const int64_t first = (int64_t{blockIdx.x} - (codes ? row_blocks : 0)) * kBoundCodes;
  const int64_t end = min(first + kBoundCodes, int64_t{codes ? s.K : s.N});
  const float* const from = codes ? codebook : x;
  float largest = 0;
  unsigned lowest = 0;  // the complement of the lowest index that is not finite: 0 if none
  for (int64_t i = first + gpu::warp(); i < end; i += kThreads / gpu::kWarp) {
    double squares = 0;
    for (int d = gpu::lane(); d < s.D; d += gpu::kWarp) {
      const double value = from[i * s.D + d];
      squares = fma(value, value, squares);
    }
    squares = gpu::warp_sum(squares);
    const bool finite = squares < std::numeric_limits<double>::infinity();
    if (!finite) lowest = max(lowest, ~static_cast<unsigned>(i));
    const float norm = finite ? static_cast<float>(sqrt(squares)) : -1.0f;
    largest = fmaxf(largest, norm);
    if (gpu::lane() != 0) continue;
    if (codes) {
      scratch.half[i] = finite ? static_cast<float>(0.5 * squares) : infinity();
    } else {
      scratch.row_norms[i] = norm;
    }
  }
  largest = gpu::block_max<float, kThreads>(largest);
  lowest = gpu::block_max<unsigned, kThreads>(lowest);
  if (threadIdx.x == 0) {
    if (codes) scratch.bounds[first / kBoundCodes] = largest;
    if (lowest) atomicMax(ticket + (codes ? 1 : 2), lowest);
  }
  if (!gpu::is_last_block(ticket) || threadIdx.x != 0) return;
  const unsigned code = atomicExch(ticket + 1, 0u), row = atomicExch(ticket + 2, 0u);
  if (code) {
    report_not_finite(report, kFaultCode, ~code);
  } else if (row) {
    report_not_finite(report, kFaultPosition, ~row);
  }
}

// ---------------------------------------------------------------- tiles

/// The lists of a block's rows, in shared memory.
template <int kRows>
struct Lists {
  unsigned upper[kRows];  // ordered(): no score of the row's nearest code, less its error, is above
  int count[kRows];
  int32_t code[kRows][kListEntries];
  float lower[kRows][kListEntries];

  __device__ __forceinline__ void clear() {
    for (int r = static_cast<int>(threadIdx.x); r < kRows; r += kThreads) {
      upper[r] = gpu::ordered(infinity());
      count[r] = 0;
    }
    __syncthreads();
  }
  __device__ __forceinline__ void append(int r, int32_t k, float least) {
    const int at = atomicAdd(count + r, 1);
    if (at >= kListEntries) return;
    code[r][at] = k;
    lower[r][at] = least;
  }
  /// One thread a row. A list that has lost an entry stays lost.
  __device__ __forceinline__ void prune(int r) {
    if (count[r] <= kListEntries / 2) return;
    if (count[r] > kListEntries) {
      count[r] = kLost;
      return;
    }
    const float limit = gpu::from_ordered(upper[r]);
    int kept = 0;
    for (int i = 0; i < count[r]; ++i) {
      if (lower[r][i] > limit) continue;
      code[r][kept] = code[r][i];
      lower[r][kept++] = lower[r][i];
    }
    count[r] = kept;
  }
};

/// The largest norm among the codes of a tile.
template <class Tile>
__device__ __forceinline__ float tile_norm(const CodebookScratch& scratch, int K, int column) {
  float norm = 0;
#pragma unroll
  for (int i = 0; i < Tile::kColumns; i += kBoundCodes) {
    if (column + i < K) norm = fmaxf(norm, scratch.bounds[(column + i) / kBoundCodes]);
  }
  return norm;
}

template <class Tile, bool kVector>
__global__ void __launch_bounds__(kThreads, Tile::kBlocks)
    codebook_tiles_kernel(NearestCodebookShape s, const float* x, const float* codebook, CodebookScratch scratch) {
  constexpr int kRows = Tile::kRows, kP = Tile::kPerThread, kRuns = kP / 4;
  __shared__ Lists<kRows> lists;
  lists.clear();
  const gpu::Matrix<float, true, kVector> rows{x, s.N, s.D}, codes{codebook, s.K, s.D};
  const int first = static_cast<int>(blockIdx.x) * kRows;
  const int stages = (s.D + Tile::kDepth - 1) / Tile::kDepth;
  for (int column = 0; column < s.K; column += Tile::kColumns) {
    gpu::detail::Sums<Tile> sums;
    gpu::sum_tile<Tile>(rows, codes, first, column, 0, stages, sums);
    const float norm = tile_norm<Tile>(scratch, s.K, column);
    const auto row_of = [&](int i) { return sums.row + i / 4 * (kRows / kRuns) + i % 4; };
    const auto code_of = [&](int j) { return column + sums.column + j / 4 * (Tile::kColumns / kRuns) + j % 4; };
    // The bound of a row of this tile; negative where the row has no list.
    const auto error_of = [&](int r) {
      const float row_norm = first + r < s.N ? scratch.row_norms[first + r] : -1.0f;
      const ScoreBound bound = score_bound(s.D, row_norm, norm);
      if (row_norm < 0) return -1.0f;
      if (!bound.usable) atomicExch(lists.count + r, kLost);  // by every thread of the row
      return bound.usable ? bound.error : -1.0f;
    };
    if (sums.group == 0) {
#pragma unroll
      for (int j = 0; j < kP; ++j) {
        const float half = code_of(j) < s.K ? scratch.half[code_of(j)] : infinity();
#pragma unroll
        for (int i = 0; i < kP; ++i) sums.v[i][j] = half - sums.v[i][j];
      }
#pragma unroll
      for (int i = 0; i < kP; ++i) {
        float lowest = sums.v[i][0];
#pragma unroll
        for (int j = 1; j < kP; ++j) lowest = fminf(lowest, sums.v[i][j]);
        const float error = error_of(row_of(i));
        if (error >= 0) atomicMin(lists.upper + row_of(i), gpu::ordered(lowest + error));
      }
    }
    __syncthreads();
    if (sums.group == 0) {
#pragma unroll
      for (int i = 0; i < kP; ++i) {
        const int r = row_of(i);
        const float error = error_of(r);
        if (error < 0) continue;
        const float limit = gpu::from_ordered(lists.upper[r]) + error;
#pragma unroll
        for (int j = 0; j < kP; ++j) {
          if (code_of(j) < s.K && sums.v[i][j] <= limit) lists.append(r, code_of(j), sums.v[i][j] - error);
        }
      }
    }
    __syncthreads();
    if (threadIdx.x < kRows) lists.prune(static_cast<int>(threadIdx.x));
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kListEntries; i += kThreads) {
    const int r = i / kListEntries, entry = i % kListEntries;
    if (first + r >= s.N) continue;
    const int count = lists.count[r];
    const bool lost = count > kListEntries;
    if (entry == 0) scratch.counts[first + r] = lost ? kLost : count;
    if (!lost && entry < count) scratch.candidates[int64_t{first + r} * kListEntries + entry] = lists.code[r][entry];
  }
}

/// A warp takes a row; a lane, every 32nd of its candidates.
__global__ void __launch_bounds__(kThreads)
    codebook_compare_kernel(NearestCodebookShape s, const float* x, const float* codebook, CodebookScratch scratch,
                            int32_t* index, float* distance) {
  const int64_t row = int64_t{blockIdx.x} * (kThreads / gpu::kWarp) + gpu::warp();
  if (row >= s.N) return;  // a whole warp
  gpu::NearestCode best;
  if (scratch.row_norms[row] >= 0) {
    const int count = scratch.counts[row];
    const bool all = count == kLost;
    for (int i = gpu::lane(); i < (all ? s.K : count); i += gpu::kWarp) {
      const int32_t k = all ? i : scratch.candidates[row * kListEntries + i];
      gpu::offer_code(best, x + row * s.D, codebook, k, s.D);
    }
  }
  best = gpu::best_of_warp(best);
  if (gpu::lane() == 0) gpu::store_nearest(best, row, index, distance);
}

// ---------------------------------------------------------------- a thread, a row

template <int kD>
struct SharedCodes {
  alignas(16) float value[kCodes][kD];
  float half[kCodes];
  float norm[kCodes / kBoundCodes];
};

template <int kD>
__global__ void __launch_bounds__(kRowThreads)
    codebook_thread_row_kernel(NearestCodebookShape s, const float* x, const float* codebook, CodebookScratch scratch,
                               int32_t* index, float* distance) {
  __shared__ SharedCodes<kD> codes;
  __shared__ int32_t list_code[kGroupList][kRowThreads];
  __shared__ float list_lower[kGroupList][kRowThreads];
  const int me = static_cast<int>(threadIdx.x);
  const int64_t row = int64_t{blockIdx.x} * kRowThreads + me;
  const float row_norm = row < s.N ? scratch.row_norms[row] : -1.0f;
  float mine[kD];
#pragma unroll
  for (int d = 0; d < kD; ++d) mine[d] = row < s.N && d < s.D ? x[row * s.D + d] : 0.0f;

  gpu::NearestCode best;
  float upper = infinity();
  int count = 0;
  // Groups of kGroup codes that may hold the nearest. When the list is full it is pruned, and what is left compared.
  const auto compare_list = [&]() {
    for (int i = 0; i < count; ++i) {
      if (list_lower[i][me] > upper) continue;
      for (int k = list_code[i][me]; k < min(list_code[i][me] + kGroup, s.K); ++k) {
        gpu::offer_code(best, x + row * s.D, codebook, k, s.D);
      }
    }
    count = 0;
  };
  const auto append = [&](int32_t k, float lower) {
    if (count == kGroupList) {
      int kept = 0;
      for (int i = 0; i < count; ++i) {
        if (list_lower[i][me] > upper) continue;
        list_code[kept][me] = list_code[i][me];
        list_lower[kept++][me] = list_lower[i][me];
      }
      count = kept;
    }
    if (count == kGroupList) compare_list();
    list_code[count][me] = k;
    list_lower[count++][me] = lower;
  };

  for (int first = 0; first < s.K; first += kCodes) {
    __syncthreads();
    for (int i = me; i < kCodes * kD; i += kRowThreads) {
      const int k = first + i / kD, d = i % kD;
      codes.value[i / kD][d] = k < s.K && d < s.D ? codebook[int64_t{k} * s.D + d] : 0.0f;
    }
    codes.half[me] = first + me < s.K ? scratch.half[first + me] : infinity();
    if (me < kCodes / kBoundCodes) {
      codes.norm[me] = first + me * kBoundCodes < s.K ? scratch.bounds[first / kBoundCodes + me] : 0.0f;
    }
    __syncthreads();
    if (row_norm < 0) continue;
    for (int group = 0; group < min(kCodes, s.K - first); group += kGroup) {
      float lowest = infinity();
#pragma unroll
      for (int j = 0; j < kGroup; ++j) {
        float score = codes.half[group + j];
#pragma unroll
        for (int d = 0; d < kD; d += 4) {
          const gpu::Vec4 four = gpu::load4(codes.value[group + j] + d);
#pragma unroll
          for (int l = 0; l < 4; ++l) score = fmaf(-mine[d + l], four[l], score);
        }
        lowest = fminf(lowest, score);
      }
      const ScoreBound bound = score_bound(s.D, row_norm, codes.norm[group / kBoundCodes]);
      if (bound.usable) {
        upper = fminf(upper, lowest + bound.error);
        if (lowest - bound.error <= upper) append(first + group, lowest - bound.error);
      } else {
        append(first + group, -infinity());
      }
    }
  }
  compare_list();
  if (row < s.N) gpu::store_nearest(best, row, index, distance);
}

// ---------------------------------------------------------------- host

/// Cuts the scratch memory, from null to measure it.
CodebookScratch cut_scratch(NearestCodebookShape s, void* memory, size_t* bytes) {
  size_t used = 0;
  const auto take = [&](int64_t elements) {
    void* const at = static_cast<char*>(memory) + used;
    used += static_cast<size_t>((elements * 4 + 255) / 256 * 256);
    return at;
  };
  CodebookScratch scratch;
  scratch.half = static_cast<float*>(take(s.K));
  scratch.bounds = static_cast<float*>(take((int64_t{s.K} + kBoundCodes - 1) / kBoundCodes));
  scratch.row_norms = static_cast<float*>(take(s.N));
  scratch.counts = static_cast<int32_t*>(take(s.N));
  scratch.candidates = static_cast<int32_t*>(take(int64_t{s.N} * kListEntries));
  if (bytes) *bytes = used;
  return scratch;
}

template <class Tile, bool kVector>
void launch_tiles(const Context& ctx, NearestCodebookShape s, const float* x, const float* codebook,
                  const CodebookScratch& scratch) {
  gpu::launch(codebook_tiles_kernel<Tile, kVector>, gpu::ceil_div(s.N, Tile::kRows), kThreads, Tile::kSharedBytes,
              gpu::stream(ctx), s, x, codebook, scratch);
}

void search_by_tiles(const Context& ctx, NearestCodebookShape s, const float* x, const float* codebook,
                     const CodebookScratch& scratch, int32_t* index, float* distance) {
  if (gpu::can_load4(s.D, x, codebook)) {
    launch_tiles<gpu::MediumTile, true>(ctx, s, x, codebook, scratch);
  } else {
    launch_tiles<gpu::SmallTile, false>(ctx, s, x, codebook, scratch);
  }
  gpu::launch(codebook_compare_kernel, gpu::ceil_div(s.N, kThreads / gpu::kWarp), kThreads, 0, gpu::stream(ctx), s, x,
              codebook, scratch, index, distance);
}

void search_by_thread_rows(const Context& ctx, NearestCodebookShape s, const float* x, const float* codebook,
                           const CodebookScratch& scratch, int32_t* index, float* distance) {
  const auto kernel = s.D <= 4   ? codebook_thread_row_kernel<4>
                      : s.D <= 8 ? codebook_thread_row_kernel<8>
                                 : codebook_thread_row_kernel<16>;
  gpu::launch(kernel, gpu::ceil_div(s.N, kRowThreads), kRowThreads, 0, gpu::stream(ctx), s, x, codebook, scratch, index,
              distance);
}

}  // namespace

size_t nearest_codebook_scratch_bytes(const Context&, NearestCodebookShape s) {
  size_t bytes = 0;
  cut_scratch(s, nullptr, &bytes);
  return bytes;
}

template <class T>
void nearest_codebook(const Context& ctx, NearestCodebookShape s, const T* x, const T* codebook, void* scratch,
                      int32_t* index, acc_t<T>* distance, FaultReport report, CodebookSearch search) {
  check_nearest_codebook(s);
  if (search == CodebookSearch::kShapeDecides) {
    search = s.D <= kSmallD ? CodebookSearch::kThreadRow : CodebookSearch::kTiles;
  }
  if (search == CodebookSearch::kThreadRow && s.D > kSmallD) {
    throw Error(Exit::kUsage,
                "nearest_codebook: expected D <= 16 for a row in a thread, got D = " + std::to_string(s.D));
  }
  if (s.N == 0) return;
  const CodebookScratch parts = cut_scratch(s, scratch, nullptr);
  const int64_t blocks =
      (int64_t{s.N} + kBoundCodes - 1) / kBoundCodes + (int64_t{s.K} + kBoundCodes - 1) / kBoundCodes;
  gpu::launch(codebook_norms_kernel, gpu::ceil_div(blocks, 1), kThreads, 0, gpu::stream(ctx), s, x, codebook, parts,
              report, gpu::tickets(ctx));
  if (search == CodebookSearch::kThreadRow) {
    search_by_thread_rows(ctx, s, x, codebook, parts, index, distance);
  } else {
    search_by_tiles(ctx, s, x, codebook, parts, index, distance);
  }
}

template void nearest_codebook(const Context&, NearestCodebookShape, const float*, const float*, void*, int32_t*,
                               float*, FaultReport, CodebookSearch);

}  // namespace hourglass::cuda
