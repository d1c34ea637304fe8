// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "kernels/base/gemm_tile.h"
#include "kernels/gemm.h"
#include "tests/cases/gemm.h"
#include "tests/harness.h"

namespace hourglass {
namespace {

using namespace test;

std::string name_of(const GemmShape& s) {
  return describe("gemm", {s.M, s.N, s.K}) + (s.transpose_a ? " a^T" : "") + (s.transpose_b ? " b^T" : "");
}
int64_t a_size(const GemmShape& s) { return int64_t{s.M} * s.K; }
int64_t b_size(const GemmShape& s) { return int64_t{s.K} * s.N; }
int64_t c_size(const GemmShape& s) { return int64_t{s.M} * s.N; }

template <class T>
std::vector<T> product(const GemmShape& s, const std::vector<T>& a, const std::vector<T>& b) {
  Guarded<T> c(c_size(s));
  cpu::gemm<T>({}, s, a.data(), b.data(), Grad<T>{c.data()});
  return c.values();
}

/// A whole product as one tile.
std::vector<float> as_one_tile(void (*multiply)(const cpu::GemmTile&), const GemmShape& s, const std::vector<float>& a,
                               const std::vector<float>& b) {
  Guarded<float> c(c_size(s));
  cpu::GemmTiles whole(s, std::max(1, s.N));
  whole.rows = s.M, whole.down = 1;
  if (c.size() > 0) multiply(tile_of(s, whole, 0, a.data(), b.data(), Grad<float>{c.data()}));
  return c.values();
}

TEST(Gemm, ReferenceIsTheDefinition) {
  // c = [1 2 3; 4 5 6] [1 0; 0 1; 1 1], in all four layouts of the same product.
  const std::vector<double> a = {1, 2, 3, 4, 5, 6}, at = {1, 4, 2, 5, 3, 6};
  const std::vector<double> b = {1, 0, 0, 1, 1, 1}, bt = {1, 0, 1, 0, 1, 1}, want = {4, 5, 10, 11};
  EXPECT_EQ(product<double>({2, 2, 3, false, false}, a, b), want);
  EXPECT_EQ(product<double>({2, 2, 3, true, false}, at, b), want);
  EXPECT_EQ(product<double>({2, 2, 3, false, true}, a, bt), want);
  EXPECT_EQ(product<double>({2, 2, 3, true, true}, at, bt), want);
}

TEST(Gemm, GradientsOfTheProductAreProducts) {
  const GemmShape s{4, 5, 6, false, false};
  const auto a = random_values<double>(a_size(s), 1), b = random_values<double>(b_size(s), 2);
  const auto seeds = random_values<double>(c_size(s), 3);
  const auto da = product<double>({4, 6, 5, false, true}, seeds, b),
             db = product<double>({6, 5, 4, true, false}, a, seeds);
  gradcheck([&](const auto& x) { return weighted_sum(product<double>(s, x, b), seeds); }, a, da, "da");
  gradcheck([&](const auto& x) { return weighted_sum(product<double>(s, a, x), seeds); }, b, db, "db");
}

TEST(Gemm, FloatMatchesDouble) {
  for (const GemmShape& s : kGemmCases) {
    SCOPED_TRACE(name_of(s));
    const auto a = random_values<float>(a_size(s), 1), b = random_values<float>(b_size(s), 2);
    const auto want = product<double>(s, converted<double>(a), converted<double>(b));
    expect_close(product<float>(s, a, b), want, fp32_tolerance(s.K), "reference");
    expect_close(as_one_tile(cpu::multiply_blocked, s, a, b), want, fp32_tolerance(s.K), "own blocked loops");
    for (const cpu::GemmLevel& level : cpu::gemm_levels()) {
      if (s.K > 0) expect_close(as_one_tile(level.multiply, s, a, b), want, fp32_tolerance(s.K), level.name);
    }
    Guarded<float> c(c_size(s));
    cpu::gemm(test_context(2), s, a.data(), b.data(), Grad<float>{c.data()});
    expect_close(c, want, fp32_tolerance(s.K), cpu::gemm_library());
  }
}

TEST(Gemm, IntegersAreExact) {
  for (const GemmShape& s : kGemmCases) {
    SCOPED_TRACE(name_of(s));
    const auto a = random_integers<float>(a_size(s), 1), b = random_integers<float>(b_size(s), 2);
    const auto want = product<float>(s, a, b);
    expect_close(as_one_tile(cpu::multiply_blocked, s, a, b), want, exact(), "own blocked loops");
    for (const cpu::GemmLevel& level : cpu::gemm_levels()) {
      if (s.K > 0) expect_close(as_one_tile(level.multiply, s, a, b), want, exact(), level.name);
    }
    Guarded<float> c(c_size(s));
    cpu::gemm(test_context(2), s, a.data(), b.data(), Grad<float>{c.data()});
    expect_close(c, want, exact(), cpu::gemm_library());
  }
}

TEST(Gemm, SetsAddsAndSkips) {
  for (const GemmShape& s : kGemmCases) {
    SCOPED_TRACE(name_of(s));
    const auto a = random_values<float>(a_size(s), 1), b = random_values<float>(b_size(s), 2);
    expect_set_and_add<float>(
        c_size(s), [&](Grad<float> c) { cpu::gemm(test_context(2), s, a.data(), b.data(), c); }, fp32_tolerance(s.K));
    expect_set_and_add<float>(
        c_size(s), [&](Grad<float> c) { cpu::gemm<float>({}, s, a.data(), b.data(), c); }, fp32_tolerance(s.K));
  }
}

TEST(Gemm, SameBitsOnAnyNumberOfThreads) {
  auto shapes = kGemmCases;
  shapes.insert(shapes.end(), kLargeGemmCases.begin(), kLargeGemmCases.end());
  for (const GemmShape& s : shapes) {
    SCOPED_TRACE(name_of(s));
    const auto a = random_values<float>(a_size(s), 1), b = random_values<float>(b_size(s), 2);
    expect_same_bits_for_threads([&](const Context& ctx) {
      Guarded<float> c(c_size(s));
      cpu::gemm(ctx, s, a.data(), b.data(), Grad<float>{c.data()});
      return c.values();
    });
  }
}

TEST(Gemm, NotANumberPropagates) {
  // A zero in a must not hide a NaN of b, in any tile.
  const GemmShape s{9, 50, 20, false, true};
  const std::vector<float> a(static_cast<size_t>(a_size(s)), 0.0f);
  std::vector<float> b(static_cast<size_t>(b_size(s)), 1.0f);
  b[static_cast<size_t>(49 * s.K + 19)] = std::numeric_limits<float>::quiet_NaN();
  Guarded<float> c(c_size(s));
  cpu::gemm({}, s, a.data(), b.data(), Grad<float>{c.data()});
  for (int m = 0; m < s.M; ++m) {
    EXPECT_TRUE(std::isnan(c[m * s.N + 49])) << m;
    EXPECT_EQ(c[m * s.N + 48], 0) << m;
  }
}

TEST(Gemm, TilesCoverTheResultOnce) {
  for (const GemmShape& s : {GemmShape{1, 1, 1}, {128, 40, 400}, {4096, 400, 784}, {40, 784, 7}, {100000, 2, 1}}) {
    for (int width : {48, 192}) {
      SCOPED_TRACE(name_of(s));
      const cpu::GemmTiles tiles(s, width);
      std::vector<int> covered(static_cast<size_t>(c_size(s)));
      std::vector<float> c(covered.size());
      for (int64_t i = 0; i < tiles.count(); ++i) {
        const cpu::GemmTile t = tile_of(s, tiles, i, nullptr, nullptr, Grad<float>{c.data()});
        for (int m = 0; m < t.M; ++m) {
          for (int n = 0; n < t.N; ++n) ++covered[static_cast<size_t>(t.c - c.data() + m * t.ldc + n)];
        }
      }
      EXPECT_EQ(std::count(covered.begin(), covered.end(), 1), c_size(s));
    }
  }
}

TEST(Gemm, RefusesNegativeExtents) {
  expect_error([] { cpu::gemm<double>({}, {2, -3, 4}, nullptr, nullptr, {}); }, Exit::kUsage, {"gemm", "N = -3"});
  expect_error([] { cpu::gemm({}, {2, 3, -4}, nullptr, nullptr, Grad<float>{}); }, Exit::kUsage, {"gemm", "K = -4"});
}

TEST(Gemm, NamesItsLibrary) {
  const std::string library = cpu::gemm_library();
  EXPECT_TRUE(library == "own blocked loops" || library.rfind("oneDNN ", 0) == 0) << library;
}

}  // namespace
}  // namespace hourglass
