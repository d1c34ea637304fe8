// SPDX-License-Identifier: Apache-2.0
// L blocks at a time in vectors of L words. The ten rounds of Philox hold each word in a lane of 64 bits, because the
// multiplication that a round is made of takes the lower halves of such lanes to whole products: a round is two
// products, two shifts and two exclusive ors for L / 2 blocks, and nothing is widened or narrowed in between.
//
// Which block a lane holds is free. Transposing four vectors of normals, one for each word, into the order of memory
// takes few instructions within groups of four lanes, and leaves lane j of group g to column j L/4 + g: so that is the
// block which position 4 g + j computes.
//
// Measured on one Zen 5 core beside busy neighbours: 0.39 ns a number with L = 16, 0.7 with L = 8. Loops left to the
// compiler took 0.61 and 2.5: it makes the product from a longer one (AVX-512), or from three (AVX2).
// Compiled with -ffp-contract=fast, for polynomials; the integers do not depend on it.
#include "kernels/base/normal_rows.h"

#include <array>
#include <cmath>
#include <cstring>

#include "kernels/base/philox.h"
#include "kernels/base/simd.h"

// Vectors are passed between inlined functions only, so that their calling convention does not matter.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace hourglass {
namespace {

template <int L>
struct Vector {
  typedef float floats __attribute__((vector_size(4 * L)));
  typedef int32_t ints __attribute__((vector_size(4 * L)));
  typedef uint32_t words __attribute__((vector_size(4 * L)));
  typedef uint64_t longs __attribute__((vector_size(4 * L)));  // L / 2 of them
};
template <int L>
using Floats = typename Vector<L>::floats;
template <int L>
using Ints = typename Vector<L>::ints;
template <int L>
using Words = typename Vector<L>::words;
template <int L>
using Longs = typename Vector<L>::longs;

/// Lane p holds lane(p), known to the compiler.
template <int L, class F>
HOURGLASS_INLINE Words<L> pattern(F) {
  constexpr auto values = [] {
    std::array<uint32_t, L> result{};
    for (uint32_t p = 0; p < L; ++p) result[p] = F{}(p);
    return result;
  }();
  Words<L> v;
  std::memcpy(&v, values.data(), sizeof v);
  return v;
}

/// The whole products of the lower halves.
template <int L>
HOURGLASS_INLINE Longs<L> product(Longs<L> a, Longs<L> b) {
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
  // The one instruction for it, which g++ does not find from the expression below.
  if constexpr (L == 4) {
    asm("pmuludq %1, %0" : "+x"(a) : "x"(b));
  } else {
    asm("vpmuludq %2, %1, %0" : "=v"(a) : "v"(a), "v"(b));
  }
  return a;
#else
  return (a & 0xFFFFFFFFu) * (b & 0xFFFFFFFFu);
#endif
}

/// philox() of L counters: four vectors of words to `out`, as the bits of floats.
template <int L>
HOURGLASS_INLINE void philox_lanes(uint32_t key0, uint32_t key1, Words<L> block, Words<L> draw, Words<L> row,
                                   Words<L> step, float* out) {
  const auto lower = pattern<L>([](uint32_t p) { return (p & ~3u) + (p & 3) / 2 + (p & 1 ? L : 0); });
  const auto upper = pattern<L>([](uint32_t p) { return (p & ~3u) + (p & 3) / 2 + (p & 1 ? L : 0) + 2; });
  const auto narrow = pattern<L>([](uint32_t p) { return (p & ~3u) + (p & 1) * 2 + (p & 2 ? L : 0); });
  const Longs<L> multiplier0 = Longs<L>{} + kPhiloxMultiplier0, multiplier1 = Longs<L>{} + kPhiloxMultiplier1;
  const auto widen = [](Words<L> c, Words<L> half) {
    return reinterpret_cast<Longs<L>>(__builtin_shuffle(c, Words<L>{}, half));
  };
  Longs<L> w[2][4] = {{widen(block, lower), widen(draw, lower), widen(row, lower), widen(step, lower)},
                      {widen(block, upper), widen(draw, upper), widen(row, upper), widen(step, upper)}};
#pragma GCC unroll 10
  for (int round = 0; round < kPhiloxRounds; ++round) {
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const Longs<L> product0 = product<L>(w[h][0], multiplier0), product1 = product<L>(w[h][2], multiplier1);
      w[h][0] = (product1 >> 32) ^ w[h][1] ^ uint64_t { key0 };
      w[h][2] = (product0 >> 32) ^ w[h][3] ^ uint64_t { key1 };
      w[h][1] = product1;  // the upper halves may hold rubbish: they are not multiplied
      w[h][3] = product0;
    }
    key0 += kPhiloxKeyStep0;
    key1 += kPhiloxKeyStep1;
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const Floats<L> words =  // as floats, for which g++ finds the cheaper instruction
        __builtin_shuffle(reinterpret_cast<Floats<L>>(w[0][j]), reinterpret_cast<Floats<L>>(w[1][j]), narrow);
    std::memcpy(out + j * L, &words, sizeof words);
  }
}

