// SPDX-License-Identifier: Apache-2.0
#include <set>

#include "kernels/base/normal_rows.h"
#include "kernels/base/philox.h"
#include "kernels/reparameterize.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

TEST(philox, known_answers) {  // kat_vectors of Random123, philox4x32 with 10 rounds
  const auto check = [](PhiloxWords got, std::initializer_list<uint32_t> want) {
    EXPECT_TRUE(std::equal(want.begin(), want.end(), got.w)) << std::hex << got.w[0];
  };
  check(philox(0, 0, 0, 0, 0, 0), {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
  const uint32_t ones = 0xffffffffu;
  check(philox(ones, ones, ones, ones, ones, ones), {0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu});
  check(philox(0xa4093822u, 0x299f31d0u, 0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u),
        {0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u});
}

TEST(philox, uniforms_are_inside_the_open_interval_and_equal_in_both_types) {
  for (uint32_t word : {0u, 1u, 511u, 512u, 0x7fffffffu, 0x80000000u, 0xfffffe00u, 0xffffffffu}) {
    const float u = uniform_of_word<float>(word);
    EXPECT_GT(u, 0) << word;
    EXPECT_LT(u, 1) << word;
    EXPECT_EQ(static_cast<double>(u), uniform_of_word<double>(word));
  }
  EXPECT_EQ(uniform_of_word<double>(0x80000000u), 0.5 + 0x1p-24);
}

TEST(philox, normals_agree_in_both_types) {
  Random random(5);
  for (int i = 0; i < 100000; ++i) {
    const PhiloxWords words{{static_cast<uint32_t>(random.bits()), static_cast<uint32_t>(random.bits()),
                             i % 3 ? static_cast<uint32_t>(random.bits()) : 0xffffffffu - static_cast<uint32_t>(i),
                             static_cast<uint32_t>(random.bits())}};
    float single[4];
    double both[4];
    normal4(words, single);
    normal4(words, both);
    for (int j = 0; j < 4; ++j) ASSERT_NEAR(single[j], both[j], 4e-7 * std::max(1.0, std::abs(both[j])));
  }
}

TEST(philox, element_follows_its_address) {
  const int64_t step = 41;
  Noise noise;
  noise.seed = 9;
  noise.stream = stream_id("test/address");
  noise.step = &step;
  noise.first_row = 100;
  const PhiloxWords words = philox(9, noise.stream, 3, 0, 105, 41);
  double normals[4];
  normal4(words, normals);
  for (int j = 0; j < 4; ++j) {
    EXPECT_EQ(normal<double>(noise, 5, 12 + j), normals[j]);
    EXPECT_EQ(uniform<double>(noise, 5, 12 + j), uniform_of_word<double>(words.w[j]));
  }
}

TEST(philox, a_row_does_not_depend_on_where_it_stands) {
  const std::vector<int32_t> rows{17, 3, 3, 250};
  Noise listed, plain;
  listed.rows = rows.data();
  EXPECT_EQ(normal<double>(listed, 1, 7), normal<double>(listed, 2, 7));
  plain.first_row = 250;
  EXPECT_EQ(normal<double>(listed, 3, 7), normal<double>(plain, 0, 7));

  Noise draws;  // 4 draws a sample: row 6 is draw 2 of sample 1, whichever chunk it is drawn in
  draws.draws = 4;
  const int32_t two = 2;
  Noise chunk;
  chunk.draws = 2;
  chunk.first_draw = &two;
  EXPECT_EQ(normal<double>(draws, 6, 7), normal<double>(chunk, 2, 7));
}

TEST(philox, every_part_of_the_address_counts) {
  const int64_t steps[] = {0, 1};
  const int32_t draw = 1;
  std::set<double> seen;
  Noise base;
  base.step = &steps[0];
  Noise seed = base, stream = base, step = base, row = base, first_draw = base;
  seed.seed = 1;
  stream.stream = 1;
  step.step = &steps[1];
  row.first_row = 1;
  first_draw.first_draw = &draw;
  for (const Noise& noise : {base, seed, stream, step, row, first_draw}) {
    for (int d = 0; d < 8; ++d) seen.insert(normal<double>(noise, 0, d));
  }
  EXPECT_EQ(seen.size(), 48u);
}

TEST(philox, every_instruction_set_level_draws_the_same_normals) {
  const int64_t step = 77;
  const int32_t first_draw = 5;
  std::vector<int32_t> listed(64);
  for (int n = 0; n < 64; ++n) listed[static_cast<size_t>(n)] = 1000 - 7 * n;
  Noise plain, draws;
  plain.seed = draws.seed = 0xFFFFFFF0u;
  plain.first_row = 11;
  draws.step = &step;
  draws.draws = 3;
  draws.rows = listed.data();
  draws.first_draw = &first_draw;
  struct Rectangle {
    int64_t first_row;
    int rows;
    int64_t first_block;
    int blocks;
  };
  for (const NormalLevel& level : normal_levels()) {
    for (const Noise& noise : {plain, draws}) {
      for (const auto& [first_row, rows, first_block, blocks] : {Rectangle{0, 1, 0, 1},
                                                                 {3, 1, 7, 128},
                                                                 {1, 1, 2, 45},
                                                                 {2, 4, 0, 32},
                                                                 {0, 128, 0, 1},
                                                                 {4, 25, 1, 5},
                                                                 {5, 6, 9, 19},
                                                                 {1, 2, 3, 60}}) {
        float eps[kMostNormals];
        level.normal_rows(noise, first_row, rows, first_block, blocks, eps);
        for (int i = 0; i < 4 * rows * blocks; ++i) {
          const double want = normal<double>(noise, first_row + i / (4 * blocks), 4 * first_block + i % (4 * blocks));
          ASSERT_NEAR(eps[i], want, 4e-7 * std::max(1.0, std::abs(want)))
              << level.name << ": element " << i << " of " << rows << " x " << blocks << " blocks";
        }
      }
    }
  }
}

TEST(philox, stream_names_hash_as_fnv1a) {
  EXPECT_EQ(stream_id(""), 0x811c9dc5u);
  EXPECT_EQ(stream_id("a"), 0xe40c292cu);
  EXPECT_EQ(stream_id("foobar"), 0xbf9cf968u);
}

/// Largest distance between the empirical distribution of `x` and `cdf`, times sqrt(n): above 1.95 with probability
/// 0.001 (Kolmogorov).
template <class F>
double kolmogorov(std::vector<double> x, F cdf) {
  std::sort(x.begin(), x.end());
  const auto n = static_cast<double>(x.size());
  double largest = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double p = cdf(x[i]), at = static_cast<double>(i);
    largest = std::max({largest, p - at / n, (at + 1) / n - p});
  }
  return largest * std::sqrt(n);
}

constexpr int kRows = 1000, kColumns = 1000;

/// Correlation of two equally long sequences of unit variance, in standard deviations of its estimate.
double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum / std::sqrt(static_cast<double>(a.size()));
}

