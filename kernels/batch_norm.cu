// SPDX-License-Identifier: Apache-2.0
// A block has a tile of up to 128 channels and a share of the rows; a thread has four of the channels, whose constants
// it keeps in registers, and every so many-th row. The passes that sum add up a block's threads through shared memory
// and the shares of a tile through the workspace: the block of a tile that is last combines them, in an order fixed by
// the shape. The moments of a share are about its own mean, found by reading the share twice, of which the second time
// comes from the cache; shares combine as Chan, Golub and LeVeque have it.
#include <bit>

#include "kernels/base/batch_norm_check.h"
#include "kernels/base/gemm_tile.cuh"
#include "kernels/base/last_block.cuh"

namespace hourglass::cuda {
namespace {

using gpu::Vec4;

constexpr int kThreads = 256;
constexpr int kMostChannels = 4 * gpu::kWarp;  // of a tile
constexpr int64_t kMostBlocks = 264;           // of a sum: two for each multiprocessor of an H100

/// Two numbers that a share learns of a channel.
struct alignas(8) Two {
  float a, b;
};

/// Where a thread stands. across: threads beside one another, four channels each, a power of two; grid: tiles of
/// channels, shares of the rows.
struct Place {
  int across, height, first_channel, lane, channel;
  int64_t begin, end;

  __device__ __forceinline__ Place(const BatchNormShape& s, int threads_across)
      : across(threads_across),
        height(kThreads / across),
        first_channel(static_cast<int>(blockIdx.x) * 4 * across),
        lane(static_cast<int>(threadIdx.x) % across),
        channel(first_channel + 4 * lane),
        begin(s.rows * blockIdx.y / gridDim.y),
        end(s.rows * (blockIdx.y + 1) / gridDim.y) {}

  __device__ __forceinline__ int64_t first_row() const { return begin + threadIdx.x / static_cast<unsigned>(across); }
  /// Rows of another share.
  __device__ __forceinline__ static float rows_of(const BatchNormShape& s, unsigned share) {
    return static_cast<float>(s.rows * (share + 1) / gridDim.y - s.rows * share / gridDim.y);
  }
};

/// Memory of the sums of a tile.
struct Shared {
  alignas(16) float values[4 * kThreads];
  alignas(16) float totals[kMostChannels];
};

/// totals[c] = sum of values[row][c] over `height` rows of `width`. Begins and ends with a barrier.
__device__ __forceinline__ void sum_rows(Shared& shared, int height, int width) {
  __syncthreads();
  for (int c = static_cast<int>(threadIdx.x); c < width; c += kThreads) {
    float sum = 0;
    for (int row = 0; row < height; ++row) sum += shared.values[row * width + c];
    shared.totals[c] = sum;
  }
  __syncthreads();
}

/// The sum of `mine` over the threads of the same channels.
__device__ __forceinline__ Vec4 sum_threads(Shared& shared, const Place& at, const Vec4& mine) {
  gpu::store4(shared.values + 4 * threadIdx.x, mine);
  sum_rows(shared, at.height, 4 * at.across);
  return gpu::load4(shared.totals + 4 * at.lane);
}

/// The sum of f(share) over the shares, in the last block, where a thread has one channel of its tile: that channel's
/// for every thread.
template <class F>
__device__ __forceinline__ float sum_shares(Shared& shared, const Place& at, F f) {
  const int width = 4 * at.across, groups = kThreads / width, channel = static_cast<int>(threadIdx.x) % width;
  float sum = 0;
#pragma unroll 4
  for (unsigned share = threadIdx.x / static_cast<unsigned>(width); share < gridDim.y;
       share += static_cast<unsigned>(groups)) {
    sum += f(share);
  }
  shared.values[threadIdx.x] = sum;
  sum_rows(shared, groups, width);
  return shared.totals[channel];
}

/// Writes what this share learned, and says whether all shares of the tile have. A tile that is one share has its own.
__device__ __forceinline__ bool all_shares_done(const BatchNormShape& s, const Place& at, const Vec4& a, const Vec4& b,
                                                Two* partials, unsigned* tickets) {
  if (threadIdx.x < static_cast<unsigned>(at.across)) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (at.channel + i < s.C) partials[int64_t{blockIdx.y} * s.C + at.channel + i] = {a[i], b[i]};
    }
  }
  if (gridDim.y > 1) return gpu::is_last_block(tickets + blockIdx.x, gridDim.y);
  __syncthreads();
  return true;
}

