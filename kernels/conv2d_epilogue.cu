// SPDX-License-Identifier: Apache-2.0
// The derivative of the fused epilogue, and the gradient of the bias, in one pass over dy: a thread has four channels
// of every so many-th pixel, multiplies dy by f'(y) in place and keeps the sums. A block's threads add up through
// shared memory, blocks through the workspace, in an order fixed by the shape; the last block adds the partials.
#include <bit>

#include "kernels/base/activation_functions.h"
#include "kernels/base/conv2d_check.h"
#include "kernels/base/gemm_tile.cuh"
#include "kernels/base/last_block.cuh"

namespace hourglass::cuda {
namespace {

using gpu::Vec4;

constexpr int kThreads = 256, kWarps = kThreads / gpu::kWarp;
constexpr int64_t kMostBlocks = 264;  // two for each multiprocessor of an H100

/// across: threads beside one another, four channels each, a power of two; grid: shares of the rows, tiles of channels.
template <class T, bool kVector>
__global__ void __launch_bounds__(kThreads)
    conv2d_backward_epilogue_kernel(Conv2dEpilogueShape s, const T* y, T* dy, Grad<float> db, int across,
                                    float* partials, unsigned* ticket) {
  __shared__ __align__(16) float shared[kThreads * 4];
  const int lane = static_cast<int>(threadIdx.x) % across, height = kThreads / across;
  const int first_column = static_cast<int>(blockIdx.y) * 4 * across, column = first_column + 4 * lane;
  const int64_t step = int64_t{gridDim.x} * height;
  Vec4 sums = {};
  for (int64_t row = int64_t{blockIdx.x} * height + threadIdx.x / across; row < s.rows; row += step) {
    T* const at = dy + row * s.channels;
    Vec4 dz = gpu::load_four<kVector>(at, 0, 1, column, s.channels);
    if (s.activation != Activation::kNone) {
      const Vec4 of_y = gpu::load_four<kVector>(y + row * s.channels, 0, 1, column, s.channels);
      with_activation(s.activation, [&](auto f) {
        if constexpr (f.value != Activation::kGelu) {
#pragma unroll
          for (int i = 0; i < 4; ++i) dz[i] *= derivative_from_output<f.value>(of_y[i]);
        }
      });
      gpu::write_four<kVector>(at, 0, 1, column, s.channels, dz, Write::kSet);
#pragma unroll
      for (int i = 0; i < 4; ++i) dz[i] = gpu::to_float(gpu::from_float<T>(dz[i]));  // db sums what dz says
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[i] += dz[i];
  }
  if (!db) return;
  gpu::store4(shared + 4 * threadIdx.x, sums);
  __syncthreads();
  const int t = static_cast<int>(threadIdx.x);
  for (int c = t; c < 4 * across; c += kThreads) {
    float sum = 0;
    for (int row = 0; row < height; ++row) sum += shared[row * 4 * across + c];
    if (first_column + c >= s.channels) continue;
    if (gridDim.x == 1) {
      write(db.data[first_column + c], sum, db.mode);
    } else {
      partials[int64_t{blockIdx.x} * s.channels + first_column + c] = sum;
    }
  }
  if (gridDim.x == 1 || !gpu::is_last_block(ticket, gridDim.x * gridDim.y)) return;
  for (int first = 0; first < s.channels; first += gpu::kWarp) {  // a warp adds every eighth block's
    const int c = first + gpu::lane();
    float sum = 0;
    if (c < s.channels) {
#pragma unroll 4
      for (int block = gpu::warp(); block < static_cast<int>(gridDim.x); block += kWarps)
        sum += __ldcg(partials + int64_t{block} * s.channels + c);
    }
    shared[t] = sum;
    __syncthreads();
    if (gpu::warp() == 0 && c < s.channels) {
      for (int warp = 1; warp < kWarps; ++warp) sum += shared[warp * gpu::kWarp + t];
      write(db.data[c], sum, db.mode);
    }
    __syncthreads();
  }
}

}  // namespace

template <class T>
void conv2d_backward_epilogue(const Context& ctx, const Conv2dEpilogueShape& s, const T* y, T* dy, Grad<acc_t<T>> db) {
  check_conv2d_backward_epilogue(s, y);
  if (s.channels == 0 || (!db && (s.rows == 0 || s.activation == Activation::kNone))) return;
  const int quads = (s.channels + 3) / 4;
  const int across = std::min(gpu::kWarp, static_cast<int>(std::bit_ceil(static_cast<unsigned>(quads))));
  const unsigned tiles = gpu::ceil_div(quads, across);
  const int64_t room =
      std::min(kMostBlocks / std::min<int64_t>(tiles, kMostBlocks), gpu::kMostPartials<float> / s.channels);
  const int64_t wanted = (s.rows + kThreads / across - 1) / (kThreads / across);
  const auto shares = static_cast<unsigned>(std::max<int64_t>(1, std::min(wanted, room)));
  gpu::with_flag(gpu::can_load4(s.channels, y, dy), [&](auto vector) {
    gpu::launch(conv2d_backward_epilogue_kernel<T, vector.value>, dim3(shares, tiles), kThreads, 0, gpu::stream(ctx), s,
                y, dy, db, across, gpu::partials<float>(ctx), gpu::tickets(ctx));
  });
}

template void conv2d_backward_epilogue(const Context&, const Conv2dEpilogueShape&, const float*, float*, Grad<float>);
template void conv2d_backward_epilogue(const Context&, const Conv2dEpilogueShape&, const bf16*, bf16*, Grad<float>);

}  // namespace hourglass::cuda
