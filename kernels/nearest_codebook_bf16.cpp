// SPDX-License-Identifier: Apache-2.0
// As nearest_codebook_simd.cpp, with scores of bfloat16: a dot product instruction of AVX-512 BF16 multiplies and adds
// two dimensions at once, in float, so a score costs half. The result is exact all the same: a bound for what rounding
// to bf16 did to this row and to the codes of a chunk takes the place of the float bound, and all codes within it are
// compared in double, as there.
//
// Distances do not change when rows and codes are moved together, but the bound is proportional to norms. So both are
// first moved by the mean of the codes: with x' = x - mean and its bf16 values x'' = x' - dx, c' and c'' alike,
//
//   | |c'|^2 / 2 - x' . c'  -  (|c'|^2 / 2 - x'' . c'') |  <=  |dx| |c'| + |x''| |dc|,
//
// the norms of dx and dc as they are, not the worst that rounding can do. Where the minima leave a chunk, the scores of
// its panels are computed once more for that row, and say which codes. Codes that crowd together leave many; a tile of
// rows with so many that the other search would be done sooner is given up and left to it.
//
// The instruction takes numbers below 2^-126 for zero, inputs and results alike: inputs are rounded to zero before, so
// dx and dc count them; the last term of the bound pays for results.
//
// Measured on one Zen 5 core (a busy machine, processor time), N = 16384: 343 GFLOP/s at D = 64, K = 8192, where float
// scores reach 190; 252 at D = 8, K = 16384, where they reach 150 and near half of the time goes into comparisons.
#include <cmath>

#include "kernels/base/bf16.h"
#include "kernels/base/codebook_panels.h"
#include "kernels/base/nearest_codebook_check.h"
#include "kernels/base/thread_pool.h"

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,avx512bf16")

namespace hourglass::cpu {
namespace {

constexpr int L = 16, kRows = 8;      // lanes; rows whose scores are in registers
constexpr int kWidth = L * kVectors;  // codes of a panel
constexpr uint32_t kMinus = 0x80000000u;
constexpr int kMostPairs = kMostDepthOfBf16 / 2;

/// Pairs of dimensions of a packed code: rows of up to 16 columns have three fixed ones.
int padded_pairs(int D) { return D <= 4 ? 2 : D <= 8 ? 4 : D <= 16 ? 8 : (D + 1) / 2; }

/// The moved and packed codebook.
struct Packed : CodebookPanels {
  int pairs;
  float* norms;      // (kMostChunks) the largest |c'| of a chunk
  float* roundings;  // (kMostChunks) the largest |dc|
  float* centre;     // (D)
  float* half;       // (panels, width) |c'|^2 / 2; infinite where there is no finite code
  uint32_t* values;  // (panels, pairs, width) -c'', two dimensions a word

