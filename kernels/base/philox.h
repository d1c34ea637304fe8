// SPDX-License-Identifier: Apache-2.0
// Philox4x32-10: a counter-based random number generator. A block of four 32-bit words is a function of a key and a
// counter, so random numbers are addressed instead of stored, on any device and in any order.
//
//   one round:  (hi0, lo0) = c0 * 0xD2511F53,  (hi1, lo1) = c2 * 0xCD9E8D57
//               c <- (hi1 ^ c1 ^ k0, lo1, hi0 ^ c3 ^ k1, lo0);   then k0 += 0x9E3779B9, k1 += 0xBB67AE85
//
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. How Hourglass forms key
// and counter stands in noise.h.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/base/math.h"
#include "kernels/base/noise.h"

namespace hourglass {

struct PhiloxWords {
  uint32_t w[4];
};

inline constexpr int kPhiloxRounds = 10;
inline constexpr uint32_t kPhiloxMultiplier0 = 0xD2511F53u, kPhiloxMultiplier1 = 0xCD9E8D57u;
inline constexpr uint32_t kPhiloxKeyStep0 = 0x9E3779B9u, kPhiloxKeyStep1 = 0xBB67AE85u;

HOURGLASS_HD HOURGLASS_INLINE PhiloxWords philox(uint32_t key0, uint32_t key1, uint32_t c0, uint32_t c1, uint32_t c2,
                                                 uint32_t c3) {
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const uint64_t product0 = static_cast<uint64_t>(c0) * kPhiloxMultiplier0;
    const uint64_t product1 = static_cast<uint64_t>(c2) * kPhiloxMultiplier1;
    c0 = static_cast<uint32_t>(product1 >> 32) ^ c1 ^ key0;
    c2 = static_cast<uint32_t>(product0 >> 32) ^ c3 ^ key1;
    c1 = static_cast<uint32_t>(product1);
    c3 = static_cast<uint32_t>(product0);
    key0 += kPhiloxKeyStep0;
    key1 += kPhiloxKeyStep1;
  }
  return {{c0, c1, c2, c3}};
}

/// The block that serves elements 4 * block .. 4 * block + 3 of row r.
HOURGLASS_HD HOURGLASS_INLINE PhiloxWords philox_block(const Noise& noise, int64_t r, uint32_t block) {
  return philox(noise.seed, noise.stream, block, noise.draw_of(r), noise.row_of(r), noise.step_of());
}

/// Uniform on the open interval (0, 1): (k + 1/2) 2^-23 with k the upper 23 bits of the word. Float holds each of these
/// values exactly (24 bits would round the largest to 1), so float and double are the same number.
template <class T>
HOURGLASS_HD HOURGLASS_INLINE T uniform_of_word(uint32_t word) {
  return (static_cast<T>(static_cast<int32_t>(word >> 9)) + T(0.5)) * T(0x1p-23);
}

/// Box-Muller: two independent standard normals from two words, |value| <= sqrt(-2 log 2^-24) = 5.77.
///   radius = sqrt(-2 log u0),  angle = pi (2 u1 - 1);   first = radius cos(angle), second = radius sin(angle)
template <class T>
HOURGLASS_HD HOURGLASS_INLINE void normal2(uint32_t word0, uint32_t word1, T* first, T* second) {
  T sine, cosine;
  math::sincospi(uniform_of_word<T>(word1) * T(2) - T(1), &sine, &cosine);
  const T radius = math::sqrt(T(-2) * math::log_positive(uniform_of_word<T>(word0)));
  *first = radius * cosine;
  *second = radius * sine;
}

/// The four normals of a block: words 0 and 1 give elements 0 and 1, words 2 and 3 give elements 2 and 3.
template <class T>
HOURGLASS_HD HOURGLASS_INLINE void normal4(const PhiloxWords& words, T out[4]) {
  normal2(words.w[0], words.w[1], out, out + 1);
  normal2(words.w[2], words.w[3], out + 2, out + 3);
}

/// Standard normal number of element d of row r.
template <class T>
HOURGLASS_HD HOURGLASS_INLINE T normal(const Noise& noise, int64_t r, int64_t d) {
  const PhiloxWords words = philox_block(noise, r, static_cast<uint32_t>(d / 4));
  const int pair = static_cast<int>(d % 4) & 2;
  T out[2];
  normal2(words.w[pair], words.w[pair + 1], out, out + 1);
  return out[d % 2];
}

/// Uniform number in (0, 1) of element d of row r.
template <class T>
HOURGLASS_HD HOURGLASS_INLINE T uniform(const Noise& noise, int64_t r, int64_t d) {
  return uniform_of_word<T>(philox_block(noise, r, static_cast<uint32_t>(d / 4)).w[d % 4]);
}

}  // namespace hourglass
