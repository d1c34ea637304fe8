// SPDX-License-Identifier: Apache-2.0
// Planted bugs in matrix products and rows, drawn from Hourglass's GEMM, linear layers and row reductions.
#include <algorithm>

#include "kernels/base/mma.cuh"
#include "tests/simt/planted/planted.h"

namespace hourglass::test {
namespace {

constexpr int kTile = 8;

enum class GemmBug { kNone, kTail, kStride, kAdd, kPoison };

/// c = a b, or c += a b; 8 x 8 threads, one element each. M = N = 8.
__global__ void gemm_tiled_kernel(int K, const float* a, const float* b, float* c, Write mode, GemmBug bug) {
  __shared__ float tile_a[kTile][kTile], tile_b[kTile][kTile];
  const auto row = static_cast<int>(threadIdx.x) / kTile, column = static_cast<int>(threadIdx.x) % kTile;
  const int tiles = bug == GemmBug::kTail ? K / kTile : (K + kTile - 1) / kTile;
  const int stride = bug == GemmBug::kStride ? kTile : K;
  float total = 0;
  for (int t = 0; t < tiles; ++t) {
    const int ka = t * kTile + column, kb = t * kTile + row;
    tile_a[row][column] = ka < K ? a[row * stride + ka] : 0;
    tile_b[row][column] = kb < K ? b[kb * kTile + column] : 0;
    __syncthreads();
    for (int k = 0; k < kTile; ++k) total += tile_a[row][k] * tile_b[k][column];
    __syncthreads();
  }
  if (bug == GemmBug::kAdd) mode = Write::kSet;
  if (bug == GemmBug::kPoison) mode = Write::kAdd;
  write(c[row * kTile + column], total, mode);
}
Outcome gemm(Write mode, GemmBug bug) {
  const size_t K = 19, side = kTile;
  const Floats a = ramp(side * K), b = ramp(K * side);
  Floats want(side * side, mode == Write::kAdd ? 1000.f : 0.f);
  for (size_t m = 0; m < side; ++m) {
    for (size_t n = 0; n < side; ++n) {
      for (size_t k = 0; k < K; ++k) want[m * side + n] += a[m * K + k] * b[k * side + n];
    }
  }
  const Array<> device_a(a), device_b(b), c(side * side);
  const Floats before(side * side, 1000);
  if (mode == Write::kAdd) static_cast<void>(cudaMemcpy(c.data(), before.data(), c.bytes(), cudaMemcpyHostToDevice));
  launch(gemm_tiled_kernel, 1, kTile * kTile, static_cast<int>(K), device_a.data(), device_b.data(), c.data(), mode,
         bug);
  return {c.values(), want};
}
template <GemmBug kBug, Write kMode = Write::kSet>
Outcome gemm_with(bool planted) {
  return gemm(kMode, planted ? kBug : GemmBug::kNone);
}

enum class PipelineBug { kNone, kWait, kBarrier, kStage };

/// Sums tiles that cp.async brings one ahead of the sum, into two stages.
__global__ void pipeline_kernel(const float* x, float* y, int tiles, PipelineBug bug) {
  alignas(16) __shared__ float stages[2][128];
  const unsigned first = threadIdx.x * 4;
  const auto fetch = [&](int tile) {
    if (tile < tiles) gpu::cp_async16(&stages[tile % 2][first], x + tile * 128 + static_cast<int>(first), true);
    gpu::cp_async_commit();
  };
  float total = 0;
  fetch(0);
  for (int tile = 0; tile < tiles; ++tile) {
    fetch(tile + 1);
    if (bug == PipelineBug::kWait) {
      gpu::cp_async_wait<2>();
    } else {
      gpu::cp_async_wait<1>();
    }
    if (bug != PipelineBug::kBarrier) __syncthreads();
    for (float value : stages[bug == PipelineBug::kStage ? (tile + 1) % 2 : tile % 2]) total += value;
    __syncthreads();
  }
  gpu::cp_async_wait<0>();
  y[threadIdx.x] = total;
}
template <PipelineBug kBug>
Outcome pipeline_with(bool planted) {
  const Floats values = ramp(3 * 128);
  const Array<> x(values), y(32);
  launch(pipeline_kernel, 1, 32, x.data(), y.data(), 3, planted ? kBug : PipelineBug::kNone);
  return {y.values(), Floats(32, sum(values))};
}

enum class FragmentBug { kNone, kOrder, kColumn, kTransposed };

/// One m16n8k16 product: A (16, 16) in rows, B (16, 8) in rows, D (16, 8).
__global__ void mma_tile_kernel(const bf16* a, const bf16* b, float* d, FragmentBug bug) {
  alignas(16) __shared__ uint16_t tile_b[16][8];
  const int lane = gpu::lane(), g = lane / 4, t = lane % 4;
  for (int i = lane; i < 16 * 8; i += 32) tile_b[i / 8][i % 8] = b[i].bits;
  __syncwarp();
  uint32_t fragment_a[4], rows_b[4];
  for (int i = 0; i < 4; ++i) {
    const int row = g + 8 * (i % 2), k = 2 * t + 8 * (i / 2);
    fragment_a[i] = a[row * 16 + k].bits | static_cast<uint32_t>(a[row * 16 + k + 1].bits) << 16;
  }
  if (bug == FragmentBug::kOrder) std::swap(fragment_a[1], fragment_a[2]);
  if (bug == FragmentBug::kTransposed) {
    gpu::ldmatrix_x4(rows_b, tile_b[lane % 16]);
  } else {
    gpu::ldmatrix_x4_trans(rows_b, tile_b[lane % 16]);
  }
  float sums[4] = {};
  gpu::mma_m16n8k16(sums, fragment_a, {rows_b[0], rows_b[1]});
  for (int i = 0; i < 4; ++i) {
    const int column = bug == FragmentBug::kColumn ? t + 4 * (i % 2) : 2 * t + i % 2;
    d[(g + 8 * (i / 2)) * 8 + column] = sums[i];
  }
}
template <FragmentBug kBug>
Outcome mma_with(bool planted) {
  std::vector<bf16> a, b;
  for (int i = 0; i < 16 * 16; ++i) a.push_back(bf16(static_cast<float>(i * 7 % 11)));
  for (int i = 0; i < 16 * 8; ++i) b.push_back(bf16(static_cast<float>(i * 5 % 13)));
  const Floats want = each(16 * 8, [&](size_t i) {
    float total = 0;
    for (size_t k = 0; k < 16; ++k) total += float(a[i / 8 * 16 + k]) * float(b[k * 8 + i % 8]);
    return total;
  });
  const Array<bf16> device_a(a), device_b(b);
  const Array<> d(16 * 8);
  launch(mma_tile_kernel, 1, 32, device_a.data(), device_b.data(), d.data(), planted ? kBug : FragmentBug::kNone);
  return {d.values(), want};
}

/// A warp a row. Lanes beyond the row's end must bring the neutral element.
__global__ void row_max_kernel(const float* x, float* y, int D, bool planted) {
  const int lane = gpu::lane();
  const float neutral = planted ? 0 : -std::numeric_limits<float>::infinity();
  const float largest = gpu::warp_max(lane < D ? x[static_cast<int>(blockIdx.x) * D + lane] : neutral);
  if (lane == 0) y[blockIdx.x] = largest;
}
Outcome row_max_of_ragged_warp(bool planted) {
  const Array<> x(each(4 * 20, [](size_t i) { return -1.0 - static_cast<double>(i % 20); })), y(4);
  launch(row_max_kernel, 4, 32, x.data(), y.data(), 20, planted);
  return {y.values(), Floats(4, -1)};
}

/// log(sum(exp(x))) of a row.
__global__ void log_sum_exp_kernel(const float* x, float* y, int D, bool planted) {
  if (threadIdx.x != 0) return;
  float largest = x[0], total = 0;
  for (int i = 1; i < D; ++i) largest = fmaxf(largest, x[i]);
  if (planted) largest = 0;
  for (int i = 0; i < D; ++i) total += expf(x[i] - largest);
  y[0] = largest + logf(total);
}
Outcome log_sum_exp_overflows(bool planted) {
  const Array<> x(Floats(8, 100)), y(1);
  launch(log_sum_exp_kernel, 1, 32, x.data(), y.data(), 8, planted);
  return {y.values(), {100 + std::log(8.f)}};
}

/// Rows of D = 6 begin at addresses that are no multiple of 16.
__global__ void vector_rows_kernel(const float* x, float* y, bool planted) {
  const float* const row = x + 6 * threadIdx.x;
  float total = row[4] + row[5];
  if (planted) {
    const gpu::Vec4 v = gpu::load4(row);
    total += v[0] + v[1] + v[2] + v[3];
  } else {
    for (int i = 0; i < 4; ++i) total += row[i];
  }
  y[threadIdx.x] = total;
}
Outcome vector_load_of_odd_rows(bool planted) {
  const Array<> x(Floats(6 * 8, 1)), y(8);
  launch(vector_rows_kernel, 1, 8, x.data(), y.data(), planted);
  return {y.values(), Floats(8, 6)};
}

}  // namespace

std::vector<PlantedBug> planted_matrices() {
  return {
      {"gemm_dropped_tail", "GEMM: the last, ragged tile of K left out", "wrong", "wrong", "wrong",
       gemm_with<GemmBug::kTail>},
      {"gemm_wrong_stride", "GEMM: rows of A a tile apart instead of K", "wrong", "wrong", "wrong",
       gemm_with<GemmBug::kStride>},
      {"gemm_set_instead_of_add", "GEMM: a gradient overwritten where it should be added to", "wrong", "wrong", "wrong",
       gemm_with<GemmBug::kAdd, Write::kAdd>},
      {"gemm_add_instead_of_set", "GEMM: added to what nobody has written", "wrong differs", "wrong differs",
       "uninitialised", gemm_with<GemmBug::kPoison>},
      {"pipeline_missing_wait", "pipeline: one group too many left under way", "wrong", "wrong", "uninitialised",
       pipeline_with<PipelineBug::kWait>},
      {"pipeline_missing_barrier", "pipeline: no barrier between this thread's wait and the others' reads",
       "wrong differs", "wrong differs", "race", pipeline_with<PipelineBug::kBarrier>},
      {"pipeline_wrong_stage", "pipeline: the stage that is being filled is read", "wrong", "wrong", "uninitialised",
       pipeline_with<PipelineBug::kStage>},
      {"mma_fragment_order", "tensor cores: two words of A's fragment swapped", "wrong", "wrong", "wrong",
       mma_with<FragmentBug::kOrder>},
      {"mma_column_order", "tensor cores: D's columns stored as if lanes held t and t + 4", "wrong", "wrong", "wrong",
       mma_with<FragmentBug::kColumn>},
      {"mma_not_transposed", "tensor cores: `ldmatrix` of B without transposition", "wrong", "wrong", "wrong",
       mma_with<FragmentBug::kTransposed>},
      {"row_max_of_ragged_warp", "row maximum: lanes past the row's end bring 0", "wrong", "wrong", "wrong",
       row_max_of_ragged_warp},
      {"log_sum_exp_overflows", "log-sum-exp without subtracting the maximum", "wrong", "wrong", "wrong",
       log_sum_exp_overflows},
      {"vector_load_of_odd_rows", "vector loads of rows that do not stay aligned", "", "ubsan", "misaligned",
       vector_load_of_odd_rows},
  };
}

}  // namespace hourglass::test