std::vector<double> million_normals(Noise noise) {
  std::vector<float> x(size_t{kRows} * kColumns);
  cpu::normal_fill(test_context(2), {kRows, kColumns}, noise, x.data());
  return converted<double>(x);
}

TEST(philox, a_million_normals_are_normal) {
  const std::vector<double> x = million_normals({});
  double moments[5] = {};
  double largest = 0;
  for (double v : x) {
    double power = 1;
    for (double& moment : moments) moment += power, power *= v;
    largest = std::max(largest, std::abs(v));
  }
  const double n = moments[0];
  EXPECT_NEAR(moments[1] / n, 0, 4 * std::sqrt(1 / n));
  EXPECT_NEAR(moments[2] / n, 1, 4 * std::sqrt(2 / n));
  EXPECT_NEAR(moments[3] / n, 0, 4 * std::sqrt(15 / n));
  EXPECT_NEAR(moments[4] / n, 3, 4 * std::sqrt(96 / n));
  EXPECT_GT(largest, 4.3);
  EXPECT_LT(largest, 5.78);
  EXPECT_LT(kolmogorov(x, [](double v) { return 0.5 * std::erfc(-v / std::sqrt(2.0)); }), 1.95);
}

TEST(philox, a_million_uniforms_are_uniform) {
  const Noise noise;
  std::vector<double> x;
  for (int r = 0; r < kRows; ++r) {
    for (int d = 0; d < kColumns; ++d) x.push_back(uniform<double>(noise, r, d));
  }
  double sum = 0, squares = 0;
  for (double v : x) sum += v, squares += v * v;
  const auto n = static_cast<double>(x.size());
  EXPECT_NEAR(sum / n, 0.5, 4 * std::sqrt(1 / (12 * n)));
  EXPECT_NEAR(squares / n, 1.0 / 3, 4 * std::sqrt(4 / (45 * n)));
  EXPECT_LT(kolmogorov(x, [](double v) { return v; }), 1.95);
}

TEST(philox, neighbouring_addresses_are_independent) {
  const int64_t step = 1;
  const int32_t draw = 1;
  Noise base;
  const std::vector<double> x = million_normals(base);
  Noise seed = base, stream = base, stepped = base, row = base, drawn = base;
  seed.seed = 1;
  stream.stream = 1;
  stepped.step = &step;
  row.first_row = 1;
  drawn.first_draw = &draw;
  for (const Noise& noise : {seed, stream, stepped, row, drawn}) {
    EXPECT_LT(std::abs(correlation(x, million_normals(noise))), 4);
  }
  for (size_t lag : {1, 2, 3, 4, 1000}) {  // neighbours of a row, of its blocks, and of rows
    const std::vector<double> from(x.begin(), x.end() - static_cast<std::ptrdiff_t>(lag));
    EXPECT_LT(std::abs(correlation(from, {x.begin() + static_cast<std::ptrdiff_t>(lag), x.end()})), 4) << lag;
  }
}

}  // namespace
}  // namespace hourglass::test
