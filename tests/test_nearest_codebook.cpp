// SPDX-License-Identifier: Apache-2.0
#include "kernels/base/codebook_bound.h"
#include "kernels/base/codebook_search.h"
#include "kernels/nearest_codebook.h"
#include "tests/cases/nearest_codebook.h"
#include "tests/codebook_checks.h"

namespace hourglass::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

struct Found {
  std::vector<int32_t> index;
  std::vector<float> distance;
  Fault fault;
};

template <class Search>
Found find(Search search, const NearestCodebookShape& s, const CodebookData& data, const Context& ctx = {},
           Fault before = {}) {
  Guarded<int32_t> index(s.N);
  Guarded<float> distance(s.N);
  Guarded<char> scratch(static_cast<int64_t>(cpu::nearest_codebook_scratch_bytes(ctx, s)));
  const int64_t step = 41;
  search(ctx, s, data.x.data(), data.codebook.data(), scratch.data(), index.data(), distance.data(),
         FaultReport{&before, &step});
  return {index.values(), distance.values(), before};
}

/// Every technique of this machine: the reference and the levels of the timed form.
std::vector<cpu::CodebookSearchLevel> techniques() {
  auto all = cpu::codebook_search_levels();
  all.push_back({"reference", cpu::nearest_codebook<float>});
  return all;
}

TEST(NearestCodebook, IsTheDefinition) {
  const NearestCodebookShape s{3, 2, 3};
  const std::vector<double> x = {0, 0, 2, 1, -1, 5}, codes = {1, 1, -1, -1, 2, 3};
  std::vector<int32_t> index(3);
  std::vector<double> distance(3);
  cpu::nearest_codebook<double>({}, s, x.data(), codes.data(), nullptr, index.data(), distance.data(), {});
  EXPECT_EQ(index, (std::vector<int32_t>{0, 0, 2}));  // row 0 lies between codes 0 and 1
  EXPECT_EQ(distance, (std::vector<double>{2, 1, 13}));
}

TEST(NearestCodebook, EveryTechniqueIsExactOnEveryKindOfData) {
  for (const NearestCodebookShape& s : kNearestCodebookCases) {
    if (s.K > 1000 && s.N > 40) continue;
    for (const CodebookData& data : codebook_data(s)) {
      const auto smallest = smallest_distances(s, data);
      for (const auto& technique : techniques()) {
        SCOPED_TRACE(describe(technique.name, {s.N, s.D, s.K}) + " " + data.name);
        const Found got = find(technique.search, s, data);
        EXPECT_EQ(got.fault.code, 0);
        expect_nearest(s, data, smallest, got.index, got.distance);
      }
    }
  }
}

TEST(NearestCodebook, ScoresStayWithinTheirBound) {
  // The bound is what exactness stands on: float scores in the worst order we use, against double.
  Random random(5);
  for (const int D : {1, 2, 8, 64, 1000}) {
    const auto x = random_values<float>(D, 1, -1, 1), c = random_values<float>(D, 2, -1, 1);
    double xx = 0, cc = 0, exact = 0;
    for (int d = 0; d < D; ++d) xx += double{x[d]} * x[d], cc += double{c[d]} * c[d], exact += double{x[d]} * c[d];
    float score = static_cast<float>(cc / 2);
    for (int d = 0; d < D; ++d) score -= x[d] * c[d];
    const ScoreBound bound = score_bound(D, std::sqrt(xx), std::sqrt(cc));
    EXPECT_TRUE(bound.usable);
    EXPECT_LE(std::abs(cc / 2 - exact - score), bound.error);
    EXPECT_LE(bound.error, (D + 8) * 6e-8 * (cc / 2 + std::sqrt(xx * cc)));
  }
  EXPECT_FALSE(score_bound(3, 1e20, 1e20).usable);
  EXPECT_FALSE(score_bound(3, std::numeric_limits<double>::infinity(), 1.0).usable);
}

TEST(NearestCodebook, HasTheSameBitsOnAnyNumberOfThreads) {
  const NearestCodebookShape s{500, 20, 300};
  for (const CodebookData& data : codebook_data(s)) {
    expect_same_bits_for_threads([&](const Context& ctx) {
      const auto search = cpu::codebook_search_levels().front().search;
      const Found found = find(search, s, data, ctx);
      std::vector<float> result = found.distance;
      result.insert(result.end(), found.index.begin(), found.index.end());
      return result;
    });
  }
}

