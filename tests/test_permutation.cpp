// SPDX-License-Identifier: Apache-2.0
#include "kernels/base/permutation.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

TEST(permutation, is_a_bijection) {
  for (uint32_t n : {1u, 2u, 3u, 7u, 63u, 64u, 65u, 100u, 255u, 256u, 257u, 1000u, 4097u, 60000u}) {
    for (uint32_t epoch = 0; epoch < 3; ++epoch) {
      std::vector<bool> hit(n);
      for (uint32_t i = 0; i < n; ++i) {
        const uint32_t image = permute(i, n, 5, epoch);
        ASSERT_LT(image, n) << n;
        ASSERT_FALSE(hit[image]) << n << ", image " << image << " twice";
        hit[image] = true;
      }
    }
  }
}

TEST(permutation, reaches_the_largest_domains) {
  const uint32_t n = 0xffffffffu;
  for (uint32_t i : {0u, 1u, 12345u, n - 1}) EXPECT_LT(permute(i, n, 1, 1), n);
  EXPECT_NE(permute(0, n, 1, 1), permute(1, n, 1, 1));
}

/// chi-square of counts against a flat expectation, in standard deviations from its mean.
double flatness(const std::vector<int>& counts, double expected) {
  double chi = 0;
  for (int count : counts) chi += (count - expected) * (count - expected) / expected;
  const auto freedom = static_cast<double>(counts.size() - 1);
  return (chi - freedom) / std::sqrt(2 * freedom);
}

TEST(permutation, every_position_sees_every_index_alike) {
  constexpr uint32_t kN = 10;
  constexpr int kEpochs = 20000;
  for (uint32_t i = 0; i < kN; ++i) {
    std::vector<int> counts(kN);
    for (uint32_t epoch = 0; epoch < kEpochs; ++epoch) ++counts[permute(i, kN, 3, epoch)];
    EXPECT_LT(std::abs(flatness(counts, kEpochs / double{kN})), 4.5) << i;
  }
}

TEST(permutation, pairs_are_as_frequent_as_in_a_random_shuffle) {
  constexpr uint32_t kN = 10;
  constexpr int kEpochs = 90000;
  std::vector<int> counts(kN * (kN - 1));
  for (uint32_t epoch = 0; epoch < kEpochs; ++epoch) {
    const uint32_t a = permute(4, kN, 3, epoch), b = permute(5, kN, 3, epoch);
    ++counts[a * (kN - 1) + (b > a ? b - 1 : b)];
  }
  EXPECT_LT(std::abs(flatness(counts, kEpochs / 90.0)), 4.5);
}

TEST(permutation, a_batch_mixes_the_whole_data_set) {
  constexpr uint32_t kN = 60000;
  for (uint32_t epoch = 0; epoch < 8; ++epoch) {
    double sum = 0, products = 0, previous = 0;
    std::vector<int> tenths(10);
    for (uint32_t i = 0; i < kN; ++i) {
      const double u = (permute(i, kN, 11, epoch) + 0.5) / kN - 0.5;
      if (i < 6000) ++tenths[static_cast<size_t>((u + 0.5) * 10)];
      sum += u * (i / double{kN} - 0.5);
      products += u * previous;
      previous = u;
    }
    EXPECT_LT(std::abs(sum) * 12 / std::sqrt(double{kN}), 4) << "order leaks through";
    EXPECT_LT(std::abs(products) * 12 / std::sqrt(double{kN}), 4) << "neighbours stay neighbours";
    EXPECT_LT(flatness(tenths, 600), 4.5);
  }
}

TEST(permutation, seeds_and_epochs_give_other_orders) {
  constexpr uint32_t kN = 10000;
  for (const auto& [seed, epoch] : {std::pair(2u, 0u), std::pair(1u, 1u), std::pair(0u, 1u), std::pair(1u, 65536u)}) {
    int fixed = 0;
    for (uint32_t i = 0; i < kN; ++i) fixed += permute(i, kN, seed, epoch) == permute(i, kN, 1, 0);
    EXPECT_LT(fixed, 10);  // Poisson with mean 1
  }
}

}  // namespace
}  // namespace hourglass::test
