// SPDX-License-Identifier: Apache-2.0
// Rows are tasks of row_tasks.cuh. The rows of a code are a block's: threads lie along the dimensions, and where those
// are fewer than threads, side by side over the code's rows too; their partial sums meet in shared memory in fixed
// order, so that a sum depends on the order of the rows alone.
//
// The counting sort is stable, hence unique. The rows are cut into chunks, a block each: (1) integer atomics count each
// chunk's rows by code, (2) the counts become first places, (3) each block walks over its chunk, a tile of kSortThreads
// rows at a time; a row's place is its code's next one plus the number of equal codes before it in the tile.
#include <algorithm>

#include "kernels/base/row_tasks.cuh"
#include "kernels/base/vector_quantize_check.h"
#include "kernels/vector_quantize.h"

namespace hourglass::cuda {
namespace {

constexpr int kCodeThreads = 128;
constexpr int kSortThreads = 128;
constexpr int kScanThreads = 256;
constexpr int64_t kMostCodeBlocks = 132 * 8;
constexpr int64_t kMostSortBlocks = 128;

__device__ __forceinline__ bool is_code(int32_t index, int K) { return index >= 0 && index < K; }

template <bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    gather_codes_kernel(gpu::RowTasks tasks, VectorQuantizeShape s, const float* codebook, const int32_t* index,
                        float* quantized) {
  gpu::for_each_quad<kVector>(tasks, [&](int64_t row) {
    const int32_t k = index[row];
    return [=](int quad, int count) {
      const float none = __uint_as_float(0x7FC00000u);
      gpu::Vec4 code{{none, none, none, none}};
      if (is_code(k, s.K)) code = gpu::load_quad<kVector>(codebook + int64_t{k} * s.D + 4 * quad, count);
      gpu::write_quad<kVector>(quantized + row * s.D + 4 * quad, code, count, Write::kSet);
      return 0.0f;
    };
  });
}

template <bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    commitment_rows_kernel(gpu::RowTasks tasks, int D, const float* x, const float* quantized, Weight weight,
                           float per_element, Grad<float> value, Grad<float> dx, float* partials, unsigned* ticket) {
  const float scale = static_cast<float>(2 * weight.value());
  gpu::sum_all<kVector>(tasks, partials, ticket, per_element, value, [&](int64_t row) {
    const float* const from_x = x + row * D;
    const float* const from_q = quantized + row * D;
    return [=](int quad, int count) {
      gpu::Vec4 difference = gpu::load_quad<kVector>(from_x + 4 * quad, count), gradient, square;
      const gpu::Vec4 code = gpu::load_quad<kVector>(from_q + 4 * quad, count);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        difference[j] -= code[j];
        square[j] = difference[j] * difference[j];
        gradient[j] = scale * difference[j];
      }
      if (dx) gpu::write_quad<kVector>(dx.data + row * D + 4 * quad, gradient, count, dx.mode);
      return gpu::quad_sum(square, count);
    };
  });
}

/// For each code of the block, and each dimension d: store(k, d, sum over the code's rows of value(k, d, row)). All
/// threads call it. `columns` is a power of two. A thread's rows may be millions: runs of them are summed in float, and
/// the runs in double.
template <class Value, class Store>
__device__ __forceinline__ void sum_codes(const VectorQuantizeShape& s, const CodeRows& rows, int columns, Value value,
                                          Store store) {
  constexpr int kRun = 64;
  __shared__ float partial[kCodeThreads];
  const int me = static_cast<int>(threadIdx.x), column = me & (columns - 1), lane = me / columns;
  const int lanes = kCodeThreads / columns;
  for (int k = static_cast<int>(blockIdx.x); k < s.K; k += static_cast<int>(gridDim.x)) {
    const int end = rows.offsets[k + 1];
    for (int first = 0; first < s.D; first += columns) {
      const int d = first + column;
      double total = 0;
      for (int i = rows.offsets[k] + lane; d < s.D && i < end;) {
        const int stop = i + min(kRun * lanes, end - i);
        float sum = 0;
#pragma unroll 4
        for (; i < stop; i += lanes) sum += value(k, d, rows.order[i]);
        total += sum;
      }
      float sum = static_cast<float>(total);
      partial[me] = sum;
      __syncthreads();
      if (lane == 0 && d < s.D) {
        for (int l = 1; l < lanes; ++l) sum += partial[l * columns + column];
        store(k, d, sum);
      }
      __syncthreads();
    }
  }
}

__global__ void __launch_bounds__(kCodeThreads)
    codebook_segments_kernel(VectorQuantizeShape s, int columns, const float* x, const float* codebook, CodeRows rows,
                             Weight weight, float per_element, Grad<float> value, Grad<float> dcodebook,
                             float* partials, unsigned* ticket) {
  const float scale = static_cast<float>(2 * weight.value());
  float squares = 0;
  sum_codes(
      s, rows, columns,
      [&](int k, int d, int32_t row) {
        const float difference = codebook[int64_t{k} * s.D + d] - x[int64_t{row} * s.D + d];
        squares += difference * difference;
        return difference;
      },
      [&](int k, int d, float sum) {
        if (dcodebook) write(dcodebook.data[int64_t{k} * s.D + d], scale * sum, dcodebook.mode);
      });
  if (value) gpu::grid_sum<kCodeThreads>(squares, per_element, value, partials, ticket);
}

__global__ void __launch_bounds__(kCodeThreads)
    code_sums_segments_kernel(VectorQuantizeShape s, int columns, const float* x, CodeRows rows, Grad<float> counts,
                              Grad<float> sums) {
  if (counts && threadIdx.x == 0) {
    for (int k = static_cast<int>(blockIdx.x); k < s.K; k += static_cast<int>(gridDim.x)) {
      write(counts.data[k], static_cast<float>(rows.offsets[k + 1] - rows.offsets[k]), counts.mode);
    }
  }
  if (!sums) return;
  sum_codes(
      s, rows, columns, [&](int, int d, int32_t row) { return x[int64_t{row} * s.D + d]; },
      [&](int k, int d, float sum) { write(sums.data[int64_t{k} * s.D + d], sum, sums.mode); });
}

// ---------------------------------------------------------------- the counting sort

/// The cut of the rows; `table` (blocks, K) holds each chunk's counts, then its next places.
struct SortCut {
  unsigned blocks;
  int64_t rows;  // of a chunk
  SortCut(const VectorQuantizeShape& s) {
    const int64_t most = std::clamp<int64_t>(4 * (int64_t{s.N} + s.K) / std::max(s.K, 1), 1, kMostSortBlocks);
    const int64_t tiles = (int64_t{s.N} + kSortThreads - 1) / kSortThreads;
    rows = (tiles + most - 1) / most * kSortThreads;
    blocks = static_cast<unsigned>(rows > 0 ? (s.N + rows - 1) / rows : 1);
  }
};

__global__ void __launch_bounds__(kSortThreads)
    count_codes_kernel(VectorQuantizeShape s, SortCut cut, const int32_t* index, int32_t* table) {
  int32_t* const counts = table + int64_t{blockIdx.x} * s.K;
  for (int k = static_cast<int>(threadIdx.x); k < s.K; k += kSortThreads) counts[k] = 0;
  __syncthreads();
  const int64_t first = int64_t{blockIdx.x} * cut.rows, end = min(first + cut.rows, int64_t{s.N});
  for (int64_t n = first + threadIdx.x; n < end; n += kSortThreads) {
    if (is_code(index[n], s.K)) atomicAdd(counts + index[n], 1);
  }
}

/// A code's counts of some chunks, loaded together: one after the other, each would wait for the last. Zeros past the
/// last chunk.
struct ChunkCounts {
  static constexpr unsigned kAtOnce = 16;
  int32_t of[kAtOnce];
  __device__ __forceinline__ ChunkCounts(const int32_t* table, unsigned first, unsigned chunks, int K, int k) {
#pragma unroll
    for (unsigned i = 0; i < kAtOnce; ++i) of[i] = first + i < chunks ? table[int64_t{first + i} * K + k] : 0;
  }
};

/// One block. Each thread takes a run of codes: it sums their counts, learns where its run begins, and hands out
/// places.
__global__ void __launch_bounds__(kScanThreads)
    place_codes_kernel(VectorQuantizeShape s, SortCut cut, int32_t* table, int32_t* offsets) {
  constexpr unsigned kAtOnce = ChunkCounts::kAtOnce;
  __shared__ int32_t total_of[kScanThreads];
  const int me = static_cast<int>(threadIdx.x);
  const int first = static_cast<int>(int64_t{s.K} * me / kScanThreads);
  const int end = static_cast<int>(int64_t{s.K} * (me + 1) / kScanThreads);
  int32_t total = 0;
  for (int k = first; k < end; ++k) {
    for (unsigned b = 0; b < cut.blocks; b += kAtOnce) {
      const ChunkCounts counts(table, b, cut.blocks, s.K, k);
#pragma unroll
      for (unsigned i = 0; i < kAtOnce; ++i) total += counts.of[i];
    }
  }
  total_of[me] = total;
  __syncthreads();
  int32_t place = 0;
  for (int i = 0; i < me; ++i) place += total_of[i];
  for (int k = first; k < end; ++k) {
    offsets[k] = place;
    for (unsigned b = 0; b < cut.blocks; b += kAtOnce) {
      const ChunkCounts counts(table, b, cut.blocks, s.K, k);
#pragma unroll
      for (unsigned i = 0; i < kAtOnce; ++i) {
        if (b + i < cut.blocks) table[int64_t{b + i} * s.K + k] = place;
        place += counts.of[i];
      }
    }
  }
  if (me == kScanThreads - 1) offsets[s.K] = place;
}

__global__ void __launch_bounds__(kSortThreads)
    sort_codes_kernel(VectorQuantizeShape s, SortCut cut, const int32_t* index, int32_t* table, int32_t* order) {
  __shared__ int32_t codes[kSortThreads];
  int32_t* const next = table + int64_t{blockIdx.x} * s.K;
  const int me = static_cast<int>(threadIdx.x);
  const int64_t begin = int64_t{blockIdx.x} * cut.rows, end = min(begin + cut.rows, int64_t{s.N});
  for (int64_t first = begin; first < end; first += kSortThreads) {
    const int64_t n = first + me;
    const int32_t code = n < end && is_code(index[n], s.K) ? index[n] : -1;
    codes[me] = code;
    __syncthreads();
    int before = 0, after = 0;
    for (int i = 0; i < kSortThreads; ++i) {
      const bool equal = codes[i] == code;
      before += equal && i < me;
      after += equal && i > me;
    }
    const int32_t place = code < 0 ? 0 : next[code] + before;
    __syncthreads();  // all have read their code's place: its last row may move it
    if (code >= 0) {
      order[place] = static_cast<int32_t>(n);
      if (after == 0) next[code] = place + 1;
    }
    __syncthreads();
  }
}

__global__ void __launch_bounds__(kScanThreads)
    code_counts_elementwise_kernel(int K, const float* counts, const Fault* fault, int64_t* usage) {
  if (fault && fault->code != 0) return;
  for (int64_t k = gpu::global_thread(); k < K; k += gpu::grid_threads()) usage[k] += static_cast<int64_t>(counts[k]);
}

// ---------------------------------------------------------------- host

unsigned code_blocks(const VectorQuantizeShape& s) {
  return static_cast<unsigned>(std::min<int64_t>(s.K, kMostCodeBlocks));
}
unsigned usage_blocks(const VectorQuantizeShape& s) {
  return std::min(gpu::ceil_div(s.K, kScanThreads), static_cast<unsigned>(kMostCodeBlocks));
}
int code_columns(const VectorQuantizeShape& s) {
  return static_cast<int>(std::min<unsigned>(kCodeThreads, std::bit_ceil(static_cast<unsigned>(std::max(s.D, 1)))));
}
float per_element(const VectorQuantizeShape& s) { return static_cast<float>(1.0 / (static_cast<double>(s.N) * s.D)); }

}  // namespace

