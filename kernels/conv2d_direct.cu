// SPDX-License-Identifier: Apache-2.0
// Convolution of few channels (1 to 4), to or from many: the first and the last layer of a network, and their input
// gradients. Such a product is bound by memory, not by multiplications; a GEMM tile would be mostly padding.
//
// Few channels in: a thread sums four pixels by eight columns. The inputs of a pixel are read through the first-level
// cache, by the threads that share it at once; the filter lies in shared memory, terms by columns.
//
// Few columns out: 2^k neighbouring lanes share the channels of four pixels, in quads, and add up by shuffles; the
// filter lies in shared memory, for each tap and column its channels.
//
// Blocks walk over the pixels, so that a block loads its filter once.
#include <bit>

#include "kernels/base/conv2d_launch.cuh"

namespace hourglass::cuda {
namespace {

using gpu::Vec4;

constexpr int kThreads = 256;
constexpr int kPixels = 4;         // of a thread
constexpr int kMostBlocks = 1056;  // eight for each multiprocessor of an H100

/// Element of the filter for a column, a tap of the gather and a channel of its input.
template <class T>
__device__ __forceinline__ float filter_at(const Conv2dGathers<T>& p, const Conv2dGather& g, int column, int t, int u,
                                           int channel) {
  const int tap = g.h.tap(t) * g.window_w + g.w.tap(u);
  const int64_t i = p.backward ? (int64_t{channel} * p.window + tap) * g.columns + column
                               : (int64_t{column} * p.window + tap) * g.channels + channel;
  return gpu::to_float(p.w[i]);
}

template <class T>
struct PixelSet {
  gpu::Patches<T> patches;
  int pixel[kPixels];
  typename gpu::Patches<T>::Position position[kPixels];
  __device__ __forceinline__ PixelSet(const Conv2dGather& g, const T* in, int first, int step)
      : patches{g, in, 0, g.pixels} {
#pragma unroll
    for (int i = 0; i < kPixels; ++i) {
      pixel[i] = first + i * step;
      position[i] = patches.position(pixel[i]);
    }
  }
};

/// across: threads beside one another, 8 columns each. Column 4 (lane + across half) + i of the block's tile.
template <class T, int kChannels>
__global__ void __launch_bounds__(kThreads, 2)
    conv2d_few_channels_kernel(const __grid_constant__ Conv2dGathers<T> p, int across, bool vector) {
  const Conv2dGather& g = p.gathers[blockIdx.z];
  const int width = 8 * across, first_column = static_cast<int>(blockIdx.y) * width;
  float* const filter = gpu::dynamic_shared<float>();
  for (int i = static_cast<int>(threadIdx.x); i < g.depth * width; i += kThreads) {
    const int column = first_column + i % width, term = i / width, tap = term / kChannels;
    const int t = g.by_tap_row.divide(tap), u = tap - t * g.w.taps;
    filter[i] = column < g.columns ? filter_at(p, g, column, t, u, term % kChannels) : 0.0f;
  }
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x) % across, row = static_cast<int>(threadIdx.x) / across;
  const int rows = kThreads / across, step = rows * kPixels;
  const int64_t stride = int64_t{gridDim.x} * step;
  for (int64_t first = int64_t{blockIdx.x} * step; first < g.pixels; first += stride) {
    const PixelSet<T> set(g, p.in, static_cast<int>(first) + row, rows);
    Vec4 sums[kPixels][2] = {};
    const float* w = filter + 4 * lane;
    for (int t = 0; t < g.h.taps; ++t) {
      for (int u = 0; u < g.w.taps; ++u) {
        const T* from[kPixels];
#pragma unroll
        for (int i = 0; i < kPixels; ++i)
          from[i] = set.patches.at(set.position[i], {t * g.h.input_per_tap, u * g.w.input_per_tap, 0});
#pragma unroll
        for (int channel = 0; channel < kChannels; ++channel, w += width) {
          const Vec4 filters[2] = {gpu::load4(w), gpu::load4(w + 4 * across)};
#pragma unroll
          for (int i = 0; i < kPixels; ++i) {
            const float x = from[i] ? gpu::to_float(from[i][channel]) : 0.0f;
#pragma unroll
            for (int j = 0; j < 8; ++j) sums[i][j / 4][j % 4] += x * filters[j / 4][j % 4];
          }
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kPixels; ++i) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int column = first_column + 4 * (lane + half * across);
        if (vector) {
          gpu::StorePixels<T, true>{g, p.epilogue, p.out}(set.pixel[i], column, sums[i][half]);
        } else {
          gpu::StorePixels<T, false>{g, p.epilogue, p.out}(set.pixel[i], column, sums[i][half]);
        }
      }
    }
  }
}

/// lanes: a power of two, that share a pixel.
template <class T, int kColumns, bool kVector>
__global__ void __launch_bounds__(kThreads, 2)
    conv2d_few_columns_kernel(const __grid_constant__ Conv2dGathers<T> p, int lanes) {
  const Conv2dGather& g = p.gathers[blockIdx.z];
  const int quads = (g.channels + 3) / 4, taps = g.h.taps * g.w.taps;
  float* const filter = gpu::dynamic_shared<float>();
  for (int i = static_cast<int>(threadIdx.x); i < taps * kColumns * 4 * quads; i += kThreads) {
    const int channel = i % (4 * quads), tap = i / (4 * quads) / kColumns, column = i / (4 * quads) % kColumns;
    const int t = g.by_tap_row.divide(tap), u = tap - t * g.w.taps;
    filter[i] = channel < g.channels ? filter_at(p, g, column, t, u, channel) : 0.0f;
  }
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x) % lanes, row = static_cast<int>(threadIdx.x) / lanes;
  const int rows = kThreads / lanes, step = rows * kPixels;
  const int64_t stride = int64_t{gridDim.x} * step;
  for (int64_t first = int64_t{blockIdx.x} * step; first < g.pixels; first += stride) {
    const PixelSet<T> set(g, p.in, static_cast<int>(first) + row, rows);
    float sums[kPixels][kColumns] = {};
    for (int tap = 0, t = 0; t < g.h.taps; ++t) {
      for (int u = 0; u < g.w.taps; ++u, ++tap) {
        const T* from[kPixels];
#pragma unroll
        for (int i = 0; i < kPixels; ++i)
          from[i] = set.patches.at(set.position[i], {t * g.h.input_per_tap, u * g.w.input_per_tap, 0});
        for (int quad = lane; quad < quads; quad += lanes) {
          Vec4 x[kPixels];
#pragma unroll
          for (int i = 0; i < kPixels; ++i)
            x[i] = from[i] ? gpu::load_four<kVector>(from[i], 0, 1, 4 * quad, g.channels) : Vec4{};
#pragma unroll
          for (int column = 0; column < kColumns; ++column) {
            const Vec4 w = gpu::load4(filter + 4 * ((tap * kColumns + column) * quads + quad));
#pragma unroll
            for (int i = 0; i < kPixels; ++i)
              sums[i][column] += (x[i][0] * w[0] + x[i][1] * w[1]) + (x[i][2] * w[2] + x[i][3] * w[3]);
          }
        }
      }
    }
    const gpu::StorePixels<T, false> store{g, p.epilogue, p.out};
#pragma unroll
    for (int i = 0; i < kPixels; ++i) {
      Vec4 of_pixel = {};
#pragma unroll
      for (int column = 0; column < kColumns; ++column) {
        float sum = sums[i][column];
        for (int distance = lanes / 2; distance > 0; distance /= 2)
          sum += __shfl_xor_sync(gpu::kFullMask, sum, distance);
        of_pixel[column] = sum;
      }
      if (lane == i % lanes) store(set.pixel[i], 0, of_pixel);
    }
  }
}

