// SPDX-License-Identifier: Apache-2.0
// Forward sums rows (base/row_tasks.cuh). Backward and loss share a kernel that also sums columns, for the gradient of
// log_sigma, in one launch: the columns are cut into tiles of 128 (a warp's quads), the rows into chunks, a block works
// on one (tile, chunk), and a thread on one quad of columns for every fourth row of the chunk. Its p and the constants
// of log_sigma are thus computed once a column, and its sums over rows stay in registers. The blocks of a tile leave
// the column sums of their chunk in the workspace; the last block of each tile adds them in the order of the chunks.
// A log_sigma shared by all columns has a single gradient: it is summed like the value.
#include "kernels/base/gaussian_density.h"
#include "kernels/base/row_tasks.cuh"
#include "kernels/gaussian_nll.h"

namespace hourglass::cuda {
namespace {

/// exp_linear(-2 log_sigma, 20) and its companions for four columns. Beyond the last column: what log_sigma 0 gives.
struct Densities {
  gpu::Vec4 precision, normalizer;
};
template <bool kVector>
__device__ __forceinline__ gpu::Vec4 load_log_sigma(const float* log_sigma, int of_columns, int quad, int count) {
  if (of_columns > 1) return gpu::load_quad<kVector>(log_sigma + 4 * quad, count);
  const float shared = log_sigma[0];
  return {{shared, shared, shared, shared}};
}
__device__ __forceinline__ Densities densities(const gpu::Vec4& log_sigma) {
  Densities d;
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    d.precision[j] = precision(log_sigma[j]);
    d.normalizer[j] = normalizer(log_sigma[j]);
  }
  return d;
}

template <class T, bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    gaussian_nll_forward_rows_kernel(gpu::RowTasks tasks, GaussianNllShape s, const T* y, const T* x,
                                     const acc_t<T>* log_sigma, float* nll, float* partials, unsigned* ticket) {
  const auto at_row = [&](int64_t row) {
    const T* const of_y = y + row * s.D;
    const T* const of_x = x + (s.draws == 1 ? row : row / s.draws) * s.D;
    return [=](int quad, int count) {
      const gpu::Vec4 a = gpu::load_quad<kVector>(of_y + 4 * quad, count);
      const gpu::Vec4 b = gpu::load_quad<kVector>(of_x + 4 * quad, count);
      const Densities d = densities(load_log_sigma<kVector>(log_sigma, s.log_sigma_count, quad, count));
      gpu::Vec4 terms;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float difference = a[j] - b[j];
        terms[j] = 0.5f * d.precision[j] * difference * difference + d.normalizer[j];
      }
      return gpu::quad_sum(terms, count);
    };
  };
  gpu::sum_rows<kVector>(tasks, partials, ticket, at_row, [=](int64_t row, float sum) { nll[row] = sum; });
}

constexpr int kTileThreads = 128, kTileWarps = kTileThreads / gpu::kWarp;
constexpr int kTileColumns = 4 * gpu::kWarp;
/// Eight of them at once on each of the 132 multiprocessors of an H100.
constexpr int kMostTileBlocks = 1024, kTileBlocksAtOnce = 8;

/// How blocks cover the columns and rows: block b works on chunk b / tile_blocks of tile b % tile_blocks, and, where
/// there are more tiles than blocks (then there is one chunk), on every tile_blocks-th tile.
struct TileGrid {
  int tiles, tile_blocks, chunks, chunk_rows;

  TileGrid(int N, int D) {
    tiles = std::max(1, D / kTileColumns + (D % kTileColumns != 0));
    tile_blocks = std::min(tiles, kMostTileBlocks);
    // At least two rows a thread, so that the sums of the chunks stay the smaller part.
    const int most = std::max(1, N / (2 * kTileWarps));
    chunks = std::clamp(kMostTileBlocks / tiles, 1, most);
    chunk_rows = N / chunks + (N % chunks != 0);
  }
  unsigned blocks() const { return static_cast<unsigned>(tile_blocks * chunks); }
};