  Packed(const NearestCodebookShape& s, const float* c, void* scratch)
      : CodebookPanels(s, c, L), pairs(padded_pairs(s.D)) {
    norms = static_cast<float*>(scratch);
    roundings = norms + kMostChunks;
    centre = roundings + kMostChunks;
    std::fill(norms, centre, 0.0f);
    half = centre + s.D;
    values = reinterpret_cast<uint32_t*>(half + int64_t{panels} * width);
  }
};

/// The mean of the codes, what is not finite left out.
void find_centre(const Packed& p) {
  const int D = p.shape.D;
  double sums[kMostDepthOfBf16] = {};
  for (int64_t k = 0; k < p.shape.K; ++k) {
    const float* code = p.codebook + k * D;
    for (int d = 0; d < D; ++d)
      sums[d] += std::abs(code[d]) <= std::numeric_limits<float>::max() ? static_cast<double>(code[d]) : 0.0;
  }
  for (int d = 0; d < D; ++d) p.centre[d] = static_cast<float>(sums[d] / p.shape.K);
}

/// Moves a row or code by the centre and rounds it to v'', its sign bits turned by `sign`; returns |v'|^2 and |dv|^2,
/// not finite if it is not.
struct Squares {
  double value, error;
};
HOURGLASS_INLINE Squares round_moved(const float* v, const float* centre, int D, uint32_t sign, uint32_t* pairs,
                                     int64_t stride) {
  typedef uint32_t Words __attribute__((vector_size(8 * sizeof(uint32_t))));
  Doubles8 squares = {}, errors = {};
  const auto round = [&](const Floats<8>& x, const Floats<8>& mean) __attribute__((always_inline)) {
    const Doubles8 exact = __builtin_convertvector(x, Doubles8) - __builtin_convertvector(mean, Doubles8);
    const Floats<8> moved = __builtin_convertvector(exact, Floats<8>);
    const Words word = (Words)moved, size = word & 0x7FFFFFFFu;
    const Words nearest = (word + 0x7FFFu + (word >> 16 & 1u)) & 0xFFFF0000u;
    const Words bits = size < 0x00800000u ? Words{} : nearest;  // below 2^-126
    const Doubles8 error = exact - __builtin_convertvector((Floats<8>)bits, Doubles8);
    squares += exact * exact;
    errors += error * error;
    return (bits ^ sign) >> 16;
  };
  for (int d = 0; d < D; d += 8) {
    Floats<8> x = {}, mean = {};
    if (d + 8 <= D) {
      x = load<8>(v + d), mean = load<8>(centre + d);
    } else {
      for (int j = 0; j < D - d; ++j) x[j] = v[d + j], mean[j] = centre[d + j];
    }
    const Words rounded = round(x, mean);
    for (int j = 0; j < 8 && d + j < D; j += 2) pairs[(d + j) / 2 * stride] = rounded[j] | rounded[j + 1] << 16;
  }
  const auto sum = [](const Doubles8& s) __attribute__((always_inline)) {
    return ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
  };
  return {sum(squares), sum(errors)};
}

/// Packs one chunk; returns the lowest code that is not finite, or K.
int pack_chunk(const Packed& p, int chunk) {
  int bad = p.shape.K;
  double norm = 0, rounding = 0;
  for (int panel = chunk * p.per_chunk; panel < std::min(p.panels, (chunk + 1) * p.per_chunk); ++panel) {
    uint32_t* const values = p.values + int64_t{panel} * p.pairs * p.width;
    std::fill_n(values, int64_t{p.pairs} * p.width, 0u);
    for (int j = 0; j < p.width; ++j) {
      const int k = panel * p.width + j;
      float& half = p.half[k] = kInfinity;
      if (k >= p.shape.K) continue;
      const Squares squares =
          round_moved(p.codebook + int64_t{k} * p.shape.D, p.centre, p.shape.D, kMinus, values + j, p.width);
      if (!std::isfinite(squares.value)) {
        bad = std::min(bad, k);
        for (int q = 0; q < p.pairs; ++q) values[int64_t{q} * p.width + j] = 0;
        continue;
      }
      half = static_cast<float>(squares.value / 2);
      norm = std::max(norm, squares.value);
      rounding = std::max(rounding, squares.error);
    }
  }
  p.norms[chunk] = static_cast<float>(std::sqrt(norm));
  p.roundings[chunk] = static_cast<float>(std::sqrt(rounding));
  return bad;
}

/// Scores of kRows rows against one panel, and their minima lane by lane: into `minima`, or with what is there.
template <int kPairs>
HOURGLASS_INLINE void score_panel(const uint32_t* values, const float* half, const uint32_t* rows, int pairs,
                                  int row_stride, float* minima, bool first) {
  Floats<L> scores[kRows][kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) scores[i][v] = load<L>(half + v * L);
  }
#pragma GCC unroll 1
  for (int q = 0; q < (kPairs > 0 ? kPairs : pairs); ++q) {
    __m512bh codes[kVectors];
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v)
      codes[v] = (__m512bh)_mm512_loadu_si512(values + (int64_t{q} * kVectors + v) * L);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const __m512bh row = (__m512bh)_mm512_set1_epi32(static_cast<int>(rows[i * row_stride + q]));
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) scores[i][v] = _mm512_dpbf16_ps(scores[i][v], row, codes[v]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
    const Floats<L> lowest = minimum<L>(minimum<L>(scores[i][0], scores[i][1]), scores[i][2]);
    float* const to = minima + i * L;
    store<L>(to, first ? lowest : minimum<L>(load<L>(to), lowest));
  }
}