__device__ __forceinline__ Two load_two(const Two* p) {
  const float2 two = __ldcg(reinterpret_cast<const float2*>(p));
  return {two.x, two.y};
}

template <class T, bool kVector>
__global__ void __launch_bounds__(kThreads)
    batch_norm_moments_tile_kernel(BatchNormShape s, float eps, const T* x, int across, Two* partials,
                                   unsigned* tickets, float* mean, float* rstd, Grad<float> moments) {
  __shared__ Shared shared;
  const Place at(s, across);
  const float share = 1.0f / static_cast<float>(at.end - at.begin);
  Vec4 sums = {}, squares = {};
#pragma unroll 4
  for (int64_t row = at.first_row(); row < at.end; row += at.height) {
    const Vec4 v = gpu::load_four<kVector>(x + row * s.C, 0, 1, at.channel, s.C);
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[i] += v[i];
  }
  Vec4 center = sum_threads(shared, at, sums);
#pragma unroll
  for (int i = 0; i < 4; ++i) center[i] *= share;
#pragma unroll 4
  for (int64_t row = at.first_row(); row < at.end; row += at.height) {
    const Vec4 v = gpu::load_four<kVector>(x + row * s.C, 0, 1, at.channel, s.C);
#pragma unroll
    for (int i = 0; i < 4; ++i) squares[i] += (v[i] - center[i]) * (v[i] - center[i]);
  }
  squares = sum_threads(shared, at, squares);
  if (!all_shares_done(s, at, center, squares, partials, tickets)) return;

  const int c = at.first_channel + static_cast<int>(threadIdx.x) % (4 * across);
  const bool inside = c < s.C;
  const Two* const first = partials + (inside ? c : at.first_channel);
  const float rows = static_cast<float>(s.rows), origin = load_two(first).a;
  const float shift = sum_shares(shared, at, [&](unsigned other) {
    return Place::rows_of(s, other) * (load_two(first + int64_t{other} * s.C).a - origin);
  });
  const float of_all = origin + shift / rows;
  const float all_squares = sum_shares(shared, at, [&](unsigned other) {
    const Two two = load_two(first + int64_t{other} * s.C);
    return two.b + Place::rows_of(s, other) * (two.a - of_all) * (two.a - of_all);
  });
  if (!inside || threadIdx.x >= static_cast<unsigned>(4 * across)) return;
  mean[c] = of_all;
  rstd[c] = 1.0f / sqrtf(all_squares / rows + eps);
  if (!moments) return;
  write(moments.data[c], of_all, moments.mode);
  write(moments.data[s.C + c], all_squares / (rows - 1.0f), moments.mode);
  write(moments.data[2 * int64_t{s.C} + c], 1.0f, moments.mode);
}

/// Four values of a parameter, which may be null, and lies wherever a slab has it.
template <class T>
__device__ __forceinline__ Vec4 parameters(const T* values, const BatchNormShape& s, int channel, float otherwise) {
  if (!values) return {{otherwise, otherwise, otherwise, otherwise}};
  if (s.C % 4 == 0 && reinterpret_cast<uintptr_t>(values) % (4 * sizeof(T)) == 0) {
    return gpu::load_four<true>(values, 0, 1, channel, s.C);
  }
  return gpu::load_four<false>(values, 0, 1, channel, s.C);
}