/// Calls f(std::integral_constant<int, n>) for n = 1 ... 4.
template <class F>
void with_few(int n, F&& f) {
  if (n == 1) f(std::integral_constant<int, 1>{});
  if (n == 2) f(std::integral_constant<int, 2>{});
  if (n == 3) f(std::integral_constant<int, 3>{});
  if (n == 4) f(std::integral_constant<int, 4>{});
}

int power_of_two(int n, int most) { return std::min(most, static_cast<int>(std::bit_ceil(static_cast<unsigned>(n)))); }

unsigned blocks_for(int pixels, int of_block) {
  return std::min(gpu::ceil_div(pixels, of_block), static_cast<unsigned>(kMostBlocks));
}

template <class T>
void launch_few_columns(const Context& ctx, const Conv2dGathers<T>& p) {
  const Conv2dGather& g = p.gathers[0];
  const int quads = (g.channels + 3) / 4, lanes = power_of_two(quads, gpu::kWarp);
  int taps = 0;
  for (int i = 0; i < p.count; ++i) taps = std::max(taps, p.gathers[i].h.taps * p.gathers[i].w.taps);
  const size_t shared = size_t{4} * taps * quads * g.columns * sizeof(float);
  const unsigned blocks = blocks_for(p.most_pixels(), kThreads / lanes * kPixels);
  gpu::with_flag(gpu::can_load4(g.channels, p.in), [&](auto v) {
    with_few(g.columns, [&](auto columns) {
      gpu::launch(conv2d_few_columns_kernel<T, columns.value, v.value>, dim3(blocks, 1, static_cast<unsigned>(p.count)),
                  kThreads, shared, gpu::stream(ctx), p, lanes);
    });
  });
}

template <class T>
void launch_few_channels(const Context& ctx, const Conv2dGathers<T>& p) {
  const Conv2dGather& g = p.gathers[0];
  const int across = power_of_two((g.columns + 7) / 8, 8);
  const size_t shared = size_t{8} * across * p.most_depth() * sizeof(float);
  const bool vector = gpu::can_load4(g.columns, p.epilogue.bias, p.epilogue.residual, p.out.data);
  const dim3 grid(blocks_for(p.most_pixels(), kThreads / across * kPixels), gpu::ceil_div(g.columns, 8 * across),
                  static_cast<unsigned>(p.count));
  with_few(g.channels, [&](auto channels) {
    gpu::launch(conv2d_few_channels_kernel<T, channels.value>, grid, kThreads, shared, gpu::stream(ctx), p, across,
                vector);
  });
}

}  // namespace

template <class T>
void conv2d_gather_directly(const Context& ctx, const Conv2dGathers<T>& p) {
  if (p.gathers[0].columns <= kFewChannels) {
    launch_few_columns(ctx, p);
  } else {
    launch_few_channels(ctx, p);
  }
}

template void conv2d_gather_directly(const Context&, const Conv2dGathers<float>&);
template void conv2d_gather_directly(const Context&, const Conv2dGathers<bf16>&);

}  // namespace hourglass::cuda