template <class T>
void vector_quantize_forward(const Context& ctx, VectorQuantizeShape s, const T* codebook, const int32_t* index,
                             T* quantized) {
  check_vector_quantize("vector_quantize", s);
  if (s.N == 0 || s.D == 0) return;
  const gpu::RowTasks tasks(s.N, s.D);
  gpu::with_constant(gpu::can_load4(s.D, codebook, quantized), [&](auto vectors) {
    gpu::launch(gather_codes_kernel<decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads, 0, gpu::stream(ctx),
                tasks, s, codebook, index, quantized);
  });
}

template <class T>
void commitment_loss(const Context& ctx, VectorQuantizeShape s, const T* x, const T* quantized, Weight weight,
                     Grad<acc_t<T>> value, Grad<T> dx) {
  check_vector_quantize_mean("commitment_loss", s);
  if (!value && !dx) return;
  const gpu::RowTasks tasks(s.N, s.D);
  gpu::with_constant(gpu::can_load4(s.D, x, quantized, dx.data), [&](auto vectors) {
    gpu::launch(commitment_rows_kernel<decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads, 0, gpu::stream(ctx),
                tasks, s.D, x, quantized, gpu::per_sample(weight, int64_t{s.N} * s.D), per_element(s), value, dx,
                gpu::partials<float>(ctx), gpu::tickets(ctx));
  });
}