/// Partial sums of a launch: two scalars a block, then the column sums of each chunk, in rows padded to whole tiles.
constexpr int kScalars = 2 * kMostTileBlocks;
static_assert(kScalars + kMostTileBlocks * kTileColumns <= gpu::kMostPartials<float>);
/// Tickets: 0 for the scalars, and one for each tile, or for every 63rd where there are more tiles.
constexpr int kScalarTicket = 0, kTileTickets = gpu::kTickets - 1;

template <class T>
struct TileArguments {
  GaussianNllShape s;
  TileGrid grid;
  const T *y, *x;
  const float* log_sigma;
  const float* dnll;  ///< null: every row has the weight
  Weight weight;      ///< already divided by N
  Grad<float> value;
  Grad<T> dy;
  Grad<float> dlog_sigma;
  float* partials;
  unsigned* tickets;
};

/// The sum over the warps of four columns a lane, through shared memory; in warp 0.
__device__ __forceinline__ gpu::Vec4 sum_over_warps(const gpu::Vec4& mine, float (*sums)[kTileColumns]) {
  __syncthreads();
  gpu::store4(&sums[gpu::warp()][4 * gpu::lane()], mine);
  __syncthreads();
  gpu::Vec4 total = gpu::load4(&sums[0][4 * gpu::lane()]);
#pragma unroll
  for (int w = 1; w < kTileWarps; ++w) {
    const gpu::Vec4 other = gpu::load4(&sums[w][4 * gpu::lane()]);
#pragma unroll
    for (int j = 0; j < 4; ++j) total[j] += other[j];
  }
  return total;
}

/// Sums of one thread over its rows of one tile and chunk; writes dy.
struct TileSums {
  float value = 0;       ///< of the negative log-likelihoods
  gpu::Vec4 slope = {};  ///< of c (1 - p difference^2), c = dnll or the weight, a column
};
template <bool kVector, class T>
__device__ __forceinline__ TileSums sum_tile(const TileArguments<T>& a, int chunk, int quad, int count, float weight) {
  TileSums sums;
  const GaussianNllShape& s = a.s;
  const Densities d = densities(load_log_sigma<kVector>(a.log_sigma, s.log_sigma_count, quad, count));
  const int64_t first = int64_t{chunk} * a.grid.chunk_rows, end = min(first + a.grid.chunk_rows, int64_t{s.N});
  for (int64_t row = first + gpu::warp(); row < end; row += kTileWarps) {
    const int64_t at = row * s.D + 4 * quad;
    const gpu::Vec4 y = gpu::load_quad<kVector>(a.y + at, count);
    const gpu::Vec4 x = gpu::load_quad<kVector>(a.x + (s.draws == 1 ? at : row / s.draws * s.D + 4 * quad), count);
    const float c = a.dnll ? a.dnll[row] : weight;
    gpu::Vec4 gradient, terms;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float difference = y[j] - x[j], scaled = d.precision[j] * difference;
      gradient[j] = c * scaled;
      terms[j] = 0.5f * scaled * difference + d.normalizer[j];
      sums.slope[j] += c * (1.0f - scaled * difference);
    }
    sums.value += gpu::quad_sum(terms, count);
    if (a.dy) gpu::write_quad<kVector>(a.dy.data + at, gradient, count, a.dy.mode);
  }
  return sums;
}

