// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <set>

#include "kernels/base/kmeans_rules.h"
#include "kernels/kmeans.h"
#include "tests/cases/kmeans.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

template <class T>
std::vector<T> seeded(const KMeansShape& s, const std::vector<T>& x, uint32_t seed, const Context& ctx = {}) {
  Guarded<T> nearest(s.N), codebook(int64_t{s.K} * s.D);
  const Noise noise{seed, stream_id("test/k-means")};
  for (int k = 0; k < s.K; ++k) cpu::kmeans_seed<T>(ctx, s, k, x.data(), noise, nearest.data(), codebook.data());
  return codebook.values();
}

TEST(KMeans, CentresAreDifferentRows) {
  for (const KMeansShape& s : kKMeansCases) {
    if (s.N > 1000) continue;
    SCOPED_TRACE(describe("kmeans", {s.N, s.D, s.K}));
    const auto x = random_values<double>(int64_t{s.N} * s.D, 1);
    const auto codebook = seeded<double>(s, x, 3);
    std::set<int64_t> rows;
    for (int k = 0; k < s.K; ++k) {
      int64_t row = 0;
      while (row < s.N && !std::equal(&x[row * s.D], &x[row * s.D] + s.D, &codebook[int64_t{k} * s.D])) ++row;
      ASSERT_LT(row, s.N) << "centre " << k << " is no row";
      EXPECT_TRUE(rows.insert(row).second) << "row " << row << " is drawn twice";
    }
  }
}

TEST(KMeans, RowsAreDrawnByTheirSquaredDistance) {
  // From the row at 0, rows at 1, 2 and 3 are drawn with probabilities 1/14, 4/14, 9/14.
  const KMeansShape s{4, 1, 2};
  const std::vector<double> x = {0, 1, 2, 3};
  std::map<double, int> first, second;
  constexpr int kSeeds = 40000;
  for (uint32_t seed = 0; seed < kSeeds; ++seed) {
    const auto codebook = seeded<double>(s, x, seed);
    ++first[codebook[0]];
    if (codebook[0] == 0) ++second[codebook[1]];
  }
  for (const double row : x) EXPECT_NEAR(first[row], kSeeds / 4, 5 * std::sqrt(kSeeds * 3.0 / 16));
  for (const double row : {1.0, 2.0, 3.0}) {
    const double p = row * row / 14, n = first[0];
    EXPECT_NEAR(second[row], n * p, 5 * std::sqrt(n * p * (1 - p)));
  }
  EXPECT_EQ(second[0], 0);
}

TEST(KMeans, FewerDistinctRowsThanCentres) {
  const KMeansShape s{5, 2, 4};
  const std::vector<float> x(10, 3.0f);
  EXPECT_EQ(seeded<float>(s, x, 1), std::vector<float>(8, 3.0f));
}

TEST(KMeans, CentresMoveToTheMeanOfTheirRowsOrStay) {
  const KMeansShape s{3, 2, 2};
  const std::vector<double> counts = {2, 0}, sums = {4, 6, 0, 0};
  std::vector<double> codebook = {9, 9, 5, 7};
  cpu::kmeans_update<double>({}, s, counts.data(), sums.data(), codebook.data());
  EXPECT_EQ(codebook, (std::vector<double>{2, 3, 5, 7}));
}

TEST(KMeans, HasTheSameBitsOnAnyNumberOfThreads) {
  const KMeansShape s{3000, 5, 12};
  const auto x = random_values<float>(15000, 2);
  expect_same_bits_for_threads([&](const Context& ctx) { return seeded<float>(s, x, 8, ctx); });
}

TEST(KMeans, RefusesCentresWithoutRows) {
  expect_error(
      [] {
        cpu::kmeans_seed<float>({}, {0, 1, 1}, 0, nullptr, {}, nullptr, nullptr);
      },
      Exit::kUsage, {"kmeans_seed", "N = 0"});
  expect_error(
      [] {
        cpu::kmeans_seed<float>({}, {1, 1, 1}, 1, nullptr, {}, nullptr, nullptr);
      },
      Exit::kUsage, {"kmeans_seed", "[0, 1)", "got 1"});
  expect_error(
      [] {
        cpu::kmeans_update<float>({}, {1, -1, 1}, nullptr, nullptr, nullptr);
      },
      Exit::kUsage, {"kmeans_update", "D = -1"});
}

}  // namespace
}  // namespace hourglass::test
