// SPDX-License-Identifier: Apache-2.0
// Convolution as an implicit GEMM with float multiplications: the tiles of base/gemm_tile.cuh over the operands of
// base/conv2d_operands.cuh. A block computes one tile of the output pixels of one gather, or of one slice of dw. The
// strict lane of float.
#include "kernels/base/conv2d_launch.cuh"

namespace hourglass::cuda {
namespace {

using gpu::kGemmThreads;

template <class Tile, class T, bool kBackward, bool kVector>
__global__ void __launch_bounds__(kGemmThreads, Tile::kBlocks)
    conv2d_implicit_gemm_kernel(const __grid_constant__ Conv2dGathers<T> p, gpu::GemmCut cut, void* workspace) {
  const Conv2dGather& g = p.gathers[blockIdx.z];
  cut.down = (g.pixels + Tile::kRows - 1) / Tile::kRows;
  cut.stages = (g.depth + Tile::kDepth - 1) / Tile::kDepth;
  const int block = static_cast<int>(blockIdx.x);
  if (block >= cut.blocks()) return;
  const gpu::Fetched<gpu::PatchRows<T>, kVector> patches{{{g, p.in, 0, g.pixels}}};
  const gpu::StorePixels<T, kVector> store{g, p.epilogue, p.out};
  if constexpr (kBackward) {
    const gpu::Fetched<gpu::PhaseFilter<T>, kVector> filter{{g, p.w, p.window}};
    gpu::gemm_tile<Tile>(patches, filter, cut, block, workspace, store);
  } else {
    const gpu::Fetched<gpu::Dense<T, true>, kVector> filter{{p.w, g.columns, g.depth}};
    gpu::gemm_tile<Tile>(patches, filter, cut, block, workspace, store);
  }
}

template <class Tile, class T, bool kVector>
__global__ void __launch_bounds__(kGemmThreads, Tile::kBlocks)
    conv2d_weight_implicit_gemm_kernel(const __grid_constant__ Conv2dWeightSlices<T> p, gpu::GemmCut cut) {
  const Conv2dGather& g = p.gather;
  const int first = static_cast<int>(blockIdx.y) * p.each, end = min(g.pixels, first + p.each);
  cut.stages = (end - first + Tile::kDepth - 1) / Tile::kDepth;
  const gpu::Fetched<gpu::Dense<T, false>, kVector> dy{{p.dy + int64_t{first} * g.columns, g.columns, end - first}};
  const gpu::Fetched<gpu::PatchColumns<T>, kVector> patches{{{g, p.x, first, end}}};
  const Grad<float> dw{p.dw.data + int64_t{blockIdx.y} * g.columns * g.depth, p.dw.mode};
  gpu::gemm_tile<Tile>(dy, patches, cut, static_cast<int>(blockIdx.x), nullptr,
                       gpu::StoreMatrix<float, kVector>{dw, g.columns, g.depth});
}

/// The plan of one product whose sums are not cut.
gpu::GemmPlan<1> whole_plan(gpu::GemmPlan<1> plan) {
  plan.cuts[0].slices = 1;
  plan.blocks = plan.cuts[0].blocks();
  return plan;
}

}  // namespace

/// `alone`: no other launch or gather shares the output, so that sums may be cut through the workspace.
template <class T>
void conv2d_gather_on_cuda_cores(const Context& ctx, const Conv2dGathers<T>& p, bool alone) {
  const bool vector = p.has_runs(4);
  gpu::GemmPlan<1> plan = gpu::plan_products<1>({{{p.most_pixels(), p.gathers[0].columns, p.most_depth()}}}, !vector);
  if (!alone) plan = whole_plan(plan);
  gpu::with_flag(p.backward, [&](auto b) {
    gpu::with_flag(vector, [&](auto v) {
      gpu::with_tile<v.value>(plan.tile, [&](auto tile) {
        using Tile = decltype(tile);
        gpu::launch(conv2d_implicit_gemm_kernel<Tile, T, b.value, v.value>,
                    dim3(gpu::ceil_div(plan.blocks, 1), 1, static_cast<unsigned>(p.count)), Tile::kThreads,
                    Tile::kSharedBytes, gpu::stream(ctx), p, plan.cuts[0], ctx.workspace);
      });
    });
  });
}

template <class T>
void conv2d_weight_on_cuda_cores(const Context& ctx, const Conv2dWeightSlices<T>& p) {
  const bool vector = p.has_runs(4);
  // All slices together, so that the cost of a tile size counts the blocks that there are.
  const auto plan = whole_plan(gpu::plan_products<1>({{{p.gather.columns, p.gather.depth, p.each}}}, !vector));
  gpu::with_flag(vector, [&](auto v) {
    gpu::with_tile<v.value>(plan.tile, [&](auto tile) {
      using Tile = decltype(tile);
      gpu::launch(conv2d_weight_implicit_gemm_kernel<Tile, T, v.value>,
                  dim3(gpu::ceil_div(plan.blocks, 1), static_cast<unsigned>(p.slices)), Tile::kThreads,
                  Tile::kSharedBytes, gpu::stream(ctx), p, plan.cuts[0]);
    });
  });
}

template void conv2d_gather_on_cuda_cores(const Context&, const Conv2dGathers<float>&, bool);
template void conv2d_weight_on_cuda_cores(const Context&, const Conv2dWeightSlices<float>&);

}  // namespace hourglass::cuda
