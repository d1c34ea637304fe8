// SPDX-License-Identifier: Apache-2.0
// How a tensor core adds, as far as it is known: products are exact; a few of them and the sum so far are aligned to
// the largest, cut off behind one bit more than a float has, added exactly, and the result is cut off to a float.
// Nothing is rounded to nearest, so that long sums lose a little toward zero at every step. This is the coarsest of
// what has been measured on cards since Ampere: a kernel and a tolerance that stand it stand the others. Source: Fasi,
// Higham, Mikaitis, Pranesh, "Numerical behavior of NVIDIA tensor cores", PeerJ Computer Science 7:e330 (2021).
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace simt {

/// sum + a[0] b[0] + ... + a[kTerms - 1] b[kTerms - 1], floats held as doubles; neighbours of b lie `stride` apart.
template <int kTerms>
float add_products(float sum, const double* a, const double* b, int stride) {
  double products[kTerms], plain = sum, largest = std::abs(plain);
  for (int i = 0; i < kTerms; ++i) products[i] = a[i] * b[i * stride];
  for (int i = 0; i < kTerms; ++i) {
    plain += products[i];
    largest = std::max(largest, std::abs(products[i]));
  }
  // What is not finite, and what would not be normal, is added as it is.
  if (!(std::abs(plain) < 0x1p128 && largest < 0x1p128 && largest > 0x1p-100)) return static_cast<float>(plain);
  // The largest has 1 + 24 bits before the point.
  const double scale = 0x1p24 / std::bit_cast<double>(std::bit_cast<uint64_t>(largest) & 0x7FF0000000000000u);
  auto whole = static_cast<int64_t>(sum * scale);
  for (int i = 0; i < kTerms; ++i) whole += static_cast<int64_t>(products[i] * scale);
  const double exact = static_cast<double>(whole) / scale;
  return static_cast<float>(std::bit_cast<double>(std::bit_cast<uint64_t>(exact) & ~uint64_t{0x1FFFFFFF}));
}

/// The terms that are added at once.
inline constexpr int kTermsOfBf16 = 8, kTermsOfTf32 = 4;

}  // namespace simt
