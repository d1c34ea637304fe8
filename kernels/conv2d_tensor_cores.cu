// SPDX-License-Identifier: Apache-2.0
// Convolution as an implicit GEMM on the tensor cores: the tiles of base/mma_tile.cuh over the operands of
// base/conv2d_operands.cuh. A block computes one tile of the output pixels of one gather, or of one slice of dw;
// neighbouring blocks share their pixels, so that these are read from memory once.
#include "kernels/base/conv2d_launch.cuh"
#include "kernels/base/mma_tile.cuh"

namespace hourglass::cuda {
namespace {

template <class Tile, bool kBackward, bool kVector, class T>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    conv2d_mma_kernel(const __grid_constant__ Conv2dGathers<T> p, int across) {
  const Conv2dGather& g = p.gathers[blockIdx.z];
  const int tile = static_cast<int>(blockIdx.x);
  const int row = tile / across * Tile::kSide, column = tile % across * Tile::kSide;
  if (row >= g.pixels) return;
  const gpu::PatchRows<T> patches{{g, p.in, 0, g.pixels}};
  const gpu::StorePixels<T, kVector> store{g, p.epilogue, p.out};
  if constexpr (kBackward) {
    const gpu::PhaseFilter<T> filter{g, p.w, p.window};
    gpu::mma_tile<Tile, kVector>(patches, filter, row, column, g.depth, store);
  } else {
    const gpu::Dense<T, true> filter{p.w, g.columns, g.depth};
    gpu::mma_tile<Tile, kVector>(patches, filter, row, column, g.depth, store);
  }
}

template <class Tile, bool kVector, class T>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    conv2d_weight_mma_kernel(const __grid_constant__ Conv2dWeightSlices<T> p, int across) {
  const Conv2dGather& g = p.gather;
  const int tile = static_cast<int>(blockIdx.x);
  const int first = static_cast<int>(blockIdx.y) * p.each, end = min(g.pixels, first + p.each);
  const gpu::Dense<T, false> dy{p.dy + int64_t{first} * g.columns, g.columns, end - first};
  const gpu::PatchColumns<T> patches{{g, p.x, first, end}};
  const Grad<float> dw{p.dw.data + int64_t{blockIdx.y} * g.columns * g.depth, p.dw.mode};
  gpu::mma_tile<Tile, kVector>(dy, patches, tile / across * Tile::kSide, tile % across * Tile::kSide, end - first,
                               gpu::StoreMatrix<float, kVector>{dw, g.columns, g.depth});
}

/// Calls f with the tile type; without vector access the medium one, which is all that is compiled then.
template <class T, bool kVector, class F>
void with_mma_tile(gpu::TileSize tile, F&& f) {
  if constexpr (kVector) {
    if (tile == gpu::TileSize::kLarge) return f(gpu::MmaTile<T, 128>{});
  }
  f(gpu::MmaTile<T, 64>{});
}

}  // namespace

template <class T>
void conv2d_gather_on_tensor_cores(const Context& ctx, const Conv2dGathers<T>& p, gpu::TileSize tile) {
  const bool vector = p.has_runs(16 / sizeof(T));
  gpu::with_flag(p.backward, [&](auto b) {
    gpu::with_flag(vector, [&](auto v) {
      with_mma_tile<T, v.value>(tile, [&](auto t) {
        using Tile = decltype(t);
        const unsigned across = gpu::ceil_div(p.gathers[0].columns, Tile::kSide);
        const unsigned blocks = gpu::ceil_div(int64_t{gpu::ceil_div(p.most_pixels(), Tile::kSide)} * across, 1);
        gpu::launch(conv2d_mma_kernel<Tile, b.value, v.value, T>, dim3(blocks, 1, static_cast<unsigned>(p.count)),
                    Tile::kThreads, Tile::kSharedBytes, gpu::stream(ctx), p, static_cast<int>(across));
      });
    });
  });
}

template <class T>
void conv2d_weight_on_tensor_cores(const Context& ctx, const Conv2dWeightSlices<T>& p, gpu::TileSize tile) {
  const bool vector = p.has_runs(16 / sizeof(T));
  gpu::with_flag(vector, [&](auto v) {
    with_mma_tile<T, v.value>(tile, [&](auto t) {
      using Tile = decltype(t);
      const unsigned across = gpu::ceil_div(p.gather.depth, Tile::kSide);
      const unsigned blocks = gpu::ceil_div(int64_t{gpu::ceil_div(p.gather.columns, Tile::kSide)} * across, 1);
      gpu::launch(conv2d_weight_mma_kernel<Tile, v.value, T>, dim3(blocks, static_cast<unsigned>(p.slices)),
                  Tile::kThreads, Tile::kSharedBytes, gpu::stream(ctx), p, static_cast<int>(across));
    });
  });
}

template void conv2d_gather_on_tensor_cores(const Context&, const Conv2dGathers<float>&, gpu::TileSize);
template void conv2d_gather_on_tensor_cores(const Context&, const Conv2dGathers<bf16>&, gpu::TileSize);
template void conv2d_weight_on_tensor_cores(const Context&, const Conv2dWeightSlices<float>&, gpu::TileSize);
template void conv2d_weight_on_tensor_cores(const Context&, const Conv2dWeightSlices<bf16>&, gpu::TileSize);

}  // namespace hourglass::cuda
