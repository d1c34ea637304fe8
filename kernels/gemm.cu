// SPDX-License-Identifier: Apache-2.0
// A block computes one tile of c, or one slice of a tile's sum over K where c has few tiles (base/gemm_tile.cuh,
// base/gemm_cut.h). Tiles in registers and shared memory because a product is bound by how often its operands are read;
// slices because the products of a small batch have fewer tiles than a card has multiprocessors.
#include "kernels/base/conv2d_technique.h"
#include "kernels/base/cublaslt.h"
#include "kernels/base/gemm_check.h"
#include "kernels/base/gemm_tile.cuh"
#include "kernels/gemm.h"

namespace hourglass::cuda {
namespace {

using gpu::kGemmThreads;

template <class Tile, class T, bool kTransposeA, bool kTransposeB, bool kVector>
__global__ void __launch_bounds__(kGemmThreads, Tile::kBlocks)
    gemm_tiled_kernel(GemmShape s, const T* a, const T* b, Grad<T> c, gpu::GemmCut cut, void* workspace) {
  const gpu::Matrix<T, !kTransposeA, kVector> rows{a, s.M, s.K};
  const gpu::Matrix<T, kTransposeB, kVector> columns{b, s.N, s.K};
  gpu::gemm_tile<Tile>(rows, columns, cut, static_cast<int>(blockIdx.x), workspace,
                       gpu::StoreMatrix<T, kVector>{c, s.M, s.N});
}

/// By wgmma (base/conv2d_technique.h), where that is chosen.
bool multiply_by_wgmma(const Context& ctx, const GemmShape& s, const bf16* a, const bf16* b, Grad<bf16> c) {
  if (!gemm_is_conv2d(s) || s.K == 0 || !wgmma_chosen()) return false;
  const Conv2dShape conv = conv2d_of_gemm(s);
  const Conv2dPlan plan = conv2d_plan_with_wgmma(Conv2dProduct::kForward, conv, Conv2dLane::kBf16);
  if (plan.technique != Conv2dTechnique::kWgmma) return false;
  conv2d_forward_by<bf16>(plan, ctx, conv, a, b, {}, c);
  return true;
}

template <bool kTransposeA, bool kTransposeB, bool kVector, class T>
void launch_gemm(const Context& ctx, GemmShape s, const T* a, const T* b, Grad<T> c) {
  const auto plan = gpu::plan_products<1>({{{s.M, s.N, s.K}}}, !kVector).with(ctx.math);
  gpu::with_tile<kVector>(plan.tile, [&](auto tile) {
    using Tile = decltype(tile);
    gpu::launch(gemm_tiled_kernel<Tile, T, kTransposeA, kTransposeB, kVector>, gpu::ceil_div(plan.blocks, 1),
                Tile::kThreads, Tile::kSharedBytes, gpu::stream(ctx), s, a, b, c, plan.cuts[0], ctx.workspace);
  });
}

}  // namespace

template <class T>
void gemm(const Context& ctx, GemmShape s, const T* a, const T* b, Grad<T> c) {
  check_gemm(s);
  if (!c || s.M == 0 || s.N == 0) return;
  if constexpr (std::is_same_v<T, bf16>) {
    if (multiply_by_wgmma(ctx, s, a, b, c)) return;
  }
  constexpr Dtype kDtype = std::is_same_v<T, bf16> ? Dtype::kBF16 : Dtype::kF32;
  const LibraryProduct product{s.M, s.N, s.K, s.transpose_a, s.transpose_b, LibraryEpilogue::kNone, kDtype, c.mode};
  if (library_multiply(ctx, product, a, b, nullptr, c.data)) return;
  const bool vector = gpu::can_load4(s.transpose_a ? s.M : s.K, a) && gpu::can_load4(s.transpose_b ? s.K : s.N, b) &&
                      gpu::can_load4(s.N, c.data);
  gpu::with_flag(s.transpose_a, [&](auto transpose_a) {
    gpu::with_flag(s.transpose_b, [&](auto transpose_b) {
      gpu::with_flag(vector,
                     [&](auto v) { launch_gemm<transpose_a.value, transpose_b.value, v.value>(ctx, s, a, b, c); });
    });
  });
}

std::string gemm_library() {
  const std::string version = cublaslt_version();
  return version.empty() ? "own tiles" : "cuBLASLt " + version;
}

template void gemm(const Context&, GemmShape, const float*, const float*, Grad<float>);
template void gemm(const Context&, GemmShape, const bf16*, const bf16*, Grad<bf16>);

}  // namespace hourglass::cuda
