// SPDX-License-Identifier: Apache-2.0
// The inner loops of the float convolution: MR gathered rows against a packed panel of up to three vectors, with
// MR x 3 accumulators in registers; and two forms for results of one to four columns, which would leave most of a
// vector empty. Compiled with -ffp-contract=fast: the multiply-add is fused where the machine has
// it.
#include <algorithm>

#include "kernels/base/conv2d_tile.h"
#include "kernels/base/float_vectors.h"

namespace hourglass::cpu {
namespace {

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
      for (int j = 0; j < left; ++j) to[j] = add ? to[j] + cut[j] : cut[j];
    }
  }
}

/// MR rows from `first`.
template <int L, int MR, int NV>
HOURGLASS_INLINE void multiply_rows(const ConvPanel& p, int first) {
  const float* rows[MR];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) rows[i] = p.a + p.row_at[first + i];
  Floats<L> sums[MR][NV] = {};
  const float* panel = p.panel;
  for (int k = 0; k < p.depth; ++k, panel += NV * L) {
    const int64_t at = p.depth_at[k];
    Floats<L> b[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) b[v] = load<L>(panel + v * L);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const float a = rows[i][at];
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) sums[i][v] += a * b[v];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) store_row<L, NV>(p.c + p.c_at[first + i], sums[i], p.columns, p.add);
}

/// As many rows as are left, at most MR.
template <int L, int MR, int NV>
HOURGLASS_INLINE void multiply_some(const ConvPanel& p, int first, int count) {
  if (count == MR) return multiply_rows<L, MR, NV>(p, first);
  if constexpr (MR > 1) multiply_some<L, MR - 1, NV>(p, first, count);
}

/// Groups of nearly equal size, so that the last is not a small one.
template <int L, int MR, int NV>
HOURGLASS_INLINE void multiply_all(const ConvPanel& p) {
  const int groups = (p.rows + MR - 1) / MR;
  for (int g = 0, first = 0; g < groups; ++g) {
    const int count = (p.rows - first + groups - g - 1) / (groups - g);
    multiply_some<L, MR, NV>(p, first, count);
    first += count;
  }
}

template <int L, int MR>
HOURGLASS_INLINE void multiply_with(const ConvPanel& p) {
  const int vectors = (p.columns + L - 1) / L;
  if (vectors == 1) multiply_all<L, MR, 1>(p);
  if (vectors == 2) multiply_all<L, MR, 2>(p);
  if (vectors == 3) multiply_all<L, MR, 3>(p);
}

// ---------------------------------------------------------------- results of few columns

/// MR rows from `first`, vectors along the depth.
template <int L, int MR, int NC>
HOURGLASS_INLINE void dot_rows(const ConvPanel& p, int first) {
  const float* rows[MR];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) rows[i] = p.a + p.row_at[first + i];
  Floats<L> sums[L] = {};
  static_assert(MR * NC <= L);
  for (int k = 0; k < p.depth; k += L) {
    const int64_t at = p.depth_at[k];
    Floats<L> b[NC];
#pragma GCC unroll 4
    for (int j = 0; j < NC; ++j) b[j] = load<L>(p.panel + int64_t{j} * p.depth + k);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const Floats<L> a = load<L>(rows[i] + at);
#pragma GCC unroll 4
      for (int j = 0; j < NC; ++j) sums[i * NC + j] += a * b[j];
    }
  }
  float values[L];
  store<L>(values, sum_lanes<L, L / 2>(sums));
  for (int i = 0; i < MR; ++i) {
    float* to = p.c + p.c_at[first + i];
    for (int j = 0; j < NC; ++j) to[j] = p.add ? to[j] + values[i * NC + j] : values[i * NC + j];
  }
}

template <int L, int NC>
HOURGLASS_INLINE void dot_all(const ConvPanel& p) {
  constexpr int kRows = L / NC;
  int i = 0;
  for (; i + kRows <= p.rows; i += kRows) dot_rows<L, kRows, NC>(p, i);
  for (; i < p.rows; ++i) dot_rows<L, 1, NC>(p, i);
}

template <int L>
HOURGLASS_INLINE void dot_with(const ConvPanel& p) {
  if (p.columns == 1) dot_all<L, 1>(p);
  if (p.columns == 2) dot_all<L, 2>(p);
  if (p.columns == 3) dot_all<L, 3>(p);
  if (p.columns == 4) dot_all<L, 4>(p);
}

