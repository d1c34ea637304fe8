// SPDX-License-Identifier: Apache-2.0
// Vectors of L floats for loops that keep their accumulators in registers. Used inside functions that are compiled for
// one instruction-set level each.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "kernels/base/simd.h"

// Vectors are passed between inlined functions only, so that their calling convention does not matter.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace hourglass::cpu {

template <int L>
struct Vector {
  typedef float type __attribute__((vector_size(L * sizeof(float))));
  typedef int index __attribute__((vector_size(L * sizeof(int))));
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

/// Which lanes of (low, high) exchange S x S blocks of a transposition: the first or the second row of a pair.
template <int L, int S, bool kSecond>
HOURGLASS_INLINE typename Vector<L>::index exchange_lanes() {
  constexpr auto lanes = [] {
    std::array<int, L> result{};
    for (int j = 0; j < L; ++j) {
      const bool from_high = (j & S) != 0;
      result[static_cast<size_t>(j)] = kSecond ? (from_high ? L + j : j + S) : (from_high ? L + j - S : j);
    }
    return result;
  }();
  typename Vector<L>::index v;
  std::memcpy(&v, lanes.data(), sizeof v);
  return v;
}

/// rows[i][j] and rows[j][i] exchanged: transpose<L, L / 2>.
template <int L, int S>
HOURGLASS_INLINE void transpose(Floats<L> (&rows)[L]) {
  const auto first = exchange_lanes<L, S, false>(), second = exchange_lanes<L, S, true>();
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) {
    if ((i & S) != 0) continue;
    const Floats<L> low = rows[i], high = rows[i + S];
    rows[i] = __builtin_shuffle(low, high, first);
    rows[i + S] = __builtin_shuffle(low, high, second);
  }
  if constexpr (S > 1) transpose<L, S / 2>(rows);
}

/// panel[k][j] = b[j ldb + k] for `columns` columns, zeros in the rest of `width`; by L x L transpositions in
/// registers.
template <int L>
HOURGLASS_INLINE void pack_transposed(const float* b, int64_t ldb, int depth, int columns, int width, float* panel) {
  for (int j = 0; j < width; j += L) {
    const int rows = std::min(L, columns - j);
    const float* from = b + j * ldb;
    int k = 0;
    for (; k + L <= depth; k += L) {
      Floats<L> block[L];
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) block[i] = i < rows ? load<L>(from + i * ldb + k) : Floats<L>{};
      transpose<L, L / 2>(block);
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) store<L>(panel + (k + i) * width + j, block[i]);
    }
    for (; k < depth; ++k) {
      for (int i = 0; i < L; ++i) panel[k * width + j + i] = i < rows ? from[i * ldb + k] : 0.0f;
    }
  }
}

/// Lane i of the result is the sum of all lanes of rows[i]: sum_lanes<L, L / 2>. Destroys the rows.
template <int L, int S>
HOURGLASS_INLINE Floats<L> sum_lanes(Floats<L> (&rows)[L]) {
  const auto first = exchange_lanes<L, S, false>(), second = exchange_lanes<L, S, true>();
#pragma GCC unroll 16
  for (int i = 0; i < S; ++i) {
    const Floats<L> low = rows[i], high = rows[i + S];
    rows[i] = __builtin_shuffle(low, high, first) + __builtin_shuffle(low, high, second);
  }
  if constexpr (S > 1) {
    return sum_lanes<L, S / 2>(rows);
  } else {
    return rows[0];
  }
}

}  // namespace hourglass::cpu
