// SPDX-License-Identifier: Apache-2.0
// Our own float matrix product. K is cut into blocks of kDepth; of each, B's columns are packed into panels of up to
// three vectors, which stay in the nearest caches while MR rows of A at a time run over them, with MR x 3
// accumulators in registers. A is read in place: its elements are broadcast. MR is 8 with 32 vector registers, else 4.
// Compiled with -ffp-contract=fast: the multiply-add is fused where the machine has it.
//
// Measured on one Zen 5 core (peak 290 GFLOP/s), against dnnl_sgemm of oneDNN 2.6.3 on the whole product, GFLOP/s:
// 128x400x784 with B transposed 234 (240), 784x400x128 with A transposed 255 (260), 784x400x4096 with A transposed
// 222 (233). Blocks of K of 128 and 384 measured the same; without the prefetch the last one fell to 130.
#include <algorithm>

#include "kernels/base/float_vectors.h"
#include "kernels/base/gemm_tile.h"

namespace hourglass::cpu {
namespace {

constexpr int kPanel = 48;
constexpr int kDepth = 256;
constexpr int kAhead = 16;

/// panel[k][j] = b[k ldb + j] for `columns` columns. The rest of `width` holds what follows in memory, which is still
/// b's next row, or zeros: results of those columns are never stored.
template <int L>
HOURGLASS_INLINE void pack(const float* b, int64_t ldb, int depth, int columns, int width, float* panel) {
  for (int k = 0; k < depth; ++k, b += ldb, panel += width) {
    const int64_t readable = (depth - 1 - k) * ldb + columns;
    for (int j = 0; j < width; j += L) {
      if (j + L <= readable) {
        store<L>(panel + j, load<L>(b + j));
      } else {
        for (int i = 0; i < L; ++i) panel[j + i] = j + i < columns ? b[j + i] : 0.0f;
      }
    }
  }
}

/// Writes the first `columns` of NV vectors; only the last vector may be cut.
template <int L, int NV>
HOURGLASS_INLINE void store_row(float* to, const Floats<L> (&sums)[NV], int columns, bool add) {
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v, to += L) {
    const int left = columns - v * L;
    if (left >= L) {
      store<L>(to, add ? load<L>(to) + sums[v] : sums[v]);
    } else {
      float cut[L];
      store<L>(cut, sums[v]);
      for (int j = 0; j < L; ++j) {
        if (j < left) to[j] = add ? to[j] + cut[j] : cut[j];
      }
    }
  }
}

/// c[i][j] (+)= sum_k rows[i][k step] panel[k][j] for `m` <= MR rows and `columns` <= NV L columns.
template <int L, int MR, int NV>
HOURGLASS_INLINE void micro_kernel(int depth, const float* const (&rows)[MR], int64_t step, const float* panel,
                                   float* c, int64_t ldc, int m, int columns, bool add) {
  Floats<L> sums[MR][NV] = {};
  int64_t at = 0;
  for (int k = 0; k < depth; ++k, at += step, panel += NV * L) {
    // Rows of a transposed A lie a stride apart, which the hardware's prefetcher does not follow.
    if (step > 1) __builtin_prefetch(rows[0] + at + kAhead * step);
    Floats<L> b[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) b[v] = load<L>(panel + v * L);
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i) {
      const float a = rows[i][at];
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) sums[i][v] += a * b[v];
    }
  }
  if (m == MR && columns == NV * L) {
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i) store_row<L, NV>(c + i * ldc, sums[i], NV * L, add);
    return;
  }
#pragma GCC unroll 8
  for (int i = 0; i < MR; ++i) {
    if (i < m) store_row<L, NV>(c + i * ldc, sums[i], columns, add);
  }
}

/// One packed panel against all rows of the tile.
template <int L, int MR, int NV>
HOURGLASS_INLINE void run_panel(const GemmTile& t, const float* a, int depth, const float* panel, float* c, int columns,
                                bool add) {
  const int64_t row_stride = t.transpose_a ? 1 : t.lda, step = t.transpose_a ? t.lda : 1;
  for (int m = 0; m < t.M; m += MR) {
    const int count = std::min(MR, t.M - m);
    const float* rows[MR];
    for (int i = 0; i < MR; ++i) rows[i] = a + (m + std::min(i, count - 1)) * row_stride;
    micro_kernel<L, MR, NV>(depth, rows, step, panel, c + m * int64_t{t.ldc}, t.ldc, count, columns, add);
  }
}

/// All of a tile, with vectors of L floats and MR rows at a time.
template <int L, int MR>
HOURGLASS_INLINE void multiply_with(const GemmTile& t) {
  alignas(64) float panel[kDepth * 3 * L];
  for (int k = 0; k < t.K; k += kDepth) {
    const int depth = std::min(kDepth, t.K - k);
    const bool add = t.add || k > 0;
    const float* a = t.a + (t.transpose_a ? k * int64_t{t.lda} : k);
    for (int n = 0; n < t.N; n += 3 * L) {
      const int columns = std::min(3 * L, t.N - n), vectors = (columns + L - 1) / L;
      if (t.transpose_b) {
        pack_transposed<L>(t.b + n * int64_t{t.ldb} + k, t.ldb, depth, columns, vectors * L, panel);
      } else {
        pack<L>(t.b + k * int64_t{t.ldb} + n, t.ldb, depth, columns, vectors * L, panel);
      }
      if (vectors == 1) run_panel<L, MR, 1>(t, a, depth, panel, t.c + n, columns, add);
      if (vectors == 2) run_panel<L, MR, 2>(t, a, depth, panel, t.c + n, columns, add);
      if (vectors == 3) run_panel<L, MR, 3>(t, a, depth, panel, t.c + n, columns, add);
    }
  }
}

void multiply_4(const GemmTile& t) { multiply_with<4, 4>(t); }

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
__attribute__((target("arch=x86-64-v4"))) void multiply_16(const GemmTile& t) { multiply_with<16, 8>(t); }
__attribute__((target("arch=x86-64-v3"))) void multiply_8(const GemmTile& t) { multiply_with<8, 4>(t); }
#endif

std::vector<GemmLevel> levels_of_this_machine() {
  std::vector<GemmLevel> levels;
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
  if (__builtin_cpu_supports("x86-64-v4")) levels.push_back({"x86-64-v4", multiply_16});
  if (__builtin_cpu_supports("x86-64-v3")) levels.push_back({"x86-64-v3", multiply_8});
#endif
  levels.push_back({"default", multiply_4});
  return levels;
}

}  // namespace

const std::vector<GemmLevel>& gemm_levels() {
  static const std::vector<GemmLevel> levels = levels_of_this_machine();
  return levels;
}

void multiply_blocked(const GemmTile& t) {
  static const GemmLevel level = gemm_levels().front();
  if (t.K > 0) return level.multiply(t);
  if (t.add) return;
  for (int m = 0; m < t.M; ++m) std::fill_n(t.c + m * int64_t{t.ldc}, t.N, 0.0f);
}

#if !defined(HOURGLASS_HAS_ONEDNN)
void multiply(const GemmTile& t) { multiply_blocked(t); }
int tile_columns() { return kPanel; }
const char* gemm_library() { return "own blocked loops"; }
#endif

}  // namespace hourglass::cpu
