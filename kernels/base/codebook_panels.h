// SPDX-License-Identifier: Apache-2.0
// What the CPU's searches for the nearest code share: how a codebook is cut into panels and chunks, and what happens
// after the scores, when a row's lowest ones are known lane by lane. See nearest_codebook_simd.cpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/base/codebook_bound.h"
#include "kernels/base/float_vectors.h"
#include "kernels/base/lanes.h"
#include "kernels/base/nearest_codebook_check.h"
#include "kernels/nearest_codebook.h"

namespace hourglass::cpu {

inline constexpr int kVectors = 3;    // of a panel
inline constexpr int kTileRows = 32;  // rows that walk over the codebook together
inline constexpr int kMostChunks = 64;
inline constexpr int kWords = kMostChunks / 32;
inline constexpr float kInfinity = std::numeric_limits<float>::infinity();
inline constexpr int32_t kGaveUp = -2;  // as the first index of a tile: bf16 scores left too many candidates

/// Panels of `width` codes; a few neighbouring ones are a chunk, and share one vector of minima a row.
struct CodebookPanels {
  NearestCodebookShape shape;
  const float* codebook;
  int width, panels, per_chunk, chunks;

  CodebookPanels(const NearestCodebookShape& s, const float* c, int lanes)
      : shape(s), codebook(c), width(lanes * kVectors) {
    panels = (s.K + width - 1) / width;
    per_chunk = (panels + kMostChunks - 1) / kMostChunks;
    chunks = (panels + per_chunk - 1) / per_chunk;
  }
};

template <int L>
HOURGLASS_INLINE Floats<L> minimum(const Floats<L>& a, const Floats<L>& b) {
  return a < b ? a : b;
}

typedef double Doubles8 __attribute__((vector_size(8 * sizeof(double))));
HOURGLASS_INLINE Doubles8 doubles_of_8(const float* from) { return __builtin_convertvector(load<8>(from), Doubles8); }

/// Sum of value(d)^2, d < D, in double; eight(d) are 8 of them.
template <class Eight, class Value>
HOURGLASS_INLINE double sum_of_squares(int D, const Eight& eight, const Value& value) {
  Doubles8 even = {}, odd = {};
  int d = 0;
  for (; d + 16 <= D; d += 16) {
    const Doubles8 a = eight(d), b = eight(d + 8);
    even += a * a, odd += b * b;
  }
  if (d + 8 <= D) {
    const Doubles8 a = eight(d);
    even += a * a, d += 8;
  }
  double rest = 0;
  for (; d < D; ++d) rest += value(d) * value(d);
  if (D < 8) return rest;
  const Doubles8 s = even + odd;  // by hand: as a loop over an array it goes through memory, ten times as long
  return ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7])) + rest;
}

/// |a - b|^2 and |a|^2.
HOURGLASS_INLINE double squared_distance(const float* a, const float* b, int D) {
  const auto eight = [&](int d) __attribute__((always_inline)) { return doubles_of_8(a + d) - doubles_of_8(b + d); };
  const auto one = [&](int d) __attribute__((always_inline)) {
    return static_cast<double>(a[d]) - static_cast<double>(b[d]);
  };
  return sum_of_squares(D, eight, one);
}
HOURGLASS_INLINE double squared_norm(const float* a, int D) {
  const auto eight = [&](int d) __attribute__((always_inline)) { return doubles_of_8(a + d); };
  const auto one = [&](int d) __attribute__((always_inline)) { return static_cast<double>(a[d]); };
  return sum_of_squares(D, eight, one);
}

struct Nearest {
  double distance = std::numeric_limits<double>::infinity();
  int32_t index = -1;
  HOURGLASS_INLINE void offer(double d, int32_t k) {
    if (d < distance || (d == distance && k < index)) distance = d, index = k;
  }
};

/// Which lanes of which chunks can hold the nearest code of a row: bit c % 32 of word c / 32 of a lane.
template <int L>
struct Candidates {
  uint32_t marks[kWords][L];
  float limit;  // a code whose score less its error is above cannot be the nearest

  /// errors[c] of the scores of chunk c, infinite where they mean nothing and may be NaN; `minima` of the row, chunk by
  /// chunk kTileRows * L apart.
  HOURGLASS_INLINE void mark(const CodebookPanels& p, const float* errors, const float* minima) {
    using Mask = typename Vector<L>::index;
    Floats<L> lowest = Floats<L>{} + kInfinity;
    for (int c = 0; c < p.chunks; ++c) {
      lowest = minimum<L>(load<L>(minima + c * kTileRows * L) + errors[c], lowest);  // NaN leaves it
    }
    limit = kInfinity;
    for (int l = 0; l < L; ++l) limit = std::min(limit, lowest[l]);
    for (int w = 0; w < kWords; ++w) {
      Mask bits = {};
      for (int c = 32 * w; c < std::min(p.chunks, 32 * (w + 1)); ++c) {
        const Mask bit = Mask{} + static_cast<int32_t>(1u << (c % 32));
        bits |= ~(load<L>(minima + c * kTileRows * L) - errors[c] > limit) & bit;  // NaN marks it
      }
      std::memcpy(marks[w], &bits, sizeof bits);
    }
  }

  /// Chunks with any lane marked: bit c % 32 of the result for word c / 32.
  HOURGLASS_INLINE uint32_t any(int word) const {
    uint32_t all = 0;
    for (int l = 0; l < L; ++l) all |= marks[word][l];
    return all;
  }

  HOURGLASS_INLINE Nearest best(const CodebookPanels& p, const float* row) const {
    Nearest best;
    for (int w = 0; w < kWords; ++w) {
      for (int l = 0; l < L; ++l) {
        for (uint32_t bits = marks[w][l]; bits != 0; bits &= bits - 1) {
          const int first = (32 * w + __builtin_ctz(bits)) * p.per_chunk * p.width;
          const int end = std::min(p.shape.K, first + p.per_chunk * p.width);
          for (int k = first + l; k < end; k += L) {
            best.offer(squared_distance(row, p.codebook + int64_t{k} * p.shape.D, p.shape.D), k);
          }
        }
      }
    }
    return best;
  }
};

/// Rows without a code are those that are not finite.
inline void report_lost_rows(const NearestCodebookShape& s, const int32_t* index, FaultReport report) {
  const int32_t* const lost = std::find(index, index + s.N, -1);
  if (lost != index + s.N) report_not_finite(report, kFaultPosition, lost - index);
}

/// Where the search by bf16 scores gave a tile up, searches it by float scores of 16 lanes.
void finish_by_float_scores(const Context& ctx, NearestCodebookShape s, const float* x, const float* codebook,
                            void* scratch, int32_t* index, float* distance);

/// The search by bf16 scores; null without AVX-512 BF16.
using CodebookSearchFunction = void (*)(const Context& ctx, NearestCodebookShape s, const float* x,
                                        const float* codebook, void* scratch, int32_t* index, float* distance,
                                        FaultReport report);
CodebookSearchFunction bf16_codebook_search();
inline constexpr int kMostDepthOfBf16 = 512;

}  // namespace hourglass::cpu