/// rstd of the batch, or with kRunning the running variance.
template <class T, bool kVector, bool kRunning>
__global__ void __launch_bounds__(kThreads)
    batch_norm_normalize_tile_kernel(BatchNormShape s, float eps, const T* x, const T* gamma, const T* beta,
                                     const float* mean, const float* rstd, int across, T* y) {
  const Place at(s, across);
  const Vec4 center = parameters(mean, s, at.channel, 0), shift = parameters(beta, s, at.channel, 0);
  Vec4 scale = parameters(gamma, s, at.channel, 1);
  const Vec4 of_channel = parameters(rstd, s, at.channel, 1);
#pragma unroll
  for (int i = 0; i < 4; ++i) scale[i] *= kRunning ? 1.0f / sqrtf(of_channel[i] + eps) : of_channel[i];
#pragma unroll 4
  for (int64_t row = at.first_row(); row < at.end; row += at.height) {
    Vec4 v = gpu::load_four<kVector>(x + row * s.C, 0, 1, at.channel, s.C);
#pragma unroll
    for (int i = 0; i < 4; ++i) v[i] = (v[i] - center[i]) * scale[i] + shift[i];
    gpu::write_four<kVector>(y + row * s.C, 0, 1, at.channel, s.C, v, Write::kSet);
  }
}

template <class T, bool kVector>
__global__ void __launch_bounds__(kThreads)
    batch_norm_gradient_sums_tile_kernel(BatchNormShape s, const T* x, const float* mean, const float* rstd,
                                         const T* dy, int across, Two* partials, unsigned* tickets, Two* sums,
                                         Grad<float> dgamma, Grad<float> dbeta) {
  __shared__ Shared shared;
  const Place at(s, across);
  const Vec4 center = parameters(mean, s, at.channel, 0), scale = parameters(rstd, s, at.channel, 1);
  Vec4 sum = {}, sum_h = {};
#pragma unroll 4
  for (int64_t row = at.first_row(); row < at.end; row += at.height) {
    const Vec4 v = gpu::load_four<kVector>(x + row * s.C, 0, 1, at.channel, s.C);
    const Vec4 d = gpu::load_four<kVector>(dy + row * s.C, 0, 1, at.channel, s.C);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      sum[i] += d[i];
      sum_h[i] += d[i] * ((v[i] - center[i]) * scale[i]);
    }
  }
  sum = sum_threads(shared, at, sum);
  sum_h = sum_threads(shared, at, sum_h);
  if (!all_shares_done(s, at, sum, sum_h, partials, tickets)) return;

  const int c = at.first_channel + static_cast<int>(threadIdx.x) % (4 * across);
  const bool inside = c < s.C;
  const Two* const first = partials + (inside ? c : at.first_channel);
  const auto of = [&](unsigned share) { return load_two(first + int64_t{share} * s.C); };
  const float total = sum_shares(shared, at, [&](unsigned share) { return of(share).a; });
  const float total_h = sum_shares(shared, at, [&](unsigned share) { return of(share).b; });
  if (!inside || threadIdx.x >= static_cast<unsigned>(4 * across)) return;
  sums[c] = {total, total_h};
  if (dgamma) write(dgamma.data[c], total_h, dgamma.mode);
  if (dbeta) write(dbeta.data[c], total, dbeta.mode);
}

template <class T, bool kVector>
__global__ void __launch_bounds__(kThreads)
    batch_norm_input_gradient_tile_kernel(BatchNormShape s, const T* x, const T* gamma, const float* mean,
                                          const float* rstd, const T* dy, const Two* sums, int across, Grad<T> dx) {
  const Place at(s, across);
  const float share = 1.0f / static_cast<float>(s.rows);
  const Vec4 center = parameters(mean, s, at.channel, 0), scale = parameters(rstd, s, at.channel, 1);
  Vec4 slope = parameters(gamma, s, at.channel, 1), average = {}, average_h = {};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const Two of_channel = at.channel + i < s.C ? sums[at.channel + i] : Two{0, 0};
    slope[i] *= scale[i];
    average[i] = of_channel.a * share;
    average_h[i] = of_channel.b * share * scale[i];
  }
