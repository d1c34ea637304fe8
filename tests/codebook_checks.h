// SPDX-License-Identifier: Apache-2.0
// Inputs on which searches for the nearest code go wrong, and the check of an answer against brute force in double.
#pragma once

#include <string>
#include <vector>

#include "kernels/nearest_codebook.h"
#include "tests/harness.h"

namespace hourglass::test {

struct CodebookData {
  std::string name;
  std::vector<float> x, codebook;
};

/// Random; rows beside codes; all codes within 1e-6 of one point far from 0; every code twice; magnitudes whose squares
/// float cannot hold; one such code among ordinary ones; and numbers whose products are below its smallest.
inline std::vector<CodebookData> codebook_data(const NearestCodebookShape& s, uint64_t seed = 1) {
  const int64_t rows = int64_t{s.N} * s.D, codes = int64_t{s.K} * s.D;
  const auto x = random_values<float>(rows, seed, -3, 3), c = random_values<float>(codes, seed + 1, -3, 3);
  const auto scaled = [](std::vector<float> values, float factor, float shift = 0) {
    for (float& value : values) value = value * factor + shift;
    return values;
  };
  std::vector<CodebookData> data = {{"random", x, c},
                                    {"collapsed", scaled(x, 1e-5f, 100), scaled(c, 1e-6f, 100)},
                                    {"huge", scaled(x, 1e25f), scaled(c, 1e25f)},
                                    {"tiny", scaled(x, 1e-23f), scaled(c, 1e-23f)}};
  Random random(seed + 2);
  CodebookData clustered{"clustered", x, c}, duplicates{"duplicates", x, c}, outlier{"outlier", x, c};
  for (int64_t i = 0; i < rows && s.K > 0; ++i) {
    const int64_t code = (i / s.D * 7919) % s.K;
    clustered.x[i] = c[code * s.D + i % s.D] + static_cast<float>(random.uniform(-1e-3, 1e-3));
  }
  for (int64_t k = s.K / 2; k < s.K; ++k) {
    for (int d = 0; d < s.D; ++d) duplicates.codebook[k * s.D + d] = duplicates.codebook[(k - s.K / 2) * s.D + d];
  }
  if (s.K > 1 && s.D > 0) outlier.codebook[(s.K / 2) * s.D] = 1e30f;
  data.insert(data.end(), {clustered, duplicates, outlier});
  return data;
}

/// |x[n] - codebook[k]|^2 in double.
inline double squared_distance(const NearestCodebookShape& s, const CodebookData& data, int64_t n, int64_t k) {
  double sum = 0;
  for (int d = 0; d < s.D; ++d) {
    const double difference = static_cast<double>(data.x[n * s.D + d]) - data.codebook[k * s.D + d];
    sum += difference * difference;
  }
  return sum;
}

/// The smallest distance of each row, by brute force in double.
inline std::vector<double> smallest_distances(const NearestCodebookShape& s, const CodebookData& data) {
  std::vector<double> smallest(static_cast<size_t>(s.N), std::numeric_limits<double>::infinity());
  for (int64_t n = 0; n < s.N; ++n) {
    for (int64_t k = 0; k < s.K; ++k) smallest[n] = std::min(smallest[n], squared_distance(s, data, n, k));
  }
  return smallest;
}

/// Every chosen code is as near as the nearest one in double, and the lowest of equal codes; distances are true.
inline void expect_nearest(const NearestCodebookShape& s, const CodebookData& data, const std::vector<double>& smallest,
                           const std::vector<int32_t>& index, const std::vector<float>& distance) {
  for (int64_t n = 0; n < s.N; ++n) {
    ASSERT_GE(index[n], 0) << data.name << ", row " << n;
    ASSERT_LT(index[n], s.K) << data.name << ", row " << n;
    const double best = smallest[n];
    ASSERT_LE(squared_distance(s, data, n, index[n]), best * (1 + 1e-12)) << data.name << ", row " << n;
    if (best < 3e38) {
      ASSERT_NEAR(static_cast<double>(distance[n]), best, 1e-6 * best + 1e-44) << data.name << ", row " << n;
    } else {
      ASSERT_TRUE(std::isinf(distance[n])) << data.name << ", row " << n;
    }
    const float* chosen = data.codebook.data() + int64_t{index[n]} * s.D;
    for (int64_t k = 0; k < index[n]; ++k) {
      ASSERT_FALSE(std::equal(chosen, chosen + s.D, data.codebook.data() + k * s.D))
          << data.name << ", row " << n << ": code " << k << " equals the chosen " << index[n];
    }
  }
}

}  // namespace hourglass::test