/// -2 log u of the uniforms u = (2 k + 1) 2^-24 of words, k their upper 23 bits.
/// -2 log((1 + f) 2^n) = f p(f) - 2 n log 2 for sqrt(1/2) <= 1 + f <= sqrt(2); p(0) = -2 makes it exact towards u = 1.
template <int L>
HOURGLASS_INLINE Floats<L> minus_two_log(Words<L> word) {
  const Floats<L> scaled = __builtin_convertvector(reinterpret_cast<Ints<L>>((word >> 8) | 1u), Floats<L>);
  const Ints<L> shifted = reinterpret_cast<Ints<L>>(scaled) - (0x3F3504F3 + (24 << 23));  // sqrt(1/2) 2^24
  const Floats<L> n = __builtin_convertvector(shifted >> 23, Floats<L>);
  const Floats<L> f = reinterpret_cast<Floats<L>>((shifted & 0x007FFFFF) + 0x3F3504F3) - 1.0f;
  Floats<L> p = f * -0.174802452f + 0.286195308f;
  p = p * f - 0.298336655f;
  p = p * f + 0.331400812f;
  p = p * f - 0.399243087f;
  p = p * f + 0.500035703f;
  p = p * f - 0.666678965f;
  p = p * f + 0.999999821f;
  p = p * f - 2.0f;
  return p * f + n * -1.38629436f;
}

template <int L>
HOURGLASS_INLINE Floats<L> square_root(Floats<L> x) {
  float lanes[L];
  std::memcpy(lanes, &x, sizeof x);
  for (int j = 0; j < L; ++j) lanes[j] = std::sqrt(lanes[j]);
  std::memcpy(&x, lanes, sizeof x);
  return x;
}

/// Sine and cosine of pi (2 u - 1), u the uniforms of words: math::sincospi on vectors.
template <int L>
HOURGLASS_INLINE void sine_cosine(Words<L> word, Floats<L>* sine, Floats<L>* cosine) {
  const Floats<L> k = __builtin_convertvector(reinterpret_cast<Ints<L>>(word >> 9), Floats<L>);
  const Floats<L> x = k * 0x1p-22f + (0x1p-23f - 1.0f);  // exact, as are the next two lines
  const Floats<L> shifted = x * 2.0f + math::detail::kRound;
  const Floats<L> r = x - (shifted - math::detail::kRound) * 0.5f;
  const Floats<L> square = r * r;
  const Words<L> quadrant = reinterpret_cast<Words<L>>(shifted);
  Floats<L> p = square * -0.589576185f + 2.54981971f;
  p = p * square - 5.16770935f;
  p = p * square + 3.14159274f;
  Floats<L> q = square * 0.22869736f - 1.33473349f;
  q = q * square + 4.05869627f;
  q = q * square - 4.93480206f;
  const Floats<L> s = r * p, c = q * square + 1.0f;
  const auto swap = (quadrant & 1u) != 0;
  const Floats<L> of_sine = swap ? c : s, of_cosine = swap ? s : c;
  *sine = reinterpret_cast<Floats<L>>(reinterpret_cast<Words<L>>(of_sine) ^ ((quadrant & 2u) << 30));
  *cosine = reinterpret_cast<Floats<L>>(reinterpret_cast<Words<L>>(of_cosine) ^ (((quadrant + 1u) & 2u) << 30));
}

/// The normals of L blocks in place of their words, position 4 g + j for block j L/4 + g, into the order of memory.
template <int L>
HOURGLASS_INLINE void normal_lanes(float* eps) {
  Words<L> words[4];
  std::memcpy(words, eps, sizeof words);
  Floats<L> normals[4];
#pragma GCC unroll 2
  for (int pair = 0; pair < 4; pair += 2) {
    const Floats<L> radius = square_root<L>(minus_two_log<L>(words[pair]));
    Floats<L> sine, cosine;
    sine_cosine<L>(words[pair + 1], &sine, &cosine);
    normals[pair] = radius * cosine;
    normals[pair + 1] = radius * sine;
  }
  const auto first = pattern<L>([](uint32_t p) { return (p & ~3u) + (p & 3) / 2 + (p & 1 ? L : 0); });
  const auto second = pattern<L>([](uint32_t p) { return (p & ~3u) + (p & 3) / 2 + (p & 1 ? L : 0) + 2; });
  const auto first_pair = pattern<L>([](uint32_t p) { return (p & ~3u) + (p & 1) + (p & 2 ? L : 0); });
  const auto second_pair = pattern<L>([](uint32_t p) { return (p & ~3u) + (p & 1) + (p & 2 ? L : 0) + 2; });
  const Floats<L> a = __builtin_shuffle(normals[0], normals[1], first),
                  c = __builtin_shuffle(normals[2], normals[3], first);
  const Floats<L> b = __builtin_shuffle(normals[0], normals[1], second),
                  d = __builtin_shuffle(normals[2], normals[3], second);
  const Floats<L> rows[4] = {__builtin_shuffle(a, c, first_pair), __builtin_shuffle(a, c, second_pair),
                             __builtin_shuffle(b, d, first_pair), __builtin_shuffle(b, d, second_pair)};
  std::memcpy(eps, rows, sizeof rows);
}