/// The sums of one tile over all chunks, by the last block of the tile, and dlog_sigma of its columns.
template <bool kVector, class T>
__device__ __forceinline__ void finish_tile(const TileArguments<T>& a, int tile, float (*sums)[kTileColumns]) {
  const int quad = tile * gpu::kWarp + gpu::lane(), columns = a.grid.tiles * kTileColumns;
  gpu::Vec4 sum = {};
  for (int chunk = gpu::warp(); chunk < a.grid.chunks; chunk += kTileWarps) {
    const float4 part =
        __ldcg(reinterpret_cast<const float4*>(a.partials + kScalars + int64_t{chunk} * columns + 4 * quad));
    sum[0] += part.x, sum[1] += part.y, sum[2] += part.z, sum[3] += part.w;
  }
  sum = sum_over_warps(sum, sums);
  const int count = min(4, a.s.D - 4 * quad);
  if (gpu::warp() == 0 && count > 0) {
    gpu::write_quad<kVector>(a.dlog_sigma.data + 4 * quad, sum, count, a.dlog_sigma.mode);
  }
}

template <class T, bool kVector>
__global__ void __launch_bounds__(kTileThreads, kTileBlocksAtOnce) gaussian_nll_tiles_kernel(TileArguments<T> a) {
  alignas(16) __shared__ float shared[kTileWarps][kTileColumns];
  const TileGrid& grid = a.grid;
  const int chunk = static_cast<int>(blockIdx.x) / grid.tile_blocks;
  const int first_tile = static_cast<int>(blockIdx.x) % grid.tile_blocks;
  const bool by_column = a.dlog_sigma && a.s.log_sigma_count > 1;
  const float weight = static_cast<float>(a.weight.value());
  float value = 0, slope = 0;
  for (int tile = first_tile; tile < grid.tiles; tile += grid.tile_blocks) {
    const int quad = tile * gpu::kWarp + gpu::lane(), count = max(0, min(4, a.s.D - 4 * quad));
    TileSums of_tile;
    if (count > 0) {
      of_tile = sum_tile<kVector>(a, chunk, quad, count, weight);
      const gpu::Vec4 log_sigma = load_log_sigma<kVector>(a.log_sigma, a.s.log_sigma_count, quad, count);
#pragma unroll
      for (int j = 0; j < 4; ++j) of_tile.slope[j] *= normalizer_slope(log_sigma[j]);
      value += of_tile.value;
      slope += gpu::quad_sum(of_tile.slope, count);
    }
    if (!by_column) continue;
    const gpu::Vec4 of_chunk = sum_over_warps(of_tile.slope, shared);
    if (gpu::warp() != 0) continue;
    if (grid.chunks > 1) {
      gpu::store4(a.partials + kScalars + int64_t{chunk} * grid.tiles * kTileColumns + 4 * quad, of_chunk);
    } else if (count > 0) {
      gpu::write_quad<kVector>(a.dlog_sigma.data + 4 * quad, of_chunk, count, a.dlog_sigma.mode);
    }
  }
  if (by_column && grid.chunks > 1) {  // then each block has one tile
    const int group = first_tile % kTileTickets, of_group = (grid.tiles - group - 1) / kTileTickets + 1;
    if (gpu::is_last_block(a.tickets + 1 + group, static_cast<unsigned>(of_group * grid.chunks))) {
      for (int tile = group; tile < grid.tiles; tile += kTileTickets) finish_tile<kVector>(a, tile, shared);
    }
  }
  const bool one_slope = a.dlog_sigma && a.s.log_sigma_count == 1;
  if (!a.value && !one_slope) return;
  value = gpu::block_sum<float, kTileThreads>(value);
  slope = gpu::block_sum<float, kTileThreads>(slope);
  if (threadIdx.x == 0) {
    a.partials[blockIdx.x] = value;
    a.partials[kMostTileBlocks + blockIdx.x] = slope;
  }
  if (!gpu::is_last_block(a.tickets + kScalarTicket)) return;
  value = gpu::sum_of_partials<kTileThreads>(a.partials, gridDim.x);
  slope = gpu::sum_of_partials<kTileThreads>(a.partials + kMostTileBlocks, gridDim.x);
  if (threadIdx.x != 0) return;
  if (a.value) write(*a.value.data, value / static_cast<float>(a.s.N), a.value.mode);
  if (one_slope) write(*a.dlog_sigma.data, slope, a.dlog_sigma.mode);
}

