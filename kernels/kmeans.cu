// SPDX-License-Identifier: Apache-2.0
// Seeding: a block takes a run of rows, a warp one after the other, and sums their distances in double; the last block
// (base/last_block.cuh) finds the run that holds the drawn share of the total, the row in it, and copies the row.
#include <algorithm>
#include <limits>

#include "kernels/base/kmeans_rules.h"
#include "kernels/base/last_block.cuh"

namespace hourglass::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 1024;
static_assert(kMostBlocks <= gpu::kMostPartials<double>);

/// The row of the draw, by one thread: partial sums of blocks, then the rows of one block.
__device__ __forceinline__ int64_t drawn_row(const KMeansShape& s, int64_t rows_per_block, double u,
                                             const double* partials, const float* nearest) {
  double total = 0;
  for (unsigned b = 0; b < gridDim.x; ++b) total += __ldcg(partials + b);
  int64_t row = min(static_cast<int64_t>(u * s.N), int64_t{s.N} - 1);
  if (!(total > 0 && total <= std::numeric_limits<double>::max())) return row;
  double before = 0;
  unsigned block = 0;
  for (unsigned b = 0; b < gridDim.x; ++b) {
    const double mine = __ldcg(partials + b);
    if (mine > 0) block = b;
    if (before + mine > u * total) break;
    before += mine;
  }
  const int64_t first = block * rows_per_block, end = min(first + rows_per_block, int64_t{s.N});
  for (int64_t n = first; n < end && before <= u * total; ++n) {
    const float distance = __ldcg(nearest + n);
    before += static_cast<double>(distance);
    if (distance > 0) row = n;
  }
  return row;
}

__global__ void __launch_bounds__(kThreads)
    kmeans_seed_ticket_kernel(KMeansShape s, int k, int64_t rows_per_block, const float* x, Noise noise, float* nearest,
                              float* codebook, double* partials, unsigned* ticket) {
  __shared__ int64_t drawn;
  const float* const centre = codebook + (int64_t{k} - 1) * s.D;
  const int64_t first = blockIdx.x * rows_per_block, end = min(first + rows_per_block, int64_t{s.N});
  double sum = 0;
  for (int64_t n = first + gpu::warp(); n < end; n += kThreads / gpu::kWarp) {
    float distance = std::numeric_limits<float>::infinity();
    if (k > 0) {
      float squares = 0;
      for (int d = gpu::lane(); d < s.D; d += gpu::kWarp) {
        const float difference = x[n * s.D + d] - centre[d];
        squares += difference * difference;
      }
      squares = gpu::warp_sum(squares);
      distance = nearest[n];
      distance = squares < distance ? squares : distance;
    }
    __syncwarp();  // all lanes have read the distance
    if (gpu::lane() == 0) {
      nearest[n] = distance;
      sum += static_cast<double>(distance);
    }
  }
  sum = gpu::block_sum<double, kThreads>(sum);
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
  if (!gpu::is_last_block(ticket)) return;
  if (threadIdx.x == 0) drawn = drawn_row(s, rows_per_block, kmeans_uniform(noise, k), partials, nearest);
  __syncthreads();
  for (int d = static_cast<int>(threadIdx.x); d < s.D; d += kThreads) {
    codebook[int64_t{k} * s.D + d] = x[drawn * s.D + d];
  }
}

__global__ void __launch_bounds__(kThreads)
    kmeans_update_elementwise_kernel(KMeansShape s, const float* counts, const float* sums, float* codebook) {
  for (int64_t i = gpu::global_thread(); i < int64_t{s.K} * s.D; i += gpu::grid_threads()) {
    const float count = counts[i / s.D];
    if (count > 0) codebook[i] = sums[i] / count;
  }
}

}  // namespace

template <class T>
void kmeans_seed(const Context& ctx, KMeansShape s, int k, const T* x, Noise noise, T* nearest, T* codebook) {
  check_centre(s, k);
  constexpr int64_t kWarps = kThreads / gpu::kWarp;
  const int64_t blocks = std::min(kMostBlocks, (s.N + kWarps - 1) / kWarps), rows = (s.N + blocks - 1) / blocks;
  gpu::launch(kmeans_seed_ticket_kernel, gpu::ceil_div(s.N, rows), kThreads, 0, gpu::stream(ctx), s, k, rows, x, noise,
              nearest, codebook, gpu::partials<double>(ctx), gpu::tickets(ctx));
}

template <class T>
void kmeans_update(const Context& ctx, KMeansShape s, const T* counts, const T* sums, T* codebook) {
  check_kmeans("kmeans_update", s);
  const int64_t elements = int64_t{s.K} * s.D;
  if (elements == 0) return;
  const unsigned blocks = std::min(gpu::ceil_div(elements, kThreads), static_cast<unsigned>(kMostBlocks));
  gpu::launch(kmeans_update_elementwise_kernel, blocks, kThreads, 0, gpu::stream(ctx), s, counts, sums, codebook);
}

template void kmeans_seed(const Context&, KMeansShape, int, const float*, Noise, float*, float*);
template void kmeans_update(const Context&, KMeansShape, const float*, const float*, float*);

}  // namespace hourglass::cuda