TEST(NearestCodebook, MemoryIsACopyOfTheCodebook) {
  for (const int D : {1, 8, 64, 700}) {
    for (const int K : {1, 1000, 65536}) {
      const auto bytes = [&](int N) { return cpu::nearest_codebook_scratch_bytes({}, {N, D, K}); };
      EXPECT_EQ(bytes(1), bytes(1 << 24));
      EXPECT_LE(bytes(1), sizeof(float) * ((K + 47.0) * std::max(2 * D + 1, 5) + D + 128));
    }
  }
}

TEST(NearestCodebook, ARowThatIsNotFiniteHasNoCode) {
  const NearestCodebookShape s{70, 5, 60};
  for (const float bad : {std::nanf(""), kInf, -kInf}) {
    for (const auto& technique : techniques()) {
      SCOPED_TRACE(technique.name);
      CodebookData data{"", random_values<float>(350, 1), random_values<float>(300, 2)};
      data.x[40 * 5 + 4] = data.x[69 * 5] = bad;
      const Found got = find(technique.search, s, data);
      EXPECT_EQ(got.fault.code, static_cast<int>(Exit::kNotFinite));
      EXPECT_EQ(got.fault.op, kFaultPosition);
      EXPECT_EQ(got.fault.step, 41);
      EXPECT_EQ(got.fault.index, 40);
      for (int n = 0; n < s.N; ++n) {
        EXPECT_EQ(got.index[n] < 0, n == 40 || n == 69);
        EXPECT_EQ(std::isnan(got.distance[n]), n == 40 || n == 69);
      }
      const Found kept = find(technique.search, s, data, {}, {1, 7, 3, 5});
      EXPECT_EQ(kept.fault.op, 7);
    }
  }
}

TEST(NearestCodebook, ACodeThatIsNotFiniteIsNeverChosen) {
  const NearestCodebookShape s{70, 3, 100};
  for (const auto& technique : techniques()) {
    SCOPED_TRACE(technique.name);
    CodebookData data{"", random_values<float>(210, 1), random_values<float>(300, 2)};
    data.codebook[57 * 3 + 1] = std::nanf("");
    data.codebook[99 * 3] = -kInf;
    data.x[5] = kInf;  // the code is named first
    const Found got = find(technique.search, s, data);
    EXPECT_EQ(got.fault.code, static_cast<int>(Exit::kNotFinite));
    EXPECT_EQ(got.fault.op, kFaultCode);
    EXPECT_EQ(got.fault.index, 57);
    data.x[5] = 0;
    CodebookData finite = data;
    for (const int k : {57, 99}) std::fill_n(finite.codebook.begin() + 3 * k, 3, 1e20f);
    EXPECT_EQ(find(technique.search, s, data).index, find(technique.search, s, finite).index);
    std::fill(data.codebook.begin(), data.codebook.end(), kInf);
    const Found none = find(technique.search, s, data);
    EXPECT_EQ(none.index, std::vector<int32_t>(70, -1));
    EXPECT_EQ(none.fault.op, kFaultCode);
    EXPECT_EQ(none.fault.index, 0);
  }
}

TEST(NearestCodebook, RefusesRowsWithoutCodes) {
  for (const auto& technique : techniques()) {
    for (const NearestCodebookShape& s : {NearestCodebookShape{3, 2, 0}, {-1, 2, 3}, {1, -2, 3}, {0, 2, -3}}) {
      expect_error([&] { technique.search({}, s, nullptr, nullptr, nullptr, nullptr, nullptr, {}); }, Exit::kUsage,
                   {"nearest_codebook", "K >= 1", std::to_string(s.K).c_str()});
    }
  }
}

TEST(NearestCodebook, DistancesAreOptional) {
  const NearestCodebookShape s{9, 17, 33};
  const CodebookData data = codebook_data(s)[0];
  for (const auto& technique : techniques()) {
    std::vector<char> scratch(cpu::nearest_codebook_scratch_bytes({}, s));
    Guarded<int32_t> index(s.N);
    technique.search({}, s, data.x.data(), data.codebook.data(), scratch.data(), index.data(), nullptr, {});
    EXPECT_EQ(index.values(), find(technique.search, s, data).index);
  }
}

}  // namespace
}  // namespace hourglass::test