template <class T>
void launch_tiles(const Context& ctx, GaussianNllShape s, const T* y, const T* x, const acc_t<T>* log_sigma,
                  const float* dnll, Weight weight, Grad<float> value, Grad<T> dy, Grad<float> dlog_sigma) {
  if (!value && !dy && !dlog_sigma) return;
  const TileGrid grid(s.N, s.D);
  // A shared log_sigma is read by itself, wherever it lies.
  const bool aligned =
      gpu::can_load4(s.D, y, x, dy.data) && (s.log_sigma_count == 1 || gpu::can_load4(0, log_sigma, dlog_sigma.data));
  const TileArguments<T> arguments{
      s, grid, y, x, log_sigma, dnll, weight, value, dy, dlog_sigma, gpu::partials<float>(ctx), gpu::tickets(ctx)};
  gpu::with_constant(aligned, [&](auto vectors) {
    gpu::launch(gaussian_nll_tiles_kernel<T, decltype(vectors)::value>, grid.blocks(), kTileThreads, 0,
                gpu::stream(ctx), arguments);
  });
}

}  // namespace

template <class T>
void gaussian_nll_forward(const Context& ctx, GaussianNllShape s, const T* y, const T* x, const acc_t<T>* log_sigma,
                          acc_t<T>* nll) {
  check_gaussian_nll(s);
  if (s.N == 0) return;
  const gpu::RowTasks tasks(s.N, s.D);
  const bool aligned = gpu::can_load4(s.D, y, x) && (s.log_sigma_count == 1 || gpu::can_load4(0, log_sigma));
  gpu::with_constant(aligned, [&](auto vectors) {
    gpu::launch(gaussian_nll_forward_rows_kernel<T, decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, s, y, x, log_sigma, nll, gpu::partials<float>(ctx), gpu::tickets(ctx));
  });
}

template <class T>
void gaussian_nll_backward(const Context& ctx, GaussianNllShape s, const T* y, const T* x, const acc_t<T>* log_sigma,
                           const acc_t<T>* dnll, Grad<T> dy, Grad<acc_t<T>> dlog_sigma) {
  check_gaussian_nll(s);
  launch_tiles<T>(ctx, s, y, x, log_sigma, dnll, {}, {}, dy, dlog_sigma);
}

template <class T>
void gaussian_nll_loss(const Context& ctx, GaussianNllShape s, const T* y, const T* x, const acc_t<T>* log_sigma,
                       Weight weight, Grad<acc_t<T>> value, Grad<T> dy, Grad<acc_t<T>> dlog_sigma) {
  check_gaussian_nll(s);
  check_mean("gaussian_nll", s.N);
  launch_tiles<T>(ctx, s, y, x, log_sigma, nullptr, gpu::per_sample(weight, s.N), value, dy, dlog_sigma);
}

template void gaussian_nll_forward(const Context&, GaussianNllShape, const float*, const float*, const float*, float*);
template void gaussian_nll_forward(const Context&, GaussianNllShape, const bf16*, const bf16*, const float*, float*);
template void gaussian_nll_backward(const Context&, GaussianNllShape, const float*, const float*, const float*,
                                    const float*, Grad<float>, Grad<float>);
template void gaussian_nll_backward(const Context&, GaussianNllShape, const bf16*, const bf16*, const float*,
                                    const float*, Grad<bf16>, Grad<float>);
template void gaussian_nll_loss(const Context&, GaussianNllShape, const float*, const float*, const float*, Weight,
                                Grad<float>, Grad<float>, Grad<float>);
template void gaussian_nll_loss(const Context&, GaussianNllShape, const bf16*, const bf16*, const float*, Weight,
                                Grad<float>, Grad<bf16>, Grad<float>);

}  // namespace hourglass::cuda
