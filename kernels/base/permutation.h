// SPDX-License-Identifier: Apache-2.0
// A keyed permutation of [0, n) as a pure function: shuffling without a stored order, resumable at any position.
//
// A Feistel network permutes [0, 4^h), the smallest such domain that holds n (at least 4^3): each round replaces
// (left, right) by (right, left ^ hash(right, key, round)), which is a bijection whatever the hash is. Images outside
// [0, n) are permuted again until they fall inside ("cycle walking"), which keeps it a bijection of [0, n) and takes
// fewer than four turns on average for n > 64. Sources: Luby and Rackoff 1988 (four rounds suffice for
// a good hash; six are used here); Black and Rogaway, "Ciphers with arbitrary finite domains", 2002 (cycle walking).
#pragma once

#include <cstdint>

#include "kernels/base/math.h"

namespace hourglass {

/// A bijection of 32-bit words in which each input bit flips each output bit with probability near 1/2.
/// Source of the constants: Wellons, "Prospecting for hash functions", 2018.
HOURGLASS_HD inline uint32_t mix_bits(uint32_t x) {
  x = (x ^ x >> 16) * 0x7FEB352Du;
  x = (x ^ x >> 15) * 0x846CA68Bu;
  return x ^ x >> 16;
}

/// Image of i under the permutation of [0, n) that (seed, epoch) names. Needs i < n.
HOURGLASS_HD inline uint32_t permute(uint32_t i, uint32_t n, uint32_t seed, uint32_t epoch) {
  constexpr uint32_t kRounds = 6;
  uint32_t half = 3;
  while (half < 16 && (n - 1) >> (2 * half) != 0) ++half;
  const uint32_t mask = (1u << half) - 1;
  uint32_t keys[kRounds];
  for (uint32_t round = 0; round < kRounds; ++round) keys[round] = mix_bits(mix_bits(mix_bits(seed) + epoch) + round);
  do {
    uint32_t left = i >> half, right = i & mask;
    for (uint32_t key : keys) {
      const uint32_t next = left ^ (mix_bits(right ^ key) & mask);
      left = right;
      right = next;
    }
    i = left << half | right;
  } while (i >= n);
  return i;
}

}  // namespace hourglass
