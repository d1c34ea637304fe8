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
// Scores and comparisons are functions of their own: inlined into one, g++ 12 keeps addresses in vector registers,
// spills scores, and takes up to twice as long.
//
// Measured on one Zen 5 core (peak 245 GFLOP/s, processor time), N = 16384: 190 GFLOP/s at D = 64, K = 8192; 144 at D =
// 8, K = 16384. Minima of a row side by side over the chunks, 4 KB from row to row, made the latter 87: all rows of a
// panel then share one set of the first cache. Unrolling the loop over 8 dimensions spilled scores, and made it 73.
#include <algorithm>
#include <cmath>

#include "kernels/base/codebook_panels.h"
#include "kernels/base/codebook_search.h"
#include "kernels/base/nearest_codebook_check.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::cpu {
namespace {

constexpr int kWidest = 16 * kVectors;  // codes of a panel at the widest level

/// Depth of a packed code: rows of up to 16 columns have three fixed ones.
int padded_depth(int D) { return D <= 4 ? 4 : D <= 8 ? 8 : D <= 16 ? 16 : D; }

/// The packed codebook and where its parts lie in the scratch memory.
struct Packed : CodebookPanels {
  int depth;      // of a panel
  float* norms;   // (kMostChunks) the largest |c|
  float* half;    // (panels, width) |c|^2 / 2; infinite where there is no finite code
  float* values;  // (panels, depth, width)

  Packed(const NearestCodebookShape& s, const float* c, int lanes, void* scratch)
      : CodebookPanels(s, c, lanes), depth(padded_depth(s.D)) {
    norms = static_cast<float*>(scratch);
    std::fill_n(norms, kMostChunks, 0.0f);
    half = norms + kMostChunks;
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
      const double squares = squared_norm(code, p.shape.D);
      if (!std::isfinite(squares)) {
        bad = std::min(bad, k);
        continue;
      }
      half = static_cast<float>(squares / 2);
      largest = std::max(largest, squares);
      for (int d = 0; d < p.shape.D; ++d) values[int64_t{d} * p.width + j] = code[d];
    }
  }
  p.norms[chunk] = static_cast<float>(std::sqrt(largest));
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

/// Scores of a tile's rows against one panel, MR at a time. Compiled apart from what is around it, which would take
/// registers of the scores.
using ScorePanel = void (*)(const float* values, const float* half, int depth, const float* const* rows, int count,
                            float* minima, bool first);

template <int L, int MR, int kDepth>
HOURGLASS_INLINE void score_rows(const float* values, const float* half, int depth, const float* const* rows, int count,
                                 float* minima, bool first) {
  for (int r = 0; r < count; r += MR) {
    const float* group[MR];
    for (int i = 0; i < MR; ++i) group[i] = kDepth > 0 ? rows[0] + (r + i) * kDepth : rows[r + i];
    score_panel<L, MR, kDepth>(values, half, depth, group, minima + r * L, first);
  }
}

/// The code nearest to a row with these minima, compiled apart, too.
using FindNearest = Nearest (*)(const Packed& p, const float* row, const float* minima);

template <int L>
HOURGLASS_INLINE Nearest find_nearest(const Packed& p, const float* row, const float* minima) {
  const double squares = squared_norm(row, p.shape.D);
  if (!std::isfinite(squares)) return {};
  float errors[kMostChunks];
  for (int c = 0; c < kMostChunks; ++c) {
    const ScoreBound bound = score_bound(p.shape.D, static_cast<float>(std::sqrt(squares)), p.norms[c]);
    errors[c] = bound.usable ? bound.error : kInfinity;
  }
  Candidates<L> candidates;
  candidates.mark(p, errors, minima);
  return candidates.best(p, row);
}

/// Rows of a tile, with vectors of L floats and MR rows at a time; a depth of 0 means p.depth, and rows as they lie.
template <int L, int kDepth, ScorePanel kScore, FindNearest kFind>
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
    kScore(p.values + int64_t{panel} * p.depth * p.width, p.half + int64_t{panel} * p.width, p.depth, from, rows,
           minima[panel / p.per_chunk], panel % p.per_chunk == 0);
  }
  for (int r = 0; r < rows; ++r) {
    const Nearest best = kFind(p, x + r * int64_t{D}, minima[0] + r * L);
    index[r] = best.index;
    if (distance) distance[r] = best.index < 0 ? std::nanf("") : static_cast<float>(best.distance);
  }
}

/// `Level` has the two functions that are compiled apart: score<kDepth> and find.
template <class Level>
HOURGLASS_INLINE void search_rows(const Packed& p, const float* x, int rows, int32_t* index, float* distance) {
  constexpr int L = Level::kLanes;
  switch (p.depth) {
    case 4:
      return search_tile<L, 4, Level::template score<4>, Level::find>(p, x, rows, index, distance);
    case 8:
      return search_tile<L, 8, Level::template score<8>, Level::find>(p, x, rows, index, distance);
    case 16:
      return search_tile<L, 16, Level::template score<16>, Level::find>(p, x, rows, index, distance);
    default:
      return search_tile<L, 0, Level::template score<0>, Level::find>(p, x, rows, index, distance);
  }
}