/// Bounds of the errors of a row's scores, chunk by chunk; infinite where float cannot hold the scores.
HOURGLASS_INLINE void score_errors(const Packed& p, const Squares& row, float (&errors)[kMostChunks]) {
  const float row_rounding = static_cast<float>(std::sqrt(row.error));
  const float row_norm = static_cast<float>(std::sqrt(row.value)) + row_rounding;
  const float tiny = static_cast<float>(p.shape.D + 8) * 0x1p-124f;
  for (int c = 0; c < kMostChunks; ++c) {
    const float rounding = p.roundings[c], norm = p.norms[c] + rounding;
    const float magnitude = score_magnitude(row_norm, norm);
    const float of_rounding = row_rounding * norm + row_norm * rounding;
    const float error = (score_error(p.shape.D, magnitude) + of_rounding) * (1 + 0x1p-20f) + tiny;
    errors[c] = (magnitude < kLargestMagnitude) & (error < kLargestMagnitude) ? error : kInfinity;
  }
}

/// Which codes of a panel can be the nearest, by their scores once more.
HOURGLASS_INLINE uint64_t codes_within(const Packed& p, int panel, const uint32_t* row, float limit) {
  const uint32_t* const values = p.values + int64_t{panel} * p.pairs * kWidth;
  Floats<L> scores[kVectors];
  for (int v = 0; v < kVectors; ++v) scores[v] = load<L>(p.half + int64_t{panel} * kWidth + v * L);
  for (int q = 0; q < p.pairs; ++q) {
    const __m512bh pair = (__m512bh)_mm512_set1_epi32(static_cast<int>(row[q]));
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) {
      const __m512bh codes = (__m512bh)_mm512_loadu_si512(values + (int64_t{q} * kVectors + v) * L);
      scores[v] = _mm512_dpbf16_ps(scores[v], pair, codes);
    }
  }
  uint64_t within = 0;
  for (int v = 0; v < kVectors; ++v) {
    const auto above = static_cast<uint32_t>(_mm512_cmp_ps_mask(scores[v], _mm512_set1_ps(limit), _CMP_GT_OQ));
    within |= static_cast<uint64_t>(~above & 0xFFFFu) << (v * L);
  }
  const int codes = p.shape.K - panel * kWidth;
  return codes < kWidth ? within & ((uint64_t{1} << codes) - 1) : within;
}

/// A row of a tile: itself, its bf16 values, and its minima.
struct Row {
  const float* x;
  const uint32_t* pairs;
  Squares squares;
  const float* minima;
};

/// The code nearest to a row. Takes what it compares from `comparisons`, and stops where those are not enough. Compiled
/// apart from the search for the minima, whose registers it would take.
__attribute__((noinline)) Nearest find_nearest(const Packed& p, const Row& row, int64_t& comparisons) {
  Nearest best;
  if (!std::isfinite(row.squares.value)) return best;
  float errors[kMostChunks];
  score_errors(p, row.squares, errors);
  Candidates<L> candidates;
  candidates.mark(p, errors, row.minima);
  constexpr int kMostCodes = 64;  // compared together, so that their reading overlaps
  int32_t codes[kMostCodes + kWidth];
  int count = 0;
  const auto compare = [&]() __attribute__((always_inline)) {
    for (int i = 0; i < count; ++i) {
      best.offer(squared_distance(row.x, p.codebook + int64_t{codes[i]} * p.shape.D, p.shape.D), codes[i]);
    }
    count = 0;
  };
  for (int word = 0; word < kWords; ++word) {
    for (uint32_t chunks = candidates.any(word); chunks != 0; chunks &= chunks - 1) {
      const int c = 32 * word + __builtin_ctz(chunks);
      const float limit = candidates.limit + errors[c];
      for (int panel = c * p.per_chunk; panel < std::min(p.panels, (c + 1) * p.per_chunk); ++panel) {
        const int before = count;
        for (uint64_t within = codes_within(p, panel, row.pairs, limit); within != 0; within &= within - 1) {
          const int k = panel * kWidth + __builtin_ctzll(within);
          __builtin_prefetch(p.codebook + int64_t{k} * p.shape.D);
          codes[count++] = k;
        }
        comparisons -= kVectors + count - before;
        if (comparisons < 0) return best;
        if (count >= kMostCodes) compare();
      }
    }
  }
  compare();
  return best;
}