template <class T>
void codebook_loss(const Context& ctx, VectorQuantizeShape s, const T* x, const T* codebook, CodeRows rows,
                   Weight weight, Grad<acc_t<T>> value, Grad<acc_t<T>> dcodebook) {
  check_vector_quantize_mean("codebook_loss", s);
  if (s.K == 0 || (!value && !dcodebook)) return;
  gpu::launch(codebook_segments_kernel, code_blocks(s), kCodeThreads, 0, gpu::stream(ctx), s, code_columns(s), x,
              codebook, rows, gpu::per_sample(weight, int64_t{s.N} * s.D), per_element(s), value, dcodebook,
              gpu::partials<float>(ctx), gpu::tickets(ctx));
}

template <class T>
void code_sums(const Context& ctx, VectorQuantizeShape s, const T* x, CodeRows rows, Grad<acc_t<T>> counts,
               Grad<acc_t<T>> sums) {
  check_vector_quantize("code_sums", s);
  if (s.K == 0 || (!counts && !sums)) return;
  gpu::launch(code_sums_segments_kernel, code_blocks(s), kCodeThreads, 0, gpu::stream(ctx), s, code_columns(s), x, rows,
              counts, sums);
}

size_t sort_by_code_scratch_bytes(const Context&, VectorQuantizeShape s) {
  return SortCut(s).blocks * static_cast<size_t>(std::max(s.K, 0)) * sizeof(int32_t);
}

