// SPDX-License-Identifier: Apache-2.0
#include "kernels/columns.h"
#include "tests/cases/columns.h"
#include "tests/harness.h"

namespace hourglass {
namespace {

using namespace test;

std::string name_of(const ColumnsShape& s) {
  return describe("columns", {s.rows, s.src_cols, s.dst_cols, s.src_first, s.dst_first, s.count});
}

/// The copy with source and destination exchanged: its gradient.
ColumnsShape reversed(const ColumnsShape& s) {
  return {s.rows, s.dst_cols, s.src_cols, s.dst_first, s.src_first, s.count};
}

TEST(Columns, SlicesAndConcatenates) {
  const std::vector<double> x = {1, 2, 3, 4, 5, 6};  // (2, 3)
  Guarded<double> slice(4), joined(10);
  cpu::copy_columns<double>({}, {2, 3, 2, 1, 0, 2}, x.data(), slice.data());
  EXPECT_EQ(slice.values(), (std::vector<double>{2, 3, 5, 6}));
  cpu::copy_columns<double>({}, {2, 3, 5, 0, 0, 3}, x.data(), joined.data());
  cpu::copy_columns<double>({}, {2, 2, 5, 0, 3, 2}, slice.data(), joined.data());
  EXPECT_EQ(joined.values(), (std::vector<double>{1, 2, 3, 2, 3, 4, 5, 6, 5, 6}));
}

TEST(Columns, PlainFormLeavesOtherColumnsAlone) {
  for (const ColumnsShape& s : kColumnsCases) {
    SCOPED_TRACE(name_of(s));
    const auto x = random_values<float>(s.rows * s.src_cols, 1), before = random_values<float>(s.rows * s.dst_cols, 2);
    Guarded<float> y(before);
    cpu::copy_columns<float>({}, s, x.data(), y.data());
    for (int64_t r = 0; r < s.rows; ++r) {
      for (int64_t c = 0; c < s.dst_cols; ++c) {
        const int64_t j = c - s.dst_first;
        const bool inside = j >= 0 && j < s.count;
        const auto want = inside ? x[static_cast<size_t>(r * s.src_cols + s.src_first + j)]
                                 : before[static_cast<size_t>(r * s.dst_cols + c)];
        ASSERT_EQ(y[r * s.dst_cols + c], want) << "row " << r << " column " << c;
      }
    }
  }
}

TEST(Columns, GradFormSetsZerosAddsAndSkips) {
  for (const ColumnsShape& s : kColumnsCases) {
    SCOPED_TRACE(name_of(s));
    const auto x = random_values<float>(s.rows * s.src_cols, 1);
    const auto got = expect_set_and_add<float>(s.rows * s.dst_cols,
                                               [&](Grad<float> y) { cpu::copy_columns<float>({}, s, x.data(), y); });
    Guarded<float> want(std::vector<float>(static_cast<size_t>(s.rows * s.dst_cols)));
    cpu::copy_columns<float>({}, s, x.data(), want.data());
    expect_same_bits(got, want);
  }
}

TEST(Columns, PassesTheGradientCheck) {
  const ColumnsShape s{5, 7, 9, 2, 3, 4};
  const auto x = random_values<double>(s.rows * s.src_cols, 1), dy = random_values<double>(s.rows * s.dst_cols, 2);
  Guarded<double> dx(s.rows * s.src_cols);
  cpu::copy_columns<double>({}, reversed(s), dy.data(), Grad<double>{dx.data()});
  gradcheck(
      [&](const auto& at) {
        std::vector<double> y(static_cast<size_t>(s.rows * s.dst_cols));
        cpu::copy_columns<double>({}, s, at.data(), y.data());
        return weighted_sum(y, dy);
      },
      x, dx);
}

TEST(Columns, SameBitsOnAnyNumberOfThreads) {
  const ColumnsShape s{4096, 512, 256, 256, 0, 256};
  const auto x = random_values<float>(s.rows * s.src_cols, 1);
  expect_same_bits_for_threads([&](const Context& ctx) {
    Guarded<float> y(s.rows * s.dst_cols);
    cpu::copy_columns<float>(ctx, s, x.data(), Grad<float>{y.data()});
    return y.values();
  });
}

TEST(Columns, RefusesBlocksOutside) {
  const auto copy = [](ColumnsShape s) { cpu::copy_columns<double>({}, s, nullptr, Grad<double>{}); };
  expect_error([&] { copy({2, 4, 4, 3, 0, 2}); }, Exit::kUsage, {"copy_columns", "[3, 5)", "source", "4"});
  expect_error([&] { copy({2, 4, 4, 0, 3, 2}); }, Exit::kUsage, {"copy_columns", "[3, 5)", "destination", "4"});
  expect_error([&] { copy({2, 4, 4, -1, 0, 2}); }, Exit::kUsage, {"copy_columns", "[-1, 1)"});
  expect_error([&] { copy({-2, 4, 4, 0, 0, 2}); }, Exit::kUsage, {"rows >= 0", "-2"});
  expect_error(
      [&] {
        cpu::copy_columns<float>({}, {2, 4, 4, 3, 0, 2}, nullptr, static_cast<float*>(nullptr));
      },
      Exit::kUsage, {"source"});
}

}  // namespace
}  // namespace hourglass