__attribute__((noinline)) void round_rows(const Packed& p, const float* x, int rows, uint32_t* pairs, int stride,
                                          Squares* squares) {
  for (int r = 0; r < kTileRows; ++r) {
    std::fill_n(pairs + r * stride, p.pairs, 0u);
    if (r < rows) squares[r] = round_moved(x + int64_t{r} * p.shape.D, p.centre, p.shape.D, 0, pairs + r * stride, 1);
  }
}

/// One tile of rows; gives up if too many codes would have to be compared.
template <int kPairs>
void search_tile(const Packed& p, const float* x, int rows, int32_t* index, float* distance) {
  constexpr int kStride = kPairs > 0 ? kPairs : kMostPairs;
  alignas(64) float minima[kMostChunks][kTileRows * L];
  uint32_t pairs[kTileRows * kStride];
  Squares squares[kTileRows];
  round_rows(p, x, rows, pairs, kStride, squares);
  for (int panel = 0; panel < p.panels; ++panel) {
    const uint32_t* const values = p.values + int64_t{panel} * p.pairs * p.width;
    for (int r = 0; r < rows; r += kRows) {
      score_panel<kPairs>(values, p.half + int64_t{panel} * p.width, pairs + r * kStride, p.pairs, kStride,
                          minima[panel / p.per_chunk] + r * L, panel % p.per_chunk == 0);
    }
  }
  int64_t comparisons = int64_t{rows} * std::max(64, p.shape.K / 16);  // about the time of a search by float scores
  for (int r = 0; r < rows; ++r) {
    const Nearest best =
        find_nearest(p, {x + int64_t{r} * p.shape.D, pairs + r * kStride, squares[r], minima[0] + r * L}, comparisons);
    if (comparisons < 0) {
      index[0] = kGaveUp;
      return;
    }
    index[r] = best.index;
    if (distance) distance[r] = best.index < 0 ? std::nanf("") : static_cast<float>(best.distance);
  }
}

void search_rows(const Packed& p, const float* x, int rows, int32_t* index, float* distance) {
  switch (p.pairs) {
    case 2:
      return search_tile<2>(p, x, rows, index, distance);
    case 4:
      return search_tile<4>(p, x, rows, index, distance);
    case 8:
      return search_tile<8>(p, x, rows, index, distance);
    default:
      return search_tile<0>(p, x, rows, index, distance);
  }
}

void search(const Context& ctx, NearestCodebookShape s, const float* x, const float* codebook, void* scratch,
            int32_t* index, float* distance, FaultReport report) {
  check_nearest_codebook(s);
  if (s.N == 0) return;
  const Packed packed(s, codebook, scratch);
  find_centre(packed);
  int bad[kMostChunks];
  parallel_for(ctx, packed.chunks, [&](int64_t c) { bad[c] = pack_chunk(packed, static_cast<int>(c)); });
  const int code = *std::min_element(bad, bad + packed.chunks);
  if (code < s.K) report_not_finite(report, kFaultCode, code);
  const int64_t tiles = (int64_t{s.N} + kTileRows - 1) / kTileRows;
  parallel_for(ctx, tiles, [&](int64_t tile) {
    const int64_t first = tile * kTileRows;
    const int rows = static_cast<int>(std::min<int64_t>(kTileRows, s.N - first));
    search_rows(packed, x + first * s.D, rows, index + first, distance ? distance + first : nullptr);
  });
  for (int64_t tile = 0; tile < tiles; ++tile) {
    if (index[tile * kTileRows] != kGaveUp) continue;
    finish_by_float_scores(ctx, s, x, codebook, scratch, index, distance);
    break;
  }
  report_lost_rows(s, index, report);
}

}  // namespace

CodebookSearchFunction bf16_codebook_search() {
  static const bool supported = __builtin_cpu_supports("x86-64-v4") && __builtin_cpu_supports("avx512bf16");
  return supported ? search : nullptr;
}

}  // namespace hourglass::cpu
#pragma GCC pop_options
#else

namespace hourglass::cpu {

CodebookSearchFunction bf16_codebook_search() { return nullptr; }

}  // namespace hourglass::cpu
#endif
