// SPDX-License-Identifier: Apache-2.0
// Blocks compute tiles of the logits (base/gemm_tile.cuh). A thread turns its sums into losses and gradients in
// registers: the logits never reach memory, and the gradient is written once. The losses are added thread, block and
// grid, a partial sum for each tile, whichever of the blocks that share its depth has stored it.
#include "kernels/base/cublaslt.h"
#include "kernels/base/grid_sum.cuh"
#include "kernels/base/linear_bce_check.h"
#include "kernels/base/linear_bce_store.cuh"
#include "kernels/bernoulli_nll.h"
#include "kernels/linear_bce.h"

namespace hourglass::cuda {
namespace {

using gpu::kGemmThreads;

template <class T>
struct Pass {
  LinearBceShape s;
  const T *x, *w, *b, *target;
  Weight weight;  // divided by N
  Grad<float> value;
  T* dlogits;
  gpu::GemmCut cut;
  void* workspace;
  float* partials;  // one a tile
  unsigned* ticket;
};

template <class Tile, class T, bool kTransposed, bool kVector>
__global__ void __launch_bounds__(kGemmThreads, Tile::kBlocks) linear_bce_tiled_kernel(Pass<T> p) {
  const gpu::Matrix<T, true, kVector> rows{p.x, p.s.N, p.s.C};
  const gpu::Matrix<T, !kTransposed, kVector> columns{p.w, p.s.K, p.s.C};
  float sum = 0;
  const StoreBernoulliGradient<T, kVector> store{
      p.b, p.target, p.dlogits, p.s.N, p.s.K, p.s.draws, static_cast<float>(p.weight.value()), &sum};
  const int block = static_cast<int>(blockIdx.x);
  const bool stored = gpu::gemm_tile<Tile>(rows, columns, p.cut, block, p.workspace, store);
  if (!p.value) return;
  const float of_tile = gpu::block_sum<float, kGemmThreads>(sum);
  if (stored && threadIdx.x == 0) p.partials[block / p.cut.slices] = of_tile;
  if (!gpu::is_last_block(p.ticket)) return;
  const float total = gpu::sum_of_partials<kGemmThreads>(p.partials, static_cast<unsigned>(p.cut.tiles()));
  if (threadIdx.x == 0) write(*p.value.data, total / static_cast<float>(p.s.N), p.value.mode);
}

/// Slices take tickets from the front and partial sums from the front; the tiles' losses are at the end of both. Where
/// there are more tiles than tickets, there are no slices, and the workspace is all theirs.
constexpr gpu::Reserved kReserved{1, gpu::kTickets};
constexpr int64_t kMostTiles = gpu::kMostPartials<float>;

template <bool kTransposed, bool kVector, class T>
void launch_loss(const Context& ctx, Pass<T> p, const gpu::GemmPlan<1>& plan) {
  p.cut = plan.cuts[0];
  p.workspace = ctx.workspace;
  p.partials = gpu::partials<float>(ctx) + (kMostTiles - p.cut.tiles());
  p.ticket = gpu::tickets(ctx) + gpu::kTickets - 1;
  gpu::with_tile<kVector>(plan.tile, [&](auto tile) {
    using Tile = decltype(tile);
    gpu::launch(linear_bce_tiled_kernel<Tile, T, kTransposed, kVector>, gpu::ceil_div(plan.blocks, 1), Tile::kThreads,
                Tile::kSharedBytes, gpu::stream(ctx), p);
  });
}

/// The logits by cuBLASLt, then a pass that turns them into their gradient in place.
template <class T>
bool by_library(const Context& ctx, const Pass<T>& p, Weight weight) {
  const LinearBceShape& s = p.s;
  if (int64_t{s.N} * s.K * s.C < kLibraryActivationWork) return false;
  LibraryProduct product{s.N, s.K, s.C, false, !s.transposed_weight};
  if (p.b) product.epilogue = LibraryEpilogue::kBias;
  if (std::is_same_v<T, bf16>) product.dtype = Dtype::kBF16;
  if (!library_multiply(ctx, product, p.x, p.w, p.b, p.dlogits)) return false;
  bernoulli_nll_loss(ctx, s.loss(), p.dlogits, p.target, weight, p.value, Grad<T>{p.dlogits});
  return true;
}

}  // namespace

size_t linear_bce_scratch_bytes(const Context&, LinearBceShape) { return 0; }

template <class T>
void linear_bce_loss(const Context& ctx, LinearBceShape s, const T* x, const T* w, const T* b, const T* target,
                     Weight weight, void*, Grad<acc_t<T>> value, T* dlogits) {
  check_linear_bce(s);
  const Pass<T> p{s, x, w, b, target, gpu::per_sample(weight, s.N), value, dlogits, {}, nullptr, nullptr, nullptr};
  if (s.K == 0) return bernoulli_nll_loss(ctx, s.loss(), dlogits, target, weight, value, Grad<T>{});
  if (by_library(ctx, p, weight)) return;
  const bool vector = gpu::can_load4(s.C, x) && gpu::can_load4(s.transposed_weight ? s.K : s.C, w) &&
                      gpu::can_load4(s.K, b, target, dlogits);
  const auto plan = gpu::plan_products<1>({{{s.N, s.K, s.C}}}, !vector, kReserved).with(ctx.math);
  if (plan.cuts[0].tiles() > kMostTiles) {
    throw Error(Exit::kUsage, "linear_bce: " + std::to_string(s.N) + " x " + std::to_string(s.K) +
                                  " logits are too many for one launch; use linear and bernoulli_nll");
  }
  gpu::with_flag(s.transposed_weight, [&](auto transposed) {
    gpu::with_flag(vector, [&](auto v) { launch_loss<transposed.value, v.value>(ctx, p, plan); });
  });
}

template void linear_bce_loss(const Context&, LinearBceShape, const float*, const float*, const float*, const float*,
                              Weight, void*, Grad<float>, float*);
template void linear_bce_loss(const Context&, LinearBceShape, const bf16*, const bf16*, const bf16*, const bf16*,
                              Weight, void*, Grad<float>, bf16*);

}  // namespace hourglass::cuda
