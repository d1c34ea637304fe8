// SPDX-License-Identifier: Apache-2.0
// The inner loops of the float convolution: MR gathered rows against a packed panel of up to three vectors, with
// MR x 3 accumulators in registers. Compiled with -ffp-contract=fast: the multiply-add is fused where the machine has
// it.
#include <algorithm>
#include <cstring>

#include "kernels/base/conv2d_tile.h"
#include "kernels/base/simd.h"

// Vectors are passed between inlined functions only, so that their calling convention does not matter.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace hourglass::cpu {
namespace {

template <int L>
struct Vector {
  typedef float type __attribute__((vector_size(L * sizeof(float))));
};
template <int L>
using Floats = typename Vector<L>::type;

template <int L>
HOURGLASS_INLINE Floats<L> load(const float* from) {
  Floats<L> v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <int L>
HOURGLASS_INLINE void store(float* to, const Floats<L>& v) {
  std::memcpy(to, &v, sizeof v);
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

void multiply_4(const ConvPanel& p) { multiply_with<4, 4>(p); }

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
__attribute__((target("arch=x86-64-v4"))) void multiply_16(const ConvPanel& p) { multiply_with<16, 8>(p); }
__attribute__((target("arch=x86-64-v3"))) void multiply_8(const ConvPanel& p) { multiply_with<8, 4>(p); }
#endif

std::vector<ConvLevel> levels_of_this_machine() {
  std::vector<ConvLevel> levels;
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
  if (__builtin_cpu_supports("x86-64-v4")) levels.push_back({"x86-64-v4", 16, multiply_16});
  if (__builtin_cpu_supports("x86-64-v3")) levels.push_back({"x86-64-v3", 8, multiply_8});
#endif
  levels.push_back({"default", 4, multiply_4});
  return levels;
}

}  // namespace

const std::vector<ConvLevel>& conv_levels() {
  static const std::vector<ConvLevel> levels = levels_of_this_machine();
  return levels;
}

}  // namespace hourglass::cpu
