// SPDX-License-Identifier: Apache-2.0
// Forward convolution of bf16 on sm_90a as an implicit GEMM by wgmma, fed by the copy engine: the tiles of
// base/wgmma_tile.cuh, cut by base/conv2d_box.h. The portable form is conv2d_tensor_cores.cu. Boxes in tiled mode and
// not the engine's im2col mode: a tile of the latter may begin anywhere in a row of pixels, but its offsets are the
// least documented part of the chip, and boxes waste nothing where the extents of y divide well, as those of the models
// do.
//
// Not yet measured on a GPU: only HOURGLASS_WGMMA=1 (wgmma_chosen), or the technique by name, chooses it.
#include "kernels/base/conv2d_box.h"
#include "kernels/base/conv2d_launch.cuh"
#include "kernels/base/wgmma_tile.cuh"

namespace hourglass::cuda {
namespace {

struct Conv2dBoxes {
  gpu::TensorMap x;  ///< (C, W, H, N), boxes of 64 x q x p x n
  gpu::TensorMap w;  ///< (C, R S, K), boxes of 64 x 1 x kColumns
  Conv2dShape s;
  Conv2dBoxCut cut;
  Conv2dEpilogue<bf16> epilogue;
  Grad<bf16> y;
};

/// Stage i is channel block i % channel_blocks of tap i / channel_blocks. Row m of the tile is pixel (m / (p q), m / q
/// % p, m % q) of the box: the order in which the copy lays them down.
template <class Tile, bool kVector>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    conv2d_wgmma_kernel([[maybe_unused]] const __grid_constant__ Conv2dBoxes p) {
#if defined(HOURGLASS_HAS_WGMMA)
  const Conv2dShape& s = p.s;
  const Conv2dBoxCut::Place place = p.cut.place(static_cast<int>(blockIdx.x));
  const int first_column = place.column * Tile::kColumns;
  if (threadIdx.x == 0) {
    gpu::prefetch_map(&p.x);
    gpu::prefetch_map(&p.w);
  }
  const auto fetch = [&](int i, unsigned char* a, unsigned char* b, gpu::Barrier* full) {
    int block, column;
    const int tap = p.cut.by_channels.divide(i, &block), row = p.cut.by_window.divide(tap, &column);
    gpu::copy_box(a, &p.x, full, block * kBoxChannels, place.q * s.stride_w - s.pad_w + column * s.dilation_w,
                  place.p * s.stride_h - s.pad_h + row * s.dilation_h, place.n);
    gpu::copy_box(b, &p.w, full, block * kBoxChannels, tap, first_column);
  };
  const auto store = [&](int row, int column, const gpu::Vec4& sums) {
    const int at_q = place.q + (row & (p.cut.q - 1)), at_p = place.p + (row >> p.cut.q_shift & (p.cut.p - 1));
    const int at_n = place.n + (row >> (p.cut.q_shift + p.cut.p_shift));
    column += first_column;
    if (at_q >= s.Q || at_p >= s.P || at_n >= s.N || column >= s.K) return;
    const int64_t pixel = (int64_t{at_n} * s.P + at_p) * s.Q + at_q;
    gpu::store_activated<kVector>(p.epilogue, p.y, pixel * s.K, column, s.K, sums);
  };
  gpu::wgmma_tile<Tile>(s.R * s.S * p.cut.channel_blocks, fetch, store);
#else
  __trap();  // a build for sm_90, not sm_90a: nothing is better than garbage
#endif
}

gpu::TensorMap map_of_x(const Conv2dShape& s, const Conv2dBoxCut& cut, const bf16* x) {
  const int64_t row = int64_t{s.W} * s.C;
  return gpu::make_tensor_map(x, {4,
                                  {s.C, s.W, s.H, s.N},
                                  {1, s.C, row, row * s.H},
                                  {kBoxChannels, cut.q, cut.p, cut.n},
                                  {1, s.stride_w, s.stride_h, 1}});
}
gpu::TensorMap map_of_w(const Conv2dShape& s, int columns, const bf16* w) {
  const int window = s.R * s.S;
  return gpu::make_tensor_map(
      w, {3, {s.C, window, s.K}, {1, s.C, int64_t{window} * s.C}, {kBoxChannels, 1, columns}, {1, 1, 1}});
}

/// Calls f with the tile type; without vector access the small one, which is all that is compiled then.
template <bool kVector, class F>
void with_wgmma_tile(gpu::TileSize tile, F&& f) {
  if constexpr (kVector) {
    if (tile == gpu::TileSize::kLarge) return f(gpu::WgmmaTile<256>{});
    if (tile == gpu::TileSize::kMedium) return f(gpu::WgmmaTile<128>{});
  }
  f(gpu::WgmmaTile<64>{});
}

}  // namespace

void conv2d_forward_by_wgmma(const Context& ctx, const Conv2dShape& s, const bf16* x, const bf16* w,
                             const Conv2dEpilogue<bf16>& epilogue, Grad<bf16> y, gpu::TileSize tile) {
  const bool vector = gpu::can_load4(s.K, epilogue.bias, epilogue.residual, y.data);
  gpu::with_flag(vector, [&](auto v) {
    with_wgmma_tile<v.value>(tile, [&](auto t) {
      using Tile = decltype(t);
      const Conv2dBoxCut cut(s, Tile::kColumns);
      const Conv2dBoxes p{map_of_x(s, cut, x), map_of_w(s, Tile::kColumns, w), s, cut, epilogue, y};
      gpu::launch(conv2d_wgmma_kernel<Tile, v.value>, gpu::ceil_div(cut.blocks(), 1), Tile::kThreads,
                  Tile::kSharedBytes, gpu::stream(ctx), p);
    });
  });
}

}  // namespace hourglass::cuda
