// SPDX-License-Identifier: Apache-2.0
// One block a group of a sample. Forward reads the group three times (mean, squares of differences, output): it is a
// few ten kilobytes, which the first pass leaves in the second-level cache. Backward sums dy and dy h for each channel
// of the group, a thread keeping its channel, from which follow both the averages of dx and, by a second small kernel
// over the samples, dgamma and dbeta. All sums have an order fixed by the shape.
#include "kernels/base/gpu.cuh"
#include "kernels/base/group_norm_check.h"
#include "kernels/group_norm.h"

namespace hourglass::cuda {
namespace {

constexpr int kThreads = 256;

/// Calls f(index in x, channel) for the elements of the block's group that are this thread's.
template <class F>
__device__ __forceinline__ void for_each_of_thread(const GroupNormShape& s, F f) {
  const int width = s.C / s.G, g = static_cast<int>(blockIdx.x % static_cast<unsigned>(s.G));
  const int64_t first = int64_t{blockIdx.x / static_cast<unsigned>(s.G)} * s.pixels * s.C + int64_t{g} * width;
  const int thread = static_cast<int>(threadIdx.x), pixels_on = kThreads / width, channels_on = kThreads % width;
  int64_t p = thread / width;
  int c = thread % width;
  while (p < s.pixels) {  // a division for each element would cost more than the element
    f(first + p * s.C + c, g * width + c);
    p += pixels_on;
    c += channels_on;
    if (c < width) continue;
    c -= width;
    ++p;
  }
}

template <class T>
__device__ __forceinline__ float parameter(const T* values, int c, float otherwise) {
  return values ? gpu::to_float(values[c]) : otherwise;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    group_norm_forward_block_kernel(GroupNormShape s, float eps, const T* x, const T* gamma, const T* beta, T* y,
                                    float* mean, float* rstd) {
  const float share = 1.0f / (static_cast<float>(s.pixels) * static_cast<float>(s.C / s.G));
  float sum = 0, squares = 0;
  for_each_of_thread(s, [&](int64_t i, int) { sum += gpu::to_float(x[i]); });
  const float center = gpu::block_sum<float, kThreads>(sum) * share;
  for_each_of_thread(s, [&](int64_t i, int) {
    const float difference = gpu::to_float(x[i]) - center;
    squares += difference * difference;
  });
  const float scale = 1.0f / sqrtf(gpu::block_sum<float, kThreads>(squares) * share + eps);
  for_each_of_thread(s, [&](int64_t i, int c) {
    const float h = (gpu::to_float(x[i]) - center) * scale;
    y[i] = gpu::from_float<T>(parameter(gamma, c, 1.0f) * h + parameter(beta, c, 0.0f));
  });
  if (threadIdx.x == 0) {
    mean[blockIdx.x] = center;
    rstd[blockIdx.x] = scale;
  }
}

/// The sums of one channel of a sample.
struct alignas(8) ChannelSums {
  float dy_h, dy;
};

template <class T>
__global__ void __launch_bounds__(kThreads)
    group_norm_backward_block_kernel(GroupNormShape s, const T* x, const T* gamma, const float* mean, const float* rstd,
                                     const T* dy, ChannelSums* sums, Grad<T> dx) {
  __shared__ ChannelSums shared[kThreads];
  const int width = s.C / s.G, thread = static_cast<int>(threadIdx.x);
  const int g = static_cast<int>(blockIdx.x % static_cast<unsigned>(s.G));
  const int64_t n = blockIdx.x / static_cast<unsigned>(s.G);
  const float center = mean[blockIdx.x], scale = rstd[blockIdx.x];
  const int tile = min(width, kThreads), lines = kThreads / tile, line = thread / tile;
  float of_group = 0, of_group_h = 0;
  for (int first = 0; first < width; first += tile) {
    const int c = g * width + first + thread % tile;
    const bool works = line < lines && first + thread % tile < width;
    ChannelSums mine = {0, 0};
    for (int64_t p = line; works && p < s.pixels; p += lines) {
      const int64_t i = (n * s.pixels + p) * s.C + c;
      const float d = gpu::to_float(dy[i]);
      mine.dy_h += d * ((gpu::to_float(x[i]) - center) * scale);
      mine.dy += d;
    }
    shared[thread] = mine;
    __syncthreads();
    if (works && line == 0) {
      for (int k = 1; k < lines; ++k) {
        mine.dy_h += shared[k * tile + thread].dy_h;
        mine.dy += shared[k * tile + thread].dy;
      }
      sums[n * s.C + c] = mine;
      of_group += parameter(gamma, c, 1.0f) * mine.dy;
      of_group_h += parameter(gamma, c, 1.0f) * mine.dy_h;
    }
    __syncthreads();
  }
  if (!dx) return;
  const float share = 1.0f / (static_cast<float>(s.pixels) * static_cast<float>(width));
  const float average = gpu::block_sum<float, kThreads>(of_group) * share;
  const float average_h = gpu::block_sum<float, kThreads>(of_group_h) * share;
  for_each_of_thread(s, [&](int64_t i, int c) {
    const float h = (gpu::to_float(x[i]) - center) * scale;
    const float slope = parameter(gamma, c, 1.0f) * gpu::to_float(dy[i]) - average - h * average_h;
    const float before = dx.mode == Write::kAdd ? gpu::to_float(dx.data[i]) : 0.0f;
    dx.data[i] = gpu::from_float<T>(before + scale * slope);
  });
}

/// A lane has a channel, a warp every eighth sample; the warps' sums meet in order.
__global__ void __launch_bounds__(kThreads)
    channel_sums_kernel(int N, int C, const ChannelSums* sums, Grad<float> dgamma, Grad<float> dbeta) {
  constexpr int kWarps = kThreads / gpu::kWarp;
  __shared__ ChannelSums shared[kWarps][gpu::kWarp];
  const int64_t c = int64_t{blockIdx.x} * gpu::kWarp + gpu::lane();
  ChannelSums total = {0, 0};
  if (c < C) {
#pragma unroll 4
    for (int64_t n = gpu::warp(); n < N; n += kWarps) {
      total.dy_h += sums[n * C + c].dy_h;
      total.dy += sums[n * C + c].dy;
    }
  }
  shared[gpu::warp()][gpu::lane()] = total;
  __syncthreads();
  if (gpu::warp() > 0 || c >= C) return;
  for (int warp = 1; warp < kWarps; ++warp) {
    total.dy_h += shared[warp][gpu::lane()].dy_h;
    total.dy += shared[warp][gpu::lane()].dy;
  }
  if (dgamma) write(dgamma.data[c], total.dy_h, dgamma.mode);
  if (dbeta) write(dbeta.data[c], total.dy, dbeta.mode);
}

}  // namespace

template <class T>
void group_norm_forward(const Context& ctx, const GroupNormShape& s, const T* x, const T* gamma, const T* beta, T* y,
                        acc_t<T>* mean, acc_t<T>* rstd) {
  check_group_norm(s);
  if (s.N == 0 || s.pixels == 0 || s.C == 0) return;
  gpu::launch(group_norm_forward_block_kernel<T>, gpu::ceil_div(int64_t{s.N} * s.G, 1), kThreads, 0, gpu::stream(ctx),
              s, static_cast<float>(s.eps), x, gamma, beta, y, mean, rstd);
}

template <class T>
void group_norm_backward(const Context& ctx, const GroupNormShape& s, const T* x, const T* gamma, const acc_t<T>* mean,
                         const acc_t<T>* rstd, const T* dy, void* scratch, Grad<T> dx, Grad<acc_t<T>> dgamma,
                         Grad<acc_t<T>> dbeta) {
  check_group_norm(s);
  if (s.C == 0 || (!dx && !dgamma && !dbeta)) return;
  const bool empty = s.N == 0 || s.pixels == 0;
  auto* const sums = static_cast<ChannelSums*>(scratch);
  if (!empty) {
    gpu::launch(group_norm_backward_block_kernel<T>, gpu::ceil_div(int64_t{s.N} * s.G, 1), kThreads, 0,
                gpu::stream(ctx), s, x, gamma, mean, rstd, dy, sums, dx);
  }
  if (dgamma || dbeta) {
    gpu::launch(channel_sums_kernel, gpu::ceil_div(s.C, gpu::kWarp), kThreads, 0, gpu::stream(ctx), empty ? 0 : s.N,
                s.C, sums, dgamma, dbeta);
  }
}

#define HOURGLASS_INSTANTIATE(T)                                                                                    \
  template void group_norm_forward(const Context&, const GroupNormShape&, const T*, const T*, const T*, T*, float*, \
                                   float*);                                                                         \
  template void group_norm_backward(const Context&, const GroupNormShape&, const T*, const T*, const float*,        \
                                    const float*, const T*, void*, Grad<T>, Grad<float>, Grad<float>);
HOURGLASS_INSTANTIATE(float)
HOURGLASS_INSTANTIATE(bf16)
#undef HOURGLASS_INSTANTIATE

}  // namespace hourglass::cuda
