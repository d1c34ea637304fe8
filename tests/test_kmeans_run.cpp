// SPDX-License-Identifier: Apache-2.0
// k-means as a whole: seeding, assignments and updates until nothing improves.
#include <set>

#include "engine/kmeans.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

template <class T>
Var view(std::vector<T>& values, int rows, int columns) {
  Var v;
  v.data = values.data();
  v.shape = {rows, columns};
  v.dtype = std::is_same_v<T, double> ? Dtype::kF64 : Dtype::kF32;
  return v;
}

/// `clusters` groups of `each` rows, far apart; row n belongs to group n % clusters.
template <class T>
std::vector<T> clusters_of(int clusters, int each, int D) {
  auto x = random_values<T>(int64_t{clusters} * each * D, 4, -0.1, 0.1);
  for (size_t i = 0; i < x.size(); ++i) {
    const auto cluster = static_cast<int>(i) / D % clusters, d = static_cast<int>(i) % D;
    x[i] += static_cast<T>(10 * ((cluster >> d) & 1));
  }
  return x;
}

TEST(kmeans, finds_clusters_that_lie_apart) {
  auto x = clusters_of<float>(16, 20, 4);
  std::vector<float> codebook(64);
  std::vector<int32_t> index(320);
  const KMeansResult result = kmeans({}, view(x, 320, 4), view(codebook, 16, 4), {}, index.data());
  EXPECT_LT(result.inertia, 320 * 4 * 0.01);
  EXPECT_GE(result.iterations, 1);
  std::set<int32_t> found;
  for (int n = 0; n < 320; ++n) {
    EXPECT_EQ(index[n], index[n % 16]);
    found.insert(index[n]);
  }
  EXPECT_EQ(found.size(), 16u);
}

TEST(kmeans, inertia_never_rises_with_more_iterations) {
  auto x = random_values<double>(900, 6);
  double before = 1e300;
  for (int iterations = 0; iterations < 6; ++iterations) {
    std::vector<double> codebook(60);
    const double inertia = kmeans({}, view(x, 300, 3), view(codebook, 20, 3), {iterations, 5}).inertia;
    EXPECT_LE(inertia, before);
    before = inertia;
  }
}

TEST(kmeans, tolerance_stops_where_an_update_improves_little) {
  auto x = random_values<double>(3000, 6);
  const auto run = [&](KMeansOptions options) {
    std::vector<double> codebook(60);
    return kmeans({}, view(x, 1000, 3), view(codebook, 20, 3), options);
  };
  const KMeansResult exact = run({1000, 5}), rough = run({1000, 5, 0.01});
  EXPECT_TRUE(exact.converged);
  EXPECT_TRUE(rough.converged);
  ASSERT_LT(rough.iterations, exact.iterations);
  EXPECT_GT(rough.inertia, exact.inertia);
  const double before = run({rough.iterations - 1, 5}).inertia, earlier = run({rough.iterations - 2, 5}).inertia;
  EXPECT_LE(before - rough.inertia, 0.01 * before);
  EXPECT_GT(earlier - before, 0.01 * earlier);
  EXPECT_FALSE(run({rough.iterations - 1, 5}).converged);
}

TEST(kmeans, every_row_a_centre_is_perfect) {
  auto x = random_values<float>(24, 6);
  std::vector<float> codebook(24);
  const KMeansResult result = kmeans({}, view(x, 8, 3), view(codebook, 8, 3));
  EXPECT_EQ(result.inertia, 0);
  EXPECT_EQ(result.iterations, 1) << "nothing improves";
}

/// Numbers of centres around those that fill an allocation; the sanitizers look at its end.
TEST(kmeans, any_number_of_centres) {
  for (const int K : {1, 2, 63, 64, 65, 66}) {
    auto x = clusters_of<float>(K, 3, 7);
    std::vector<float> codebook(static_cast<size_t>(K) * 7);
    std::vector<int32_t> index(static_cast<size_t>(K) * 3);
    kmeans({}, view(x, 3 * K, 7), view(codebook, K, 7), {}, index.data());
    for (int n = 0; n < 3 * K; ++n) EXPECT_EQ(index[n], index[n % K]) << K;
    EXPECT_EQ(std::set<int32_t>(index.begin(), index.end()).size(), static_cast<size_t>(K));
  }
}

TEST(kmeans, has_the_same_bits_on_any_number_of_threads) {
  auto x = random_values<float>(6000, 6);
  expect_same_bits_for_threads([&](const Context& ctx) {
    std::vector<float> codebook(90);
    kmeans(ctx, view(x, 2000, 3), view(codebook, 30, 3));
    return codebook;
  });
}

TEST(kmeans, refuses_what_has_no_answer) {
  auto x = random_values<float>(12, 6);
  std::vector<float> codebook(6);
  expect_error([&] { kmeans({}, view(x, 4, 3), view(codebook, 3, 2)); }, Exit::kUsage, {"kmeans", "(4, 3)", "(3, 2)"});
  expect_error([&] { kmeans({}, view(x, 4, 3), view(codebook, 2, 3), {-1}); }, Exit::kUsage, {"iterations", "-1"});
  expect_error([&] { kmeans({}, view(x, 0, 3), view(codebook, 2, 3)); }, Exit::kUsage, {"kmeans", "(0, 3)"});
  expect_error([&] { kmeans({}, view(x, 4, 3), view(codebook, 2, 3), {1, 0, -1}); }, Exit::kUsage, {"tolerance", "-1"});
  x[7] = std::nanf("");
  expect_error([&] { kmeans({}, view(x, 4, 3), view(codebook, 2, 3)); }, Exit::kNotFinite, {"kmeans", "is not finite"});
}

}  // namespace
}  // namespace hourglass::test