#pragma unroll 4
  for (int64_t row = at.first_row(); row < at.end; row += at.height) {
    const Vec4 v = gpu::load_four<kVector>(x + row * s.C, 0, 1, at.channel, s.C);
    Vec4 d = gpu::load_four<kVector>(dy + row * s.C, 0, 1, at.channel, s.C);
#pragma unroll
    for (int i = 0; i < 4; ++i) d[i] = slope[i] * (d[i] - average[i] - (v[i] - center[i]) * average_h[i]);
    gpu::write_four<kVector>(dx.data + row * s.C, 0, 1, at.channel, s.C, d, dx.mode);
  }
}

/// One thread a channel.
__global__ void __launch_bounds__(kThreads)
    batch_norm_update_kernel(int C, double momentum, const Fault* fault, float* moments, float* running_mean,
                             float* running_var) {
  if (fault && fault->code != 0) return;
  const int64_t c = gpu::global_thread();
  if (c >= C) return;
  const double number = static_cast<double>(moments[2 * int64_t{C} + c]);
  if (number == 0) return;
  const auto moved = [&](float running, float sum) {
    return static_cast<float>((1 - momentum) * static_cast<double>(running) +
                              momentum * (static_cast<double>(sum) / number));
  };
  running_mean[c] = moved(running_mean[c], moments[c]);
  running_var[c] = moved(running_var[c], moments[C + c]);
  moments[2 * int64_t{C} + c] = 0;
}

/// Zeros, if they are set.
__global__ void __launch_bounds__(kThreads) batch_norm_no_moments_kernel(int64_t n, float* moments) {
  for (int64_t i = gpu::global_thread(); i < n; i += gpu::grid_threads()) moments[i] = 0;
}

struct Geometry {
  int across;
  dim3 sums, elements;  // grids: of the passes that sum, of the others

  explicit Geometry(const BatchNormShape& s) {
    const int quads = (s.C + 3) / 4;
    across = std::min(gpu::kWarp, static_cast<int>(std::bit_ceil(static_cast<unsigned>(quads))));
    const unsigned tiles = gpu::ceil_div(quads, across);
    const int64_t height = kThreads / across, wanted = std::max<int64_t>(1, (s.rows + 4 * height - 1) / (4 * height));
    const int64_t room = tiles > gpu::kTickets ? 1 : std::min(kMostBlocks / tiles, gpu::kMostPartials<Two> / s.C);
    constexpr int64_t kMostElementBlocks = 8 * 132 * 4;
    sums = dim3(tiles, static_cast<unsigned>(std::clamp<int64_t>(wanted, 1, std::max<int64_t>(1, room))));
    elements = dim3(
        tiles, static_cast<unsigned>(std::clamp<int64_t>(wanted, 1, std::max<int64_t>(1, kMostElementBlocks / tiles))));
  }
};

/// Where the shares put what they learn. A tile of one share needs no workspace, which may be too small for it.
Two* partials_of(const Context& ctx, const Geometry& g, void* scratch) {
  return g.sums.y > 1 ? gpu::partials<Two>(ctx) : static_cast<Two*>(scratch);
}

}  // namespace

template <class T>
void batch_norm_forward(const Context& ctx, const BatchNormShape& s, const T* x, const T* gamma, const T* beta,
                        void* scratch, T* y, acc_t<T>* mean, acc_t<T>* rstd, Grad<acc_t<T>> moments) {
  check_batch_norm_training(s);
  if (s.C == 0) return;
  const auto eps = static_cast<float>(s.eps);
  if (s.rows == 0) {
    if (!moments || moments.mode == Write::kAdd) return;
    gpu::launch(batch_norm_no_moments_kernel, gpu::ceil_div(3 * int64_t{s.C}, kThreads), kThreads, 0, gpu::stream(ctx),
                3 * int64_t{s.C}, moments.data);
    return;
  }
  const Geometry g(s);
  gpu::with_flag(gpu::can_load4(s.C, x, y), [&](auto vector) {
    gpu::launch(batch_norm_moments_tile_kernel<T, vector.value>, g.sums, kThreads, 0, gpu::stream(ctx), s, eps, x,
                g.across, partials_of(ctx, g, scratch), gpu::tickets(ctx), mean, rstd, moments);
    gpu::launch(batch_norm_normalize_tile_kernel<T, vector.value, false>, g.elements, kThreads, 0, gpu::stream(ctx), s,
                eps, x, gamma, beta, mean, rstd, g.across, y);
  });
}

