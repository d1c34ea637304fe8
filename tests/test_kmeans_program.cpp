// SPDX-License-Identifier: Apache-2.0
// hourglass kmeans as users run it: what it prints, what it writes, and what it refuses.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "engine/cluster_scores.h"
#include "engine/io/json.h"
#include "engine/io/npy.h"
#include "engine/io/png.h"
#include "tests/file_checks.h"
#include "tests/program.h"

namespace hourglass {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

class KMeansProgram : public ::testing::Test {
 protected:
  std::string at(const std::string& name) const { return (folder_ / name).string(); }

  test::Outcome run(const std::string& data, const Words& more) const {
    Words words = {"kmeans", "--data", data, "--out", at("out")};
    words.insert(words.end(), more.begin(), more.end());
    return test::run_program(folder_.path(), words);
  }
  Json answer(const std::string& data, Words more) const {
    more.push_back("--json");
    const test::Outcome outcome = run(data, more);
    EXPECT_EQ(outcome.exit, 0) << outcome.err;
    return Json::parse(outcome.out, "kmeans");
  }
  void expect_refused(int exit, const Words& parts, const std::string& data, const Words& more) const {
    const test::Outcome outcome = run(data, more);
    EXPECT_EQ(outcome.exit, exit) << outcome.err;
    for (const std::string& part : parts) EXPECT_NE(outcome.err.find(part), std::string::npos) << part << outcome.err;
    EXPECT_FALSE(fs::exists(at("out")));
  }

  /// 60 rows of 3 columns in four groups; row n belongs to group n % 4, at 100, 200, 300 or 400.
  void write_table(const std::string& name) const {
    std::vector<float> values;
    std::vector<int32_t> labels;
    for (int n = 0; n < 60; ++n) {
      for (int d = 0; d < 3; ++d) values.push_back(static_cast<float>(100 * (1 + n % 4) + (n / 4 + d) % 3));
      labels.push_back(n % 4);
    }
    const int64_t shape[] = {60, 3};
    write_npy(at(name + ".npy"), values, shape);
    write_npy(at(name + "-labels.npy"), labels, {shape, 1});
  }

  test::TemporaryFolder folder_;
};

TEST_F(KMeansProgram, FindsTheGroupsOfATable) {
  write_table("table");
  const Json facts = answer(at("table.npy"), {"--k", "4", "--restarts", "5"});
  EXPECT_EQ(facts.get_integer("n"), 60);
  EXPECT_EQ(facts.get_integer("dim"), 3);
  EXPECT_EQ(facts.get_integer("clusters_used"), 4);
  EXPECT_EQ(facts.get_number("adjusted_rand_index"), 1);
  EXPECT_NEAR(facts.get_number("normalized_mutual_information"), 1, 1e-12);
  // Each row's values are its group's place and 0, 1, 2 in some order; each column has mean 1 and variance 2 / 3.
  EXPECT_NEAR(facts.get_number("inertia"), 60 * 2, 1e-3);
  EXPECT_NEAR(facts.get_number("mean_inertia"), 2, 1e-5);
  const HostArray centroids = read_npy(at("out/centroids.npy")), assignments = read_npy(at("out/assignments.npy"));
  ASSERT_EQ(centroids.shape, (std::vector<int64_t>{4, 3}));
  ASSERT_EQ(assignments.shape, (std::vector<int64_t>{60}));
  for (int n = 0; n < 60; ++n) {
    const int32_t k = assignments.as<int32_t>()[n];
    for (int d = 0; d < 3; ++d) {
      EXPECT_NEAR(centroids.as<float>()[3 * k + d], 100 * (1 + n % 4) + 1, 1e-4) << n;
    }
  }
  EXPECT_FALSE(fs::exists(at("out/centroids.png"))) << "a table is no picture";
}

TEST_F(KMeansProgram, DrawsTheCentroidsOfImagesAndScoresTheirClasses) {
  const Json facts = answer("shapes:16:200", {"--k", "6", "--split", "train", "--limit", "150"});
  EXPECT_EQ(facts.get_integer("n"), 150);
  EXPECT_EQ(read_npy(at("out/centroids.npy")).shape, (std::vector<int64_t>{6, 256}));
  EXPECT_GE(read_png(at("out/centroids.png")).width, 600);
  const HostArray labels = read_npy(at("out/labels.npy")), assignments = read_npy(at("out/assignments.npy"));
  const auto a = labels.as<int32_t>(), b = assignments.as<int32_t>();
  ASSERT_EQ(a.size(), 150u);
  EXPECT_EQ(facts.get_number("adjusted_rand_index"), adjusted_rand_index(a, b));
  EXPECT_EQ(facts.get_number("normalized_mutual_information"), normalized_mutual_information(a, b));
  EXPECT_EQ(answer("shapes:16:200", {"--k", "6"}).get_integer("n"), 220) << "all splits";
}

TEST_F(KMeansProgram, RestartsKeepTheBestAndThreadsDoNotMatter) {
  const Words k = {"--k", "9", "--tolerance", "0"};
  const auto inertia = [&](Words more) {
    more.insert(more.begin(), k.begin(), k.end());
    return answer("shapes:12:300", more).get_number("inertia");
  };
  double best = std::numeric_limits<double>::infinity();
  std::set<double> all;
  for (const char* seed : {"3", "4", "5"}) {
    all.insert(inertia({"--seed", seed}));
    best = std::min(best, *all.begin());
  }
  EXPECT_GT(all.size(), 1u) << "starts differ";
  EXPECT_EQ(inertia({"--seed", "3", "--restarts", "3", "--threads", "2"}), best);
  const Bytes two = read_file(at("out/centroids.npy"));
  EXPECT_EQ(inertia({"--seed", "3", "--restarts", "3", "--threads", "1"}), best);
  EXPECT_TRUE(read_file(at("out/centroids.npy")) == two);
}

TEST_F(KMeansProgram, RefusesWhatHasNoAnswer) {
  write_table("table");
  expect_refused(2, {"--k N"}, at("table.npy"), {});
  expect_refused(2, {"--k 61", "60 rows"}, at("table.npy"), {"--k", "61"});
  expect_refused(2, {"--k 6", "5 rows"}, at("table.npy"), {"--k", "6", "--limit", "5"});
  expect_refused(2, {"--tolerance"}, at("table.npy"), {"--k", "2", "--tolerance", "-1"});
  expect_refused(3, {at("none.npy")}, at("none.npy"), {"--k", "2"});
  expect_refused(3, {"test split is empty"}, at("table.npy"), {"--k", "2", "--split", "test"});
  expect_refused(4, {"cuda:99"}, at("table.npy"), {"--k", "2", "--device", "cuda:99"});
  std::vector<float> values(24, 1.0f);
  const int64_t shape[] = {8, 3};
  values[7] = std::nanf("");
  write_npy(at("nan.npy"), values, shape);
  expect_refused(3, {at("nan.npy"), "element 1 of sample 2", "nan"}, at("nan.npy"), {"--k", "2"});
  values[7] = 3e38f, values[8] = -3e38f;
  write_npy(at("huge.npy"), values, shape);
  expect_refused(3, {at("huge.npy"), "range of float"}, at("huge.npy"), {"--k", "1"});
}

}  // namespace
}  // namespace hourglass