using SearchRows = void (*)(const Packed& p, const float* x, int rows, int32_t* index, float* distance);

/// Returns the lowest code that is not finite, or K.
int pack(const Context& ctx, const Packed& p) {
  int bad[kMostChunks];
  parallel_for(ctx, p.chunks, [&](int64_t c) { bad[c] = pack_chunk(p, static_cast<int>(c)); });
  return *std::min_element(bad, bad + p.chunks);
}

/// All tiles, or those that were given up.
void search_tiles(const Context& ctx, const Packed& p, SearchRows search_rows, bool all, const float* x, int32_t* index,
                  float* distance) {
  const NearestCodebookShape s = p.shape;
  parallel_for(ctx, (s.N + kTileRows - 1) / kTileRows, [&](int64_t tile) {
    const int64_t first = tile * kTileRows;
    if (!all && index[first] != kGaveUp) return;
    const int rows = static_cast<int>(std::min<int64_t>(kTileRows, s.N - first));
    search_rows(p, x + first * s.D, rows, index + first, distance ? distance + first : nullptr);
  });
}

#define HOURGLASS_LEVEL(name, target, L, MR)                                                                     \
  struct name {                                                                                                  \
    static constexpr int kLanes = L;                                                                             \
    template <int kDepth>                                                                                        \
    target static void score(const float* values, const float* half, int depth, const float* const* rows, int n, \
                             float* minima, bool first) {                                                        \
      score_rows<L, MR, kDepth>(values, half, depth, rows, n, minima, first);                                    \
    }                                                                                                            \
    target static Nearest find(const Packed& p, const float* row, const float* minima) {                         \
      return find_nearest<L>(p, row, minima);                                                                    \
    }                                                                                                            \
    target static void rows(const Packed& p, const float* x, int n, int32_t* index, float* distance) {           \
      search_rows<name>(p, x, n, index, distance);                                                               \
    }                                                                                                            \
  };
HOURGLASS_LEVEL(Level4, __attribute__((noinline)), 4, 4)
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
HOURGLASS_LEVEL(Level8, __attribute__((target("arch=x86-64-v3"), noinline)), 8, 4)
HOURGLASS_LEVEL(Level16, __attribute__((target("arch=x86-64-v4"), noinline)), 16, 8)
#endif

template <class Level>
void search(const Context& ctx, NearestCodebookShape s, const float* x, const float* codebook, void* scratch,
            int32_t* index, float* distance, FaultReport report) {
  check_nearest_codebook(s);
  if (s.N == 0) return;
  const Packed packed(s, codebook, Level::kLanes, scratch);
  const int code = pack(ctx, packed);
  if (code < s.K) report_not_finite(report, kFaultCode, code);
  search_tiles(ctx, packed, Level::rows, true, x, index, distance);
  report_lost_rows(s, index, report);
}

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
void search_by_bf16_scores(const Context& ctx, NearestCodebookShape s, const float* x, const float* codebook,
                           void* scratch, int32_t* index, float* distance, FaultReport report) {
  const auto by_scores = s.D <= kMostDepthOfBf16 ? bf16_codebook_search() : search<Level16>;
  by_scores(ctx, s, x, codebook, scratch, index, distance, report);
}
#endif

std::vector<CodebookSearchLevel> levels_of_this_machine() {
  std::vector<CodebookSearchLevel> levels;
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
  if (bf16_codebook_search()) levels.push_back({"avx512-bf16", search_by_bf16_scores});
  if (__builtin_cpu_supports("x86-64-v4")) levels.push_back({"x86-64-v4", search<Level16>});
  if (__builtin_cpu_supports("x86-64-v3")) levels.push_back({"x86-64-v3", search<Level8>});
#endif
  levels.push_back({"default", search<Level4>});
  return levels;
}

}  // namespace

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
void finish_by_float_scores(const Context& ctx, NearestCodebookShape s, const float* x, const float* codebook,
                            void* scratch, int32_t* index, float* distance) {
  const Packed packed(s, codebook, 16, scratch);
  pack(ctx, packed);
  search_tiles(ctx, packed, Level16::rows, false, x, index, distance);
}
#endif

const std::vector<CodebookSearchLevel>& codebook_search_levels() {
  static const std::vector<CodebookSearchLevel> levels = levels_of_this_machine();
  return levels;
}

size_t nearest_codebook_scratch_bytes(const Context&, NearestCodebookShape s) {
  if (s.N <= 0) return 0;
  const int64_t codes = (int64_t{s.K} + kWidest - 1) / kWidest * kWidest;
  const int64_t floats = codes * (padded_depth(s.D) + 1) + std::min(s.D, kMostDepthOfBf16);  // a centre for bf16 scores
  return static_cast<size_t>(2 * kMostChunks + floats) * sizeof(float);
}

void nearest_codebook(const Context& ctx, NearestCodebookShape s, const float* x, const float* codebook, void* scratch,
                      int32_t* index, float* distance, FaultReport report) {
  static const CodebookSearchLevel level = codebook_search_levels().front();
  level.search(ctx, s, x, codebook, scratch, index, distance, report);
}

}  // namespace hourglass::cpu
