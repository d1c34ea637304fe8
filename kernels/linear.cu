// SPDX-License-Identifier: Apache-2.0
// Forward: y = f(x w^T + b), tiles of y as in gemm.cu, with bias and activation applied to the sums in registers.
//
// Backward: one grid whose blocks are tiles of two products; the block index says of which. Large layers: cuBLASLt.
//
//   dx (N, C) = dz w
//   dw (K, C) = dz^T [x 1]             db is the column that the appended ones give, in the same order of summation
//
// With transposed_weight dw^T (C, K) = [x 1]^T dz, and db is its last row. dz = dy f'(y) is computed as dy and y are
// staged: it costs a few operations for each element read, and saves a launch and a tensor.
#include "kernels/base/activation_functions.h"
#include "kernels/base/cublaslt.h"
#include "kernels/base/gemm_tile.cuh"
#include "kernels/base/linear_check.h"
#include "kernels/base/linear_operands.cuh"
#include "kernels/linear.h"

namespace hourglass::cuda {
namespace {

using gpu::kGemmThreads;
using gpu::Vec4;

// ---------------------------------------------------------------- forward

template <class Tile, class T, bool kTransposed, bool kVector>
__global__ void __launch_bounds__(kGemmThreads, Tile::kBlocks)
    linear_forward_tiled_kernel(LinearShape s, const T* x, const T* w, const T* b, T* y, gpu::GemmCut cut,
                                void* workspace) {
  const gpu::Matrix<T, true, kVector> rows{x, s.N, s.C};
  const gpu::Matrix<T, !kTransposed, kVector> columns{w, s.K, s.C};
  gpu::gemm_tile<Tile>(rows, columns, cut, static_cast<int>(blockIdx.x), workspace,
                       gpu::StoreActivated<T, kVector>{b, y, s.N, s.K, s.activation});
}

template <bool kTransposed, bool kVector, class T>
void launch_forward(const Context& ctx, LinearShape s, const T* x, const T* w, const T* b, T* y) {
  const auto plan = gpu::plan_products<1>({{{s.N, s.K, s.C}}}, !kVector).with(ctx.math);
  gpu::with_tile<kVector>(plan.tile, [&](auto tile) {
    using Tile = decltype(tile);
    gpu::launch(linear_forward_tiled_kernel<Tile, T, kTransposed, kVector>, gpu::ceil_div(plan.blocks, 1),
                Tile::kThreads, Tile::kSharedBytes, gpu::stream(ctx), s, x, w, b, y, plan.cuts[0], ctx.workspace);
  });
}

bool is_large(const LinearShape& s) { return int64_t{s.N} * s.K * s.C >= kLibraryActivationWork; }

template <class T>
bool forward_by_library(const Context& ctx, LinearShape s, const T* x, const T* w, const T* b, T* y) {
  const bool plain = s.activation == Activation::kNone;
  if (!plain && !is_large(s)) return false;
  LibraryProduct product{s.N, s.K, s.C, false, !s.transposed_weight};
  if (b) product.epilogue = LibraryEpilogue::kBias;
  if (std::is_same_v<T, bf16>) product.dtype = Dtype::kBF16;
  if (!library_multiply(ctx, product, x, w, b, y)) return false;
  if (!plain) activation_forward(ctx, {int64_t{s.N} * s.K, s.activation}, y, y);
  return true;
}

// ---------------------------------------------------------------- backward

using gpu::Derivative;

template <class T>
struct Backward {
  LinearShape s;
  const T *x, *w, *y, *dy;
  Grad<T> dx;
  Grad<float> dw, db;
  gpu::GemmCut dx_cut, dw_cut;
  void* workspace;
};

template <class Tile, class T, bool kTransposed, bool kVector>
__global__ void __launch_bounds__(kGemmThreads, Tile::kBlocks) linear_backward_tiled_kernel(Backward<T> p) {
  const LinearShape& s = p.s;
  const int block = static_cast<int>(blockIdx.x), dx_block = block - p.dx_cut.first_block;
  if (dx_block >= 0 && dx_block < p.dx_cut.blocks()) {
    const Derivative<T, true, kVector> dz{p.dy, p.y, s.N, s.K, s.activation};
    const gpu::Matrix<T, kTransposed, kVector> w{p.w, s.C, s.K};
    gpu::gemm_tile<Tile>(dz, w, p.dx_cut, dx_block, p.workspace, gpu::StoreMatrix<T, kVector>{p.dx, s.N, s.C});
    return;
  }
  const Derivative<T, false, kVector> dz{p.dy, p.y, s.N, s.K, s.activation};
  const gpu::WithOnes<T, kVector> x{p.x, s.C, s.N};
  const gpu::StoreWeight<kTransposed, kVector> store{p.dw, p.db, s.C, s.K};
  const int dw_block = block - p.dw_cut.first_block;
  if constexpr (kTransposed) {
    gpu::gemm_tile<Tile>(x, dz, p.dw_cut, dw_block, p.workspace, store);
  } else {
    gpu::gemm_tile<Tile>(dz, x, p.dw_cut, dw_block, p.workspace, store);
  }
}

template <bool kTransposed, bool kVector, class T>
void launch_backward(const Context& ctx, Backward<T> p) {
  const LinearShape& s = p.s;
  const gpu::Inputs inputs = gpu::wanted_inputs(s.C, bool{p.dw}, bool{p.db});
  const gpu::Product dx{p.dx ? s.N : 0, s.C, s.K};
  const gpu::Product dw = kTransposed ? gpu::Product{inputs.count, s.K, s.N} : gpu::Product{s.K, inputs.count, s.N};
  const auto plan = gpu::plan_products<2>({dx, dw}, !kVector).with(ctx.math);
  if (plan.blocks == 0) return;
  p.dx_cut = plan.cuts[0];
  p.dw_cut = plan.cuts[1];
  (kTransposed ? p.dw_cut.first_row : p.dw_cut.first_column) = inputs.first;
  gpu::with_tile<kVector>(plan.tile, [&](auto tile) {
    using Tile = decltype(tile);
    gpu::launch(linear_backward_tiled_kernel<Tile, T, kTransposed, kVector>, gpu::ceil_div(plan.blocks, 1),
                Tile::kThreads, Tile::kSharedBytes, gpu::stream(ctx), p);
  });
}

}  // namespace

size_t linear_backward_scratch_bytes(const Context& ctx, LinearShape s, size_t element_bytes) {
  if (s.activation == Activation::kNone || ctx.own_gemm || !is_large(s)) return 0;
  return static_cast<size_t>(s.N) * static_cast<size_t>(s.K) * element_bytes;
}

template <class T>
void linear_backward_by_library(const Context& ctx, LinearShape s, const T* x, const T* w, const T* y, const T* dy,
                                void* scratch, Grad<T>* dx, Grad<acc_t<T>>* dw) {
  if ((!*dx && !*dw) || s.N == 0 || s.C == 0 || s.K == 0 || !library_wanted(ctx)) return;
  const T* dz = dy;
  if (s.activation != Activation::kNone) {
    const Grad<T> to{static_cast<T*>(scratch)};
    activation_backward(ctx, {int64_t{s.N} * s.K, s.activation}, static_cast<const T*>(nullptr), y, dy, to);
    dz = to.data;
  }
  const Dtype dtype = std::is_same_v<T, bf16> ? Dtype::kBF16 : Dtype::kF32;
  const LibraryProduct of_x{
      .M = s.N, .N = s.C, .K = s.K, .transpose_b = s.transposed_weight, .dtype = dtype, .mode = dx->mode};
  if (*dx && library_multiply(ctx, of_x, dz, w, nullptr, dx->data)) *dx = {};
  LibraryProduct of_w{
      .M = s.K, .N = s.C, .K = s.N, .transpose_a = true, .dtype = dtype, .mode = dw->mode, .float_c = true};
  const T *left = dz, *right = x;
  if (s.transposed_weight) {
    std::swap(of_w.M, of_w.N);
    std::swap(left, right);
  }
  if (*dw && library_multiply(ctx, of_w, left, right, nullptr, dw->data)) *dw = {};
}

template <class T>
void linear_forward(const Context& ctx, LinearShape s, const T* x, const T* w, const T* b, T* y) {
  check_linear(s);
  if (s.N == 0 || s.K == 0 || forward_by_library(ctx, s, x, w, b, y)) return;
  const bool vector =
      gpu::can_load4(s.C, x) && gpu::can_load4(s.transposed_weight ? s.K : s.C, w) && gpu::can_load4(s.K, b, y);
  gpu::with_flag(s.transposed_weight, [&](auto transposed) {
    gpu::with_flag(vector, [&](auto v) { launch_forward<transposed.value, v.value>(ctx, s, x, w, b, y); });
  });
}

template <class T>
void linear_backward(const Context& ctx, LinearShape s, const T* x, const T* w, const T* y, const T* dy, void* scratch,
                     Grad<T> dx, Grad<acc_t<T>> dw, Grad<acc_t<T>> db) {
  check_linear(s);
  if (is_large(s) && (scratch || s.activation == Activation::kNone)) {
    linear_backward_by_library(ctx, s, x, w, y, dy, scratch, &dx, &dw);
  }
  const T* output = s.activation == Activation::kNone ? nullptr : y;
  const Backward<T> p{s, x, w, output, dy, dx, dw, db, {}, {}, ctx.workspace};
  const bool vector =
      gpu::can_load4(s.C, x, w, dx.data, dw.data) && gpu::can_load4(s.K, output, dy, w, dw.data, db.data);
  gpu::with_flag(s.transposed_weight, [&](auto transposed) {
    gpu::with_flag(vector, [&](auto v) { launch_backward<transposed.value, v.value>(ctx, p); });
  });
}

template void linear_forward(const Context&, LinearShape, const float*, const float*, const float*, float*);
template void linear_forward(const Context&, LinearShape, const bf16*, const bf16*, const bf16*, bf16*);
template void linear_backward(const Context&, LinearShape, const float*, const float*, const float*, const float*,
                              void*, Grad<float>, Grad<float>, Grad<float>);
template void linear_backward(const Context&, LinearShape, const bf16*, const bf16*, const bf16*, const bf16*, void*,
                              Grad<bf16>, Grad<float>, Grad<float>);
template void linear_backward_by_library(const Context&, LinearShape, const float*, const float*, const float*,
                                         const float*, void*, Grad<float>*, Grad<float>*);
template void linear_backward_by_library(const Context&, LinearShape, const bf16*, const bf16*, const bf16*,
                                         const bf16*, void*, Grad<bf16>*, Grad<float>*);

}  // namespace hourglass::cuda
