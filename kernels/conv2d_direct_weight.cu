// SPDX-License-Identifier: Apache-2.0
// The gradient of the weight where C or K is at most four: few weights, and a sum over all pixels. A thread keeps 64
// (at most) of the weights' sums in registers and takes every 256 / across-th pixel of a slice; the threads' sums meet
// at the end, in an order fixed by the shape.
//
//   few channels in   a thread has eight k (two quads of dy) by eight terms (r, s, c)
//   few columns out   a thread has the k (one to four) by a quad of c by four taps
#include <bit>

#include "kernels/base/conv2d_launch.cuh"

namespace hourglass::cuda {
namespace {

using gpu::Vec4;

constexpr int kThreads = 256, kWarps = kThreads / gpu::kWarp;
constexpr int kMostAcross = 8, kMostAcrossQuads = 32;
constexpr int kTerms = 8, kTaps = 4;  // of a thread

/// Adds v over the threads of the block with equal threadIdx.x % across, a power of two up to a warp; `use(i, sum)` is
/// called for each i < kValues in one thread of each. `shared`: kWarps * across * kValues floats.
template <int kValues, class Use>
__device__ __forceinline__ void sum_threads(float (&v)[kValues], int across, float* shared, Use use) {
#pragma unroll
  for (int i = 0; i < kValues; ++i) {
    for (int distance = gpu::kWarp / 2; distance >= across; distance /= 2)
      v[i] += __shfl_xor_sync(gpu::kFullMask, v[i], distance);
  }
  if (gpu::lane() < across) {
#pragma unroll
    for (int i = 0; i < kValues; ++i) shared[(gpu::warp() * kValues + i) * across + gpu::lane()] = v[i];
  }
  __syncthreads();
  for (int j = static_cast<int>(threadIdx.x); j < kValues * across; j += kThreads) {
    float sum = 0;
    for (int warp = 0; warp < kWarps; ++warp) sum += shared[warp * kValues * across + j];
    use(j / across, j % across, sum);
  }
}

/// grid: tiles of 8 across k, slices, tiles of kTerms terms.
template <class T, bool kVector>
__global__ void __launch_bounds__(kThreads, 2)
    conv2d_weight_few_channels_kernel(const __grid_constant__ Conv2dWeightSlices<T> p, int across) {
  const Conv2dGather& g = p.gather;
  const int first = static_cast<int>(blockIdx.y) * p.each, end = min(g.pixels, first + p.each);
  const int lane = static_cast<int>(threadIdx.x) % across, row = static_cast<int>(threadIdx.x) / across;
  const int column = static_cast<int>(blockIdx.x) * 8 * across + 4 * lane;
  const gpu::Patches<T> patches{g, p.x, 0, end};
  using Tap = typename gpu::Patches<T>::Tap;
  __shared__ Tap taps[kTerms];  // one address for a whole warp, and no registers
  const int first_term = static_cast<int>(blockIdx.z) * kTerms;
  if (threadIdx.x < kTerms) taps[threadIdx.x] = patches.tap(first_term + static_cast<int>(threadIdx.x));
  __syncthreads();
  float v[8 * kTerms] = {};
  for (int pixel = first + row; pixel < end; pixel += kThreads / across) {
    const T* const of_dy = p.dy + int64_t{pixel} * g.columns;
    const Vec4 dy[2] = {gpu::load_four<kVector>(of_dy, 0, 1, column, g.columns),
                        gpu::load_four<kVector>(of_dy, 0, 1, column + 4 * across, g.columns)};
    const auto position = patches.position(pixel);
#pragma unroll
    for (int term = 0; term < kTerms; ++term) {
      const T* const from = patches.at(position, taps[term]);
      const float x = from ? gpu::to_float(*from) : 0.0f;
#pragma unroll
      for (int j = 0; j < 8; ++j) v[8 * term + j] += x * dy[j / 4][j % 4];
    }
  }
  sum_threads(v, across, gpu::dynamic_shared<float>(), [&](int i, int l, float sum) {
    const int term = first_term + i / 8,
              k = static_cast<int>(blockIdx.x) * 8 * across + 4 * (l + across * (i % 8 / 4)) + i % 4;
    if (term >= g.depth || k >= g.columns) return;
    write(p.dw.data[(int64_t{blockIdx.y} * g.columns + k) * g.depth + term], sum, p.dw.mode);
  });
}

/// grid: tiles of 4 across channels, slices, tiles of kTaps taps.
template <class T, int kColumns, bool kVector>
__global__ void __launch_bounds__(kThreads, 2)
    conv2d_weight_few_columns_kernel(const __grid_constant__ Conv2dWeightSlices<T> p, int across) {
  const Conv2dGather& g = p.gather;
  const int first = static_cast<int>(blockIdx.y) * p.each, end = min(g.pixels, first + p.each);
  const int lane = static_cast<int>(threadIdx.x) % across, row = static_cast<int>(threadIdx.x) / across;
  const int first_channel = static_cast<int>(blockIdx.x) * 4 * across, channel = first_channel + 4 * lane;
  const gpu::Patches<T> patches{g, p.x, 0, end};
  using Tap = typename gpu::Patches<T>::Tap;
  __shared__ Tap taps[kTaps];  // of channel 0
  const int first_tap = static_cast<int>(blockIdx.z) * kTaps, all_taps = g.h.taps * g.w.taps;
  if (threadIdx.x < kTaps) {
    const int tap = first_tap + static_cast<int>(threadIdx.x);
    taps[threadIdx.x] = tap < all_taps ? patches.tap(tap * g.channels) : Tap{0, 0, -1};
  }
  __syncthreads();
  float v[4 * kColumns * kTaps] = {};
  for (int pixel = first + row; pixel < end; pixel += kThreads / across) {
    float dy[kColumns];
#pragma unroll
    for (int k = 0; k < kColumns; ++k) dy[k] = gpu::to_float(p.dy[int64_t{pixel} * kColumns + k]);
    const auto position = patches.position(pixel);
#pragma unroll
    for (int tap = 0; tap < kTaps; ++tap) {
      const T* const from = patches.at(position, taps[tap]);
      const Vec4 x = from ? gpu::load_four<kVector>(from, 0, 1, channel, g.channels) : Vec4{};
#pragma unroll
      for (int k = 0; k < kColumns; ++k) {
#pragma unroll
        for (int j = 0; j < 4; ++j) v[(tap * kColumns + k) * 4 + j] += x[j] * dy[k];
      }
    }
  }
  sum_threads(v, across, gpu::dynamic_shared<float>(), [&](int i, int l, float sum) {
    const int tap = first_tap + i / 4 / kColumns, k = i / 4 % kColumns, c = first_channel + 4 * l + i % 4;
    if (tap >= all_taps || c >= g.channels) return;
    write(p.dw.data[(int64_t{blockIdx.y} * kColumns + k) * g.depth + tap * g.channels + c], sum, p.dw.mode);
  });
}

int power_of_two(int n, int most) { return std::min(most, static_cast<int>(std::bit_ceil(static_cast<unsigned>(n)))); }

template <class T>
void launch_few_channels(const Context& ctx, const Conv2dWeightSlices<T>& p) {
  const Conv2dGather& g = p.gather;
  const int across = power_of_two((g.columns + 7) / 8, kMostAcross);
  const dim3 grid(gpu::ceil_div(g.columns, 8 * across), static_cast<unsigned>(p.slices),
                  gpu::ceil_div(g.depth, kTerms));
  const size_t shared = size_t{kWarps} * across * 8 * kTerms * sizeof(float);
  gpu::with_flag(gpu::can_load4(g.columns, p.dy), [&](auto v) {
    gpu::launch(conv2d_weight_few_channels_kernel<T, v.value>, grid, kThreads, shared, gpu::stream(ctx), p, across);
  });
}

template <class T, int kColumns>
void launch_few_columns(const Context& ctx, const Conv2dWeightSlices<T>& p) {
  const Conv2dGather& g = p.gather;
  const int across = power_of_two((g.channels + 3) / 4, kMostAcrossQuads);
  const dim3 grid(gpu::ceil_div(g.channels, 4 * across), static_cast<unsigned>(p.slices),
                  gpu::ceil_div(g.h.taps * g.w.taps, kTaps));
  const size_t shared = size_t{kWarps} * across * 4 * kColumns * kTaps * sizeof(float);
  gpu::with_flag(gpu::can_load4(g.channels, p.x), [&](auto v) {
    gpu::launch(conv2d_weight_few_columns_kernel<T, kColumns, v.value>, grid, kThreads, shared, gpu::stream(ctx), p,
                across);
  });
}

}  // namespace

template <class T>
void conv2d_weight_directly(const Context& ctx, const Conv2dWeightSlices<T>& p) {
  if (p.gather.channels <= kFewChannels) return launch_few_channels(ctx, p);
  if (p.gather.columns == 1) launch_few_columns<T, 1>(ctx, p);
  if (p.gather.columns == 2) launch_few_columns<T, 2>(ctx, p);
  if (p.gather.columns == 3) launch_few_columns<T, 3>(ctx, p);
  if (p.gather.columns == 4) launch_few_columns<T, 4>(ctx, p);
}

template void conv2d_weight_directly(const Context&, const Conv2dWeightSlices<float>&);
template void conv2d_weight_directly(const Context&, const Conv2dWeightSlices<bf16>&);

}  // namespace hourglass::cuda