void sort_by_code(const Context& ctx, VectorQuantizeShape s, const int32_t* index, void* scratch, int32_t* offsets,
                  int32_t* order) {
  check_vector_quantize("sort_by_code", s);
  const SortCut cut(s);
  auto* const table = static_cast<int32_t*>(scratch);
  gpu::launch(count_codes_kernel, cut.blocks, kSortThreads, 0, gpu::stream(ctx), s, cut, index, table);
  gpu::launch(place_codes_kernel, 1, kScanThreads, 0, gpu::stream(ctx), s, cut, table, offsets);
  gpu::launch(sort_codes_kernel, cut.blocks, kSortThreads, 0, gpu::stream(ctx), s, cut, index, table, order);
}

template <class T>
void add_code_counts(const Context& ctx, VectorQuantizeShape s, const T* counts, const Fault* fault, int64_t* usage) {
  check_vector_quantize("add_code_counts", s);
  if (s.K == 0) return;
  gpu::launch(code_counts_elementwise_kernel, usage_blocks(s), kScanThreads, 0, gpu::stream(ctx), s.K, counts, fault,
              usage);
}

template void vector_quantize_forward(const Context&, VectorQuantizeShape, const float*, const int32_t*, float*);
template void commitment_loss(const Context&, VectorQuantizeShape, const float*, const float*, Weight, Grad<float>,
                              Grad<float>);
template void codebook_loss(const Context&, VectorQuantizeShape, const float*, const float*, CodeRows, Weight,
                            Grad<float>, Grad<float>);
template void code_sums(const Context&, VectorQuantizeShape, const float*, CodeRows, Grad<float>, Grad<float>);
template void add_code_counts(const Context&, VectorQuantizeShape, const float*, const Fault*, int64_t*);

}  // namespace hourglass::cuda