/// NV vectors of rows from `first`.
template <int L, int NV, int NC>
HOURGLASS_INLINE void outer_rows(const ConvPanel& p, int first) {
  const float* rows[NV];
#pragma GCC unroll 8
  for (int v = 0; v < NV; ++v) rows[v] = p.a + p.row_at[first + v * L];
  Floats<L> sums[NV][NC] = {};
  const float* panel = p.panel;
  for (int k = 0; k < p.depth; ++k, panel += NC) {
    const int64_t at = p.depth_at[k];
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
      const Floats<L> a = load<L>(rows[v] + at);
#pragma GCC unroll 4
      for (int j = 0; j < NC; ++j) sums[v][j] += a * panel[j];
    }
  }
  for (int v = 0; v < NV; ++v) {
    for (int j = 0; j < NC; ++j) {
      float values[L];
      store<L>(values, sums[v][j]);
      for (int i = 0; i < L; ++i) {
        float& to = p.c[p.c_at[first + v * L + i] + j];
        to = p.add ? to + values[i] : values[i];
      }
    }
  }
}

template <int L, int NC>
HOURGLASS_INLINE void outer_all(const ConvPanel& p) {
  constexpr int kVectors = NC == 1 ? 8 : 12 / NC;
  int i = 0;
  for (; i + kVectors * L <= p.rows; i += kVectors * L) outer_rows<L, kVectors, NC>(p, i);
  for (; i + 2 * L <= p.rows; i += 2 * L) outer_rows<L, 2, NC>(p, i);
  for (; i < p.rows; i += L) outer_rows<L, 1, NC>(p, i);
}

template <int L>
HOURGLASS_INLINE void outer_with(const ConvPanel& p) {
  if (p.columns == 1) outer_all<L, 1>(p);
  if (p.columns == 2) outer_all<L, 2>(p);
  if (p.columns == 3) outer_all<L, 3>(p);
  if (p.columns == 4) outer_all<L, 4>(p);
}

void multiply_4(const ConvPanel& p) { multiply_with<4, 4>(p); }
void pack_4(const float* from, int64_t stride, int depth, int columns, int width, float* panel) {
  pack_transposed<4>(from, stride, depth, columns, width, panel);
}
void dot_4(const ConvPanel& p) { dot_with<4>(p); }
void outer_4(const ConvPanel& p) { outer_with<4>(p); }

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
#define HOURGLASS_V4 __attribute__((target("arch=x86-64-v4")))
#define HOURGLASS_V3 __attribute__((target("arch=x86-64-v3")))
HOURGLASS_V4 void multiply_16(const ConvPanel& p) { multiply_with<16, 8>(p); }
HOURGLASS_V4 void pack_16(const float* from, int64_t stride, int depth, int columns, int width, float* panel) {
  pack_transposed<16>(from, stride, depth, columns, width, panel);
}
HOURGLASS_V4 void dot_16(const ConvPanel& p) { dot_with<16>(p); }
HOURGLASS_V4 void outer_16(const ConvPanel& p) { outer_with<16>(p); }
HOURGLASS_V3 void multiply_8(const ConvPanel& p) { multiply_with<8, 4>(p); }
HOURGLASS_V3 void pack_8(const float* from, int64_t stride, int depth, int columns, int width, float* panel) {
  pack_transposed<8>(from, stride, depth, columns, width, panel);
}
HOURGLASS_V3 void dot_8(const ConvPanel& p) { dot_with<8>(p); }
HOURGLASS_V3 void outer_8(const ConvPanel& p) { outer_with<8>(p); }
#endif

std::vector<ConvLevel> levels_of_this_machine() {
  std::vector<ConvLevel> levels;
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
  if (__builtin_cpu_supports("x86-64-v4")) levels.push_back({"x86-64-v4", 16, multiply_16, pack_16, dot_16, outer_16});
  if (__builtin_cpu_supports("x86-64-v3")) levels.push_back({"x86-64-v3", 8, multiply_8, pack_8, dot_8, outer_8});
#endif
  levels.push_back({"default", 4, multiply_4, pack_4, dot_4, outer_4});
  return levels;
}

}  // namespace

const std::vector<ConvLevel>& conv_levels() {
  static const std::vector<ConvLevel> levels = levels_of_this_machine();
  return levels;
}

}  // namespace hourglass::cpu
