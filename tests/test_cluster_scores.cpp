// SPDX-License-Identifier: Apache-2.0
// The scores of partitions against values by hand and by scikit-learn 1.9 (adjusted_rand_score and
// normalized_mutual_info_score, whose average is the arithmetic one).
#include <cmath>
#include <vector>

#include "engine/cluster_scores.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

using Groups = std::vector<int32_t>;

TEST(ClusterScores, EqualPartitionsScoreOneWhateverTheirNumbers) {
  const Groups a = {0, 0, 1, 1, 2, 2}, renamed = {7, 7, 0, 0, -3, -3};
  EXPECT_EQ(adjusted_rand_index(a, renamed), 1);
  EXPECT_NEAR(normalized_mutual_information(a, renamed), 1, 1e-15);
  EXPECT_EQ(adjusted_rand_index(Groups{4, 4}, Groups{1, 1}), 1);
  EXPECT_EQ(normalized_mutual_information(Groups{4, 4}, Groups{1, 1}), 1);
}

TEST(ClusterScores, AreTheDefinition) {
  // Ordered pairs: together in both 2, in a only 2, in b only 0, in neither 8: 2 (2 8 - 0) / (4 10 + 2 8) = 4 / 7.
  const Groups a = {0, 0, 1, 1}, b = {0, 0, 1, 2};
  EXPECT_NEAR(adjusted_rand_index(a, b), 4.0 / 7, 1e-15);
  EXPECT_NEAR(adjusted_rand_index(b, a), 4.0 / 7, 1e-15);
  // H(a) = log 2, H(b) = 1.5 log 2, and b tells a: I = log 2.
  EXPECT_NEAR(normalized_mutual_information(a, b), 0.8, 1e-15);
  EXPECT_NEAR(normalized_mutual_information(b, a), 0.8, 1e-15);
}

TEST(ClusterScores, AreThoseOfScikitLearn) {
  const Groups a = {0, 0, 0, 1, 1, 1, 2, 2, 2, 2}, b = {0, 0, 1, 1, 1, 2, 2, 2, 0, 2};
  EXPECT_NEAR(adjusted_rand_index(a, b), 0.20454545454545456, 1e-12);
  EXPECT_NEAR(normalized_mutual_information(a, b), 0.44270128334605, 1e-12);
}

TEST(ClusterScores, IndependentPartitionsScoreNothing) {
  const Groups a = {0, 0, 1, 1}, b = {0, 1, 0, 1}, one = {0, 0, 0, 0};
  EXPECT_NEAR(adjusted_rand_index(a, b), -0.5, 1e-15);  // 2 (0 - 4 4) / (4 8 + 4 8)
  EXPECT_EQ(normalized_mutual_information(a, b), 0);
  EXPECT_EQ(adjusted_rand_index(a, one), 0);
  EXPECT_EQ(normalized_mutual_information(a, one), 0);
}

TEST(ClusterScores, CountPairsOfManyRows) {
  Groups a(100000), b(100000);
  for (int i = 0; i < 100000; ++i) a[i] = i % 10, b[i] = i % 20;
  // Groups of a have 10,000 rows, each two groups of b.
  const double tp = 20 * 5000.0 * 4999, fn = 10 * 1e4 * 9999 - tp, tn = 1e5 * 99999 - tp - fn;
  EXPECT_NEAR(adjusted_rand_index(a, b), 2 * tp * tn / ((tp + fn) * (fn + tn) + tp * tn), 1e-12);
  EXPECT_NEAR(normalized_mutual_information(a, b), 2 * std::log(10) / (std::log(10) + std::log(20)), 1e-12);
}

TEST(ClusterScores, RefuseDifferentRows) {
  expect_error([] { adjusted_rand_index(Groups{1, 2}, Groups{1}); }, Exit::kInternal, {"2", "1 rows"});
  expect_error([] { normalized_mutual_information(Groups{1, 2}, Groups{1}); }, Exit::kInternal, {"2", "1 rows"});
}

}  // namespace
}  // namespace hourglass::test