template <class T>
void batch_norm_inference(const Context& ctx, const BatchNormShape& s, const T* x, const T* gamma, const T* beta,
                          const acc_t<T>* running_mean, const acc_t<T>* running_var, T* y) {
  check_batch_norm(s);
  if (s.C == 0 || s.rows == 0) return;
  const Geometry g(s);
  gpu::with_flag(gpu::can_load4(s.C, x, y), [&](auto vector) {
    gpu::launch(batch_norm_normalize_tile_kernel<T, vector.value, true>, g.elements, kThreads, 0, gpu::stream(ctx), s,
                static_cast<float>(s.eps), x, gamma, beta, running_mean, running_var, g.across, y);
  });
}

template <class T>
void batch_norm_backward(const Context& ctx, const BatchNormShape& s, const T* x, const T* gamma, const acc_t<T>* mean,
                         const acc_t<T>* rstd, const T* dy, void* scratch, Grad<T> dx, Grad<acc_t<T>> dgamma,
                         Grad<acc_t<T>> dbeta) {
  check_batch_norm_training(s);
  if (s.C == 0 || (!dx && !dgamma && !dbeta)) return;
  const Geometry g(s);
  auto* const sums = static_cast<Two*>(scratch);
  if (s.rows == 0) mean = rstd = nullptr;  // no forward pass has written them
  gpu::with_flag(gpu::can_load4(s.C, x, dy, dx.data), [&](auto vector) {
    gpu::launch(batch_norm_gradient_sums_tile_kernel<T, vector.value>, g.sums, kThreads, 0, gpu::stream(ctx), s, x,
                mean, rstd, dy, g.across, partials_of(ctx, g, scratch), gpu::tickets(ctx), sums, dgamma, dbeta);
    if (!dx || s.rows == 0) return;
    gpu::launch(batch_norm_input_gradient_tile_kernel<T, vector.value>, g.elements, kThreads, 0, gpu::stream(ctx), s, x,
                gamma, mean, rstd, dy, sums, g.across, dx);
  });
}

template <class T>
void batch_norm_update(const Context& ctx, int C, double momentum, const Fault* fault, T* moments, T* running_mean,
                       T* running_var) {
  check_batch_norm_update(C, momentum);
  if (C == 0) return;
  gpu::launch(batch_norm_update_kernel, gpu::ceil_div(C, kThreads), kThreads, 0, gpu::stream(ctx), C, momentum, fault,
              moments, running_mean, running_var);
}

#define HOURGLASS_INSTANTIATE(T)                                                                                   \
  template void batch_norm_forward(const Context&, const BatchNormShape&, const T*, const T*, const T*, void*, T*, \
                                   float*, float*, Grad<float>);                                                   \
  template void batch_norm_inference(const Context&, const BatchNormShape&, const T*, const T*, const T*,          \
                                     const float*, const float*, T*);                                              \
  template void batch_norm_backward(const Context&, const BatchNormShape&, const T*, const T*, const float*,       \
                                    const float*, const T*, void*, Grad<T>, Grad<float>, Grad<float>);
HOURGLASS_INSTANTIATE(float)
HOURGLASS_INSTANTIATE(bf16)
#undef HOURGLASS_INSTANTIATE
template void batch_norm_update(const Context&, int, double, const Fault*, float*, float*, float*);

}  // namespace hourglass::cuda
