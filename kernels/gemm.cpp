// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm.h"

#include <algorithm>

#include "kernels/base/gemm_check.h"
#include "kernels/base/gemm_tile.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::cpu {
namespace {

int divide_up(int64_t a, int64_t b) { return static_cast<int>((a + b - 1) / b); }

}  // namespace

template <class T>
void gemm(const Context&, GemmShape s, const T* a, const T* b, Grad<T> c) {
  check_gemm(s);
  if (!c) return;
  const int64_t M = s.M, N = s.N, K = s.K;
  for (int64_t m = 0; m < M; ++m) {
    for (int64_t n = 0; n < N; ++n) {
      T sum = 0;
      for (int64_t k = 0; k < K; ++k) {
        sum += (s.transpose_a ? a[k * M + m] : a[m * K + k]) * (s.transpose_b ? b[n * K + k] : b[k * N + n]);
      }
      write(c.data[m * N + n], sum, c.mode);
    }
  }
}
template void gemm<float>(const Context&, GemmShape, const float*, const float*, Grad<float>);
template void gemm<double>(const Context&, GemmShape, const double*, const double*, Grad<double>);

GemmTiles::GemmTiles(const GemmShape& s, int width) : columns(width) {
  constexpr int kMostRows = 512, kFewestRows = 32, kFewestTiles = 8;
  constexpr double kLeastWork = 2e5;  // flops, about a microsecond: what taking a tile should be small against
  if (s.M <= 0 || s.N <= 0) return;
  across = divide_up(s.N, columns);
  const int bands = std::max(divide_up(s.M, kMostRows), divide_up(kFewestTiles, across));
  rows = std::max(kFewestRows, 8 * divide_up(s.M, int64_t{8} * bands));
  while (rows < s.M && 2.0 * rows * columns * s.K < kLeastWork) rows *= 2;
  rows = std::min(rows, s.M);
  down = divide_up(s.M, rows);
}

GemmTile tile_of(const GemmShape& s, const GemmTiles& tiles, int64_t index, const float* a, const float* b,
                 Grad<float> c) {
  const int64_t m = index / tiles.across * tiles.rows, n = index % tiles.across * tiles.columns;
  GemmTile t;
  t.transpose_a = s.transpose_a;
  t.transpose_b = s.transpose_b;
  t.M = static_cast<int>(std::min<int64_t>(tiles.rows, s.M - m));
  t.N = static_cast<int>(std::min<int64_t>(tiles.columns, s.N - n));
  t.K = s.K;
  t.lda = s.transpose_a ? s.M : s.K;
  t.ldb = s.transpose_b ? s.K : s.N;
  t.ldc = s.N;
  t.a = a + (s.transpose_a ? m : m * t.lda);
  t.b = b + (s.transpose_b ? n * t.ldb : n);
  t.c = c.data + m * t.ldc + n;
  t.add = c.mode == Write::kAdd;
  return t;
}

void gemm(const Context& ctx, GemmShape s, const float* a, const float* b, Grad<float> c) {
  check_gemm(s);
  if (!c) return;
  const GemmTiles tiles(s, tile_columns());
  parallel_for(ctx, tiles.count(), [&](int64_t i) { multiply(tile_of(s, tiles, i, a, b, c)); });
}

}  // namespace hourglass::cpu
