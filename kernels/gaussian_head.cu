// SPDX-License-Identifier: Apache-2.0
// Forward: tiles of the head as in linear.cu, stored; the block that is the last of a band of rows then draws z of
// those rows and adds their KL, from the head that the other blocks of the band have left in the second-level cache. A
// launch is saved where it counts, for bands that have a ticket each; z is not formed in the tiles, because mu and
// logvar of an element are columns of different tiles, and the KL is a sum over all of them.
//
// Backward: linear_backward's grid (linear.cu), whose operand dhead is computed from dz, head and redrawn noise as it
// is staged. Each block that reads an element of dhead draws its noise again: cheap beside the launch and the tensor.
#include "kernels/base/gaussian_head_check.h"
#include "kernels/base/gaussian_head_tile.cuh"
#include "kernels/base/linear_operands.cuh"
#include "kernels/base/row_loss.h"
#include "kernels/gaussian_head.h"

namespace hourglass::cuda {
namespace {

template <class T>
struct Forward {
  LatentRows<T> rows;
  const T *x, *w, *b;
  T* head;
  gpu::GemmCut cut;
  void* workspace;
  unsigned* tickets;  // one a band
};

template <class Tile, class T, bool kVector>
__global__ void __launch_bounds__(kGemmThreads, Tile::kBlocks)
    gaussian_head_band_kernel(Forward<T> p, int threads_of_row) {
  const GaussianHeadShape& s = p.rows.s;
  const gpu::Matrix<T, true, kVector> rows{p.x, s.N, s.C};
  const gpu::Matrix<T, true, kVector> columns{p.w, 2 * s.D, s.C};
  const int block = static_cast<int>(blockIdx.x);
  gpu::gemm_tile<Tile>(rows, columns, p.cut, block, p.workspace,
                       gpu::StoreActivated<T, kVector>{p.b, p.head, s.N, 2 * s.D, Activation::kNone});
  const int of_band = p.cut.across * p.cut.slices, band = block / of_band;
  if (!gpu::is_last_block(p.tickets + band, static_cast<unsigned>(of_band))) return;
  sample_rows(p.rows, band * Tile::kRows, min(s.N, (band + 1) * Tile::kRows), threads_of_row);
}

template <bool kVector, class T>
void launch_forward(const Context& ctx, Forward<T> p, const gpu::GemmPlan<1>& plan) {
  p.cut = plan.cuts[0];
  p.workspace = ctx.workspace;
  p.tickets = gpu::tickets(ctx) + (gpu::kTickets - p.cut.down);
  const auto threads = std::min(32u, std::bit_ceil(static_cast<unsigned>((p.rows.s.D + 3) / 4)));
  gpu::with_tile<kVector>(plan.tile, [&](auto tile) {
    using Tile = decltype(tile);
    gpu::launch(gaussian_head_band_kernel<Tile, T, kVector>, gpu::ceil_div(plan.blocks, 1), Tile::kThreads,
                Tile::kSharedBytes, gpu::stream(ctx), p, static_cast<int>(threads));
  });
}

/// Bands take tickets from the end; slices leave that many alone.
constexpr int kMostBands = 32;

// ---------------------------------------------------------------- backward

template <class T>
struct Backward {
  GaussianHeadShape s;
  const T *x, *w, *head, *dz;
  Noise noise;
  Weight weight;  // divided by N
  const float* kl;
  Grad<float> value;
  Grad<T> dx;
  Grad<float> dw, db;
  gpu::GemmCut dx_cut, dw_cut;
  void* workspace;
};

/// The mean of the KL, by one block.
template <class T>
__device__ __forceinline__ void write_mean(const Backward<T>& p) {
  float sum = 0;
  for (int n = static_cast<int>(threadIdx.x); n < p.s.N; n += kGemmThreads) sum += p.kl[n];
  sum = gpu::block_sum<float, kGemmThreads>(sum);
  if (threadIdx.x == 0) write(*p.value.data, sum / static_cast<float>(p.s.N), p.value.mode);
}

template <class Tile, class T, bool kVector>
__global__ void __launch_bounds__(kGemmThreads, Tile::kBlocks) gaussian_head_backward_tiled_kernel(Backward<T> p) {
  const int N = p.s.N, C = p.s.C, D = p.s.D, block = static_cast<int>(blockIdx.x);
  if (p.value && block == 0) write_mean(p);
  const float g = static_cast<float>(p.weight.value());
  const int dx_block = block - p.dx_cut.first_block;
  if (dx_block >= 0 && dx_block < p.dx_cut.blocks()) {
    const LatentGradient<T, true, kVector> dhead{p.head, p.dz, p.noise, g, N, D};
    const gpu::Matrix<T, false, kVector> w{p.w, C, 2 * D};
    gpu::gemm_tile<Tile>(dhead, w, p.dx_cut, dx_block, p.workspace, gpu::StoreMatrix<T, kVector>{p.dx, N, C});
    return;
  }
  const LatentGradient<T, false, kVector> dhead{p.head, p.dz, p.noise, g, N, D};
  const gpu::WithOnes<T, kVector> x{p.x, C, N};
  gpu::gemm_tile<Tile>(dhead, x, p.dw_cut, block - p.dw_cut.first_block, p.workspace,
                       gpu::StoreWeight<false, kVector>{p.dw, p.db, C, 2 * D});
}

template <bool kVector, class T>
void launch_backward(const Context& ctx, Backward<T> p) {
  const GaussianHeadShape& s = p.s;
  const gpu::Inputs inputs = gpu::wanted_inputs(s.C, bool{p.dw}, bool{p.db});
  const gpu::Product dx{p.dx ? s.N : 0, s.C, 2 * s.D}, dw{2 * s.D, inputs.count, s.N};
  const auto plan = gpu::plan_products<2>({dx, dw}, !kVector).with(ctx.math);
  if (plan.blocks == 0) return;
  p.dx_cut = plan.cuts[0];
  p.dw_cut = plan.cuts[1];
  p.dw_cut.first_column = inputs.first;
  gpu::with_tile<kVector>(plan.tile, [&](auto tile) {
    using Tile = decltype(tile);
    gpu::launch(gaussian_head_backward_tiled_kernel<Tile, T, kVector>, gpu::ceil_div(plan.blocks, 1), Tile::kThreads,
                Tile::kSharedBytes, gpu::stream(ctx), p);
  });
}

/// With more draws each read of dhead would redraw all of them.
bool computes_on_load(const GaussianHeadShape& s) { return s.draws == 1 && s.C > 0 && s.D > 0; }

}  // namespace

template <class T>
void gaussian_head_forward(const Context& ctx, GaussianHeadShape s, const T* x, const T* w, const T* b,
                           const Noise& noise, T* head, T* z, acc_t<T>* kl) {
  check_gaussian_head(s, noise);
  const bool vector = gpu::can_load4(s.C, x, w) && gpu::can_load4(2 * s.D, b, head);
  const auto plan = gpu::plan_products<1>({{{s.N, 2 * s.D, s.C}}}, !vector, {kMostBands, 0}).with(ctx.math);
  if (plan.blocks == 0 || plan.cuts[0].down > kMostBands) {
    linear_forward(ctx, s.layer(), x, w, b, head);
    return gaussian_latent_forward(ctx, s.latent(), static_cast<const T*>(head), static_cast<const T*>(head + s.D),
                                   noise, z, kl);
  }
  const Forward<T> p{{s, noise, head, z, kl}, x, w, b, head, {}, nullptr, nullptr};
  gpu::with_flag(vector, [&](auto v) { launch_forward<v.value>(ctx, p, plan); });
}

size_t gaussian_head_backward_scratch_bytes(const Context&, GaussianHeadShape s, size_t element_bytes) {
  return computes_on_load(s) ? 0 : 2 * static_cast<size_t>(s.N) * static_cast<size_t>(s.D) * element_bytes;
}

template <class T>
void gaussian_head_backward(const Context& ctx, GaussianHeadShape s, const T* x, const T* w, const T* head,
                            const Noise& noise, const T* dz, Weight weight, const acc_t<T>* kl, void* scratch,
                            Grad<acc_t<T>> value, Grad<T> dx, Grad<acc_t<T>> dw, Grad<acc_t<T>> db) {
  check_gaussian_head(s, noise);
  check_mean("gaussian_head", s.N);
  const bool wanted = dx || dw || db;
  if (!wanted || !computes_on_load(s)) {
    T* const dhead = wanted ? static_cast<T*>(scratch) : nullptr;
    gaussian_latent_backward(ctx, s.latent(), head, head + s.D, noise, dz, weight, kl, value, Grad<T>{dhead},
                             Grad<T>{dhead ? dhead + s.D : nullptr});
    if (wanted) linear_backward(ctx, s.layer(), x, w, head, static_cast<const T*>(dhead), nullptr, dx, dw, db);
    return;
  }
  const Backward<T> p{s,  x,  w,  head, dz, noise,        gpu::per_sample(weight, s.N), kl, value,
                      dx, dw, db, {},   {}, ctx.workspace};
  const bool vector = gpu::can_load4(s.C, x, w, dx.data, dw.data) && gpu::can_load4(s.D, head, dz, db.data);
  gpu::with_flag(vector, [&](auto v) { launch_backward<v.value>(ctx, p); });
}

template void gaussian_head_forward(const Context&, GaussianHeadShape, const float*, const float*, const float*,
                                    const Noise&, float*, float*, float*);
template void gaussian_head_forward(const Context&, GaussianHeadShape, const bf16*, const bf16*, const bf16*,
                                    const Noise&, bf16*, bf16*, float*);
template void gaussian_head_backward(const Context&, GaussianHeadShape, const float*, const float*, const float*,
                                     const Noise&, const float*, Weight, const float*, void*, Grad<float>, Grad<float>,
                                     Grad<float>, Grad<float>);
template void gaussian_head_backward(const Context&, GaussianHeadShape, const bf16*, const bf16*, const bf16*,
                                     const Noise&, const bf16*, Weight, const float*, void*, Grad<float>, Grad<bf16>,
                                     Grad<float>, Grad<float>);

}  // namespace hourglass::cuda