/// The counters of more rows than one that do not fill vectors, in the order of memory. Each row is written in whole
/// vectors and the next one over what was too much; one row more than there are, for the last vector of normals.
template <int L>
struct Counters {
  alignas(64) uint32_t block[kMostNormalBlocks + 2 * L], draw[kMostNormalBlocks + 2 * L];
  alignas(64) uint32_t row[kMostNormalBlocks + 2 * L];

  HOURGLASS_INLINE void fill(const Noise& noise, int64_t first_row, int rows, uint32_t first_block, int blocks) {
    const auto ascending = pattern<L>([](uint32_t p) { return p; });
    for (int r = 0; r <= rows; ++r) {
      const int64_t from = first_row + (r < rows ? r : 0);
      const Words<L> draws = Words<L>{} + noise.draw_of(from), the_row = Words<L>{} + noise.row_of(from);
      const int end = r < rows ? blocks : L;
      for (int i = 0; i < end; i += L) {
        const Words<L> ahead = ascending + (first_block + static_cast<uint32_t>(i));
        std::memcpy(block + r * blocks + i, &ahead, sizeof ahead);
        std::memcpy(draw + r * blocks + i, &draws, sizeof draws);
        std::memcpy(row + r * blocks + i, &the_row, sizeof the_row);
      }
    }
  }
};

template <int L>
HOURGLASS_INLINE Words<L> load_shuffled(const uint32_t* from, Words<L> position) {
  Words<L> v;
  std::memcpy(&v, from, sizeof v);
  return __builtin_shuffle(v, position);
}

/// First the words of all blocks, then the normals in their place: the processor overlaps neighbouring groups of blocks
/// only where the work for one is short.
template <int L>
HOURGLASS_INLINE void fill_rows(const Noise& noise, int64_t first_row, int rows, int64_t first_block, int blocks,
                                float* eps) {
  const auto position = pattern<L>([](uint32_t p) { return p % 4 * (L / 4) + p / 4; });
  const uint32_t first = static_cast<uint32_t>(first_block), step = noise.step_of();
  if (blocks % L == 0 || rows == 1) {
    for (int r = 0; r < rows; ++r) {
      const uint32_t draw = noise.draw_of(first_row + r), row = noise.row_of(first_row + r);
      for (int i = 0; i < blocks; i += L) {
        const Words<L> block = position + (first + static_cast<uint32_t>(i));
        philox_lanes<L>(noise.seed, noise.stream, block, Words<L>{} + draw, Words<L>{} + row, Words<L>{} + step,
                        eps + 4 * (r * blocks + i));
      }
    }
  } else {
    Counters<L> counters;
    counters.fill(noise, first_row, rows, first, blocks);
    for (int i = 0; i < rows * blocks; i += L) {
      philox_lanes<L>(noise.seed, noise.stream, load_shuffled<L>(counters.block + i, position),
                      load_shuffled<L>(counters.draw + i, position), load_shuffled<L>(counters.row + i, position),
                      Words<L>{} + step, eps + 4 * i);
    }
  }
  for (int i = 0; i < rows * blocks; i += L) normal_lanes<L>(eps + 4 * i);
}

void fill_4(const Noise& noise, int64_t first_row, int rows, int64_t first_block, int blocks, float* eps) {
  fill_rows<4>(noise, first_row, rows, first_block, blocks, eps);
}
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
__attribute__((target("arch=x86-64-v4"))) void fill_16(const Noise& noise, int64_t first_row, int rows,
                                                       int64_t first_block, int blocks, float* eps) {
  fill_rows<16>(noise, first_row, rows, first_block, blocks, eps);
}
__attribute__((target("arch=x86-64-v3"))) void fill_8(const Noise& noise, int64_t first_row, int rows,
                                                      int64_t first_block, int blocks, float* eps) {
  fill_rows<8>(noise, first_row, rows, first_block, blocks, eps);
}
#endif

std::vector<NormalLevel> levels_of_this_machine() {
  std::vector<NormalLevel> levels;
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
  if (__builtin_cpu_supports("x86-64-v4")) levels.push_back({"x86-64-v4", fill_16});
  if (__builtin_cpu_supports("x86-64-v3")) levels.push_back({"x86-64-v3", fill_8});
#endif
  levels.push_back({"default", fill_4});
  return levels;
}

}  // namespace

const std::vector<NormalLevel>& normal_levels() {
  static const std::vector<NormalLevel> levels = levels_of_this_machine();
  return levels;
}

void normal_rows(const Noise& noise, int64_t first_row, int rows, int64_t first_block, int blocks, float* eps) {
  static const NormalLevel level = normal_levels().front();
  level.normal_rows(noise, first_row, rows, first_block, blocks, eps);
}

}  // namespace hourglass
