// SPDX-License-Identifier: Apache-2.0
// The codebook is packed once into panels of three vectors of codes, dimension by dimension. A tile of rows then walks
// over the panels, which stay in the nearest caches: MR rows at a time, with MR x 3 scores in registers as in
// gemm_blocked.cpp, whose minima over the panel, lane by lane, are all that is kept. A few neighbouring panels (a
// chunk) share one vector of minima a row. When the walk is over, the lowest score is known, and so are the chunks and
// lanes that hold a code within the error bound of it; those few codes are compared in double.
//
// So a score costs one multiply-add a dimension and one minimum, ties and near ties included, and no index travels with
// it. Rows of up to 16 columns are padded to 4, 8 or 16, and their loops unrolled.
//
// Compiled with -ffp-contract=fast: the bound allows either, and a level always does the same.
//
// Measured on one Zen 5 core (peak 245 GFLOP/s, processor time), N = 16384: 198 GFLOP/s at D = 64, K = 8192; 176 at D =
// 8, K = 16384. Minima of a row side by side over the chunks, 4 KB from row to row, made the latter 87: all rows of a
// panel then share one set of the first cache. Unrolling the loop over 8 dimensions spilled scores, and made it 73.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/base/codebook_bound.h"
#include "kernels/base/codebook_search.h"
#include "kernels/base/lanes.h"
#include "kernels/base/nearest_codebook_check.h"
#include "kernels/base/thread_pool.h"

// Vectors are passed between inlined functions only, so that their calling convention does not matter.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace hourglass::cpu {
namespace {

constexpr int kVectors = 3;    // of a panel
constexpr int kTileRows = 32;  // rows that walk over the codebook together
constexpr int kMostChunks = 64;
constexpr int kWords = kMostChunks / 32;
constexpr int kWidest = 16 * kVectors;  // codes of a panel at the widest level
constexpr float kInfinity = std::numeric_limits<float>::infinity();

template <int L>
struct Vector {
  typedef float type __attribute__((vector_size(L * sizeof(float))));
  typedef int32_t mask __attribute__((vector_size(L * sizeof(int32_t))));
};
template <int L>
using Floats = typename Vector<L>::type;
template <int L>
using Mask = typename Vector<L>::mask;

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
template <int L>
HOURGLASS_INLINE Floats<L> minimum(const Floats<L>& a, const Floats<L>& b) {
  return a < b ? a : b;
}

/// Depth of a packed code: rows of up to 16 columns have three fixed ones.
int padded_depth(int D) { return D <= 4 ? 4 : D <= 8 ? 8 : D <= 16 ? 16 : D; }

/// The packed codebook and where its parts lie in the scratch memory.
struct Packed {
  NearestCodebookShape shape;
  int depth, width;  // of a panel: dimensions, codes
  int panels, per_chunk, chunks;
  double* norms;  // (chunks) the largest |c|
  float* half;    // (panels, width) |c|^2 / 2; infinite where there is no finite code
  float* values;  // (panels, depth, width)
  const float* codebook;

  Packed(const NearestCodebookShape& s, const float* c, int lanes, void* scratch)
      : shape(s), depth(padded_depth(s.D)), width(lanes * kVectors), codebook(c) {
    panels = (s.K + width - 1) / width;
    per_chunk = (panels + kMostChunks - 1) / kMostChunks;
    chunks = (panels + per_chunk - 1) / per_chunk;
    norms = static_cast<double*>(scratch);
    half = reinterpret_cast<float*>(norms + kMostChunks);
    values = half + int64_t{panels} * width;
  }
};

/// Packs one chunk; returns the lowest code that is not finite, or K.
int pack_chunk(const Packed& p, int chunk) {
  int bad = p.shape.K;
  double largest = 0;
  for (int panel = chunk * p.per_chunk; panel < std::min(p.panels, (chunk + 1) * p.per_chunk); ++panel) {
    float* const values = p.values + int64_t{panel} * p.depth * p.width;
    std::fill_n(values, int64_t{p.depth} * p.width, 0.0f);
    for (int j = 0; j < p.width; ++j) {
      const int k = panel * p.width + j;
      float& half = p.half[k] = kInfinity;
      if (k >= p.shape.K) continue;
      const float* code = p.codebook + int64_t{k} * p.shape.D;
      double squares = 0;
      for (int d = 0; d < p.shape.D; ++d) squares += static_cast<double>(code[d]) * static_cast<double>(code[d]);
      if (!std::isfinite(squares)) {
        bad = std::min(bad, k);
        continue;
      }
      half = static_cast<float>(squares / 2);
      largest = std::max(largest, squares);
      for (int d = 0; d < p.shape.D; ++d) values[int64_t{d} * p.width + j] = code[d];
    }
  }
  p.norms[chunk] = std::sqrt(largest);
  return bad;
}

/// Scores of MR rows against one panel, and their minima lane by lane: into `minima`, or with what is there.
template <int L, int MR, int kDepth>
HOURGLASS_INLINE void score_panel(const float* values, const float* half, int depth, const float* const (&rows)[MR],
                                  float* minima, bool first) {
  Floats<L> scores[MR][kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) scores[i][v] = load<L>(half + v * L);
  }
  const auto add_dimension = [&](int d) __attribute__((always_inline)) {
    Floats<L> codes[kVectors];
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) codes[v] = load<L>(values + (int64_t{d} * kVectors + v) * L);
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i) {
      const float a = rows[i][d];
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) scores[i][v] -= a * codes[v];
    }
  };
  if constexpr (kDepth > 0) {
#pragma GCC unroll 1
    for (int d = 0; d < kDepth; ++d) add_dimension(d);
  } else {
    for (int d = 0; d < depth; ++d) add_dimension(d);
  }
#pragma GCC unroll 8
  for (int i = 0; i < MR; ++i) {
    const Floats<L> lowest = minimum<L>(minimum<L>(scores[i][0], scores[i][1]), scores[i][2]);
    float* const to = minima + i * L;
    store<L>(to, first ? lowest : minimum<L>(load<L>(to), lowest));
  }
}

/// |a - b|^2 in double.
HOURGLASS_INLINE double squared_distance(const float* a, const float* b, int D) {
  const auto square = [&](int d) __attribute__((always_inline)) {
    const double difference = static_cast<double>(a[d]) - static_cast<double>(b[d]);
    return difference * difference;
  };
  double sums[kLanes] = {};
  int d = 0;
  for (; d + kLanes <= D; d += kLanes) {
#pragma GCC unroll 16
    for (int j = 0; j < kLanes; ++j) sums[j] += square(d + j);
  }
  double rest = 0;
  for (; d < D; ++d) rest += square(d);
  return D < kLanes ? rest : sum_lanes(sums) + rest;
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
HOURGLASS_INLINE void mark_candidates(const Packed& p, double row_norm, const float* minima,
                                      uint32_t (&marks)[kWords][L]) {
  float error[kMostChunks];
  bool usable[kMostChunks];
  Floats<L> lowest = Floats<L>{} + kInfinity;
  for (int c = 0; c < p.chunks; ++c) {
    const ScoreBound bound = score_bound(p.shape.D, row_norm, p.norms[c]);
    error[c] = bound.error;
    usable[c] = bound.usable;
    if (usable[c]) lowest = minimum<L>(lowest, load<L>(minima + c * kTileRows * L) + error[c]);
  }
  float limit = kInfinity;
  for (int l = 0; l < L; ++l) limit = std::min(limit, lowest[l]);
  for (int w = 0; w < kWords; ++w) {
    Mask<L> bits = {};
    for (int c = 32 * w; c < std::min(p.chunks, 32 * (w + 1)); ++c) {
      const Mask<L> bit = Mask<L>{} + static_cast<int32_t>(1u << (c % 32));
      bits |= usable[c] ? (load<L>(minima + c * kTileRows * L) - error[c] <= limit) & bit : bit;
    }
    std::memcpy(marks[w], &bits, sizeof bits);
  }
}

template <int L>
HOURGLASS_INLINE Nearest best_candidate(const Packed& p, const float* row, double row_norm, const float* minima) {
  uint32_t marks[kWords][L];
  mark_candidates<L>(p, row_norm, minima, marks);
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

/// Rows of a tile, with vectors of L floats and MR rows at a time; a depth of 0 means p.depth, and rows as they lie.
template <int L, int MR, int kDepth>
HOURGLASS_INLINE void search_tile(const Packed& p, const float* x, int rows, int32_t* index, float* distance) {
  alignas(64) float minima[kMostChunks]
                          [kTileRows * L];  // of a chunk: rows side by side, so that they stay in the first cache
  float padded[kTileRows][kDepth > 0 ? kDepth : 1];
  const float* from[kTileRows];
  const int D = p.shape.D;
  for (int r = 0; r < kTileRows; ++r) {
    const float* row = x + std::min(r, rows - 1) * int64_t{D};
    if constexpr (kDepth > 0) {
      for (int d = 0; d < kDepth; ++d) padded[r][d] = d < D ? row[d] : 0.0f;
      row = padded[r];
    }
    from[r] = row;
  }
  for (int panel = 0; panel < p.panels; ++panel) {
    const int chunk = panel / p.per_chunk;
    for (int r = 0; r < rows; r += MR) {
      const float* group[MR];
      for (int i = 0; i < MR; ++i) group[i] = from[r + i];
      score_panel<L, MR, kDepth>(p.values + int64_t{panel} * p.depth * p.width, p.half + int64_t{panel} * p.width,
                                 p.depth, group, minima[chunk] + r * L, panel % p.per_chunk == 0);
    }
  }
  for (int r = 0; r < rows; ++r) {
    const float* row = x + r * int64_t{D};
    double squares = 0;
    for (int d = 0; d < D; ++d) squares += static_cast<double>(row[d]) * static_cast<double>(row[d]);
    const Nearest best =
        std::isfinite(squares) ? best_candidate<L>(p, row, std::sqrt(squares), minima[0] + r * L) : Nearest{};
    index[r] = best.index;
    if (distance) distance[r] = best.index < 0 ? std::nanf("") : static_cast<float>(best.distance);
  }
}

template <int L, int MR>
HOURGLASS_INLINE void search_rows(const Packed& p, const float* x, int rows, int32_t* index, float* distance) {
  switch (p.depth) {
    case 4:
      return search_tile<L, MR, 4>(p, x, rows, index, distance);
    case 8:
      return search_tile<L, MR, 8>(p, x, rows, index, distance);
    case 16:
      return search_tile<L, MR, 16>(p, x, rows, index, distance);
    default:
      return search_tile<L, MR, 0>(p, x, rows, index, distance);
  }
}

using SearchRows = void (*)(const Packed& p, const float* x, int rows, int32_t* index, float* distance);

void search_with(const Context& ctx, const Packed& p, SearchRows search_rows, const float* x, int32_t* index,
                 float* distance, FaultReport report) {
  const NearestCodebookShape s = p.shape;
  int bad[kMostChunks];
  parallel_for(ctx, p.chunks, [&](int64_t c) { bad[c] = pack_chunk(p, static_cast<int>(c)); });
  const int code = *std::min_element(bad, bad + p.chunks);
  if (code < s.K) report_not_finite(report, kFaultCode, code);
  parallel_for(ctx, (s.N + kTileRows - 1) / kTileRows, [&](int64_t tile) {
    const int64_t first = tile * kTileRows;
    const int rows = static_cast<int>(std::min<int64_t>(kTileRows, s.N - first));
    search_rows(p, x + first * s.D, rows, index + first, distance ? distance + first : nullptr);
  });
  const int32_t* const lost = std::find(index, index + s.N, -1);
  if (lost != index + s.N) report_not_finite(report, kFaultPosition, lost - index);
}

void rows_4(const Packed& p, const float* x, int rows, int32_t* index, float* distance) {
  search_rows<4, 4>(p, x, rows, index, distance);
}
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
__attribute__((target("arch=x86-64-v4"))) void rows_16(const Packed& p, const float* x, int rows, int32_t* index,
                                                       float* distance) {
  search_rows<16, 8>(p, x, rows, index, distance);
}
__attribute__((target("arch=x86-64-v3"))) void rows_8(const Packed& p, const float* x, int rows, int32_t* index,
                                                      float* distance) {
  search_rows<8, 4>(p, x, rows, index, distance);
}
#endif

template <int L, SearchRows kSearchRows>
void search(const Context& ctx, NearestCodebookShape s, const float* x, const float* codebook, void* scratch,
            int32_t* index, float* distance, FaultReport report) {
  check_nearest_codebook(s);
  if (s.N > 0) search_with(ctx, Packed(s, codebook, L, scratch), kSearchRows, x, index, distance, report);
}

std::vector<CodebookSearchLevel> levels_of_this_machine() {
  std::vector<CodebookSearchLevel> levels;
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
  if (__builtin_cpu_supports("x86-64-v4")) levels.push_back({"x86-64-v4", search<16, rows_16>});
  if (__builtin_cpu_supports("x86-64-v3")) levels.push_back({"x86-64-v3", search<8, rows_8>});
#endif
  levels.push_back({"default", search<4, rows_4>});
  return levels;
}

}  // namespace

const std::vector<CodebookSearchLevel>& codebook_search_levels() {
  static const std::vector<CodebookSearchLevel> levels = levels_of_this_machine();
  return levels;
}

size_t nearest_codebook_scratch_bytes(const Context&, NearestCodebookShape s) {
  if (s.N <= 0) return 0;
  const int64_t codes = (int64_t{s.K} + kWidest - 1) / kWidest * kWidest;
  return kMostChunks * sizeof(double) + static_cast<size_t>(codes * (padded_depth(s.D) + 1)) * sizeof(float);
}

void nearest_codebook(const Context& ctx, NearestCodebookShape s, const float* x, const float* codebook, void* scratch,
                      int32_t* index, float* distance, FaultReport report) {
  static const CodebookSearchLevel level = codebook_search_levels().front();
  level.search(ctx, s, x, codebook, scratch, index, distance, report);
}

}  // namespace hourglass::cpu
