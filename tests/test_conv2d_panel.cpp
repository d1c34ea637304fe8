// SPDX-License-Identifier: Apache-2.0
// The inner loops of the float convolution, at every instruction-set level that this machine has: exact for integers,
// for every number of rows and columns.
#include "kernels/base/conv2d_tile.h"
#include "tests/harness.h"

namespace hourglass {
namespace {

using namespace test;

/// A product with scattered rows, on both sides of the sum and in the result.
struct Product {
  Product(int row_count, int depth_count, int column_count)
      : rows(row_count),
        depth(depth_count),
        columns(column_count),
        a(random_integers<float>(4 * rows + 3 * depth + 64, 1)),
        b(random_integers<float>(int64_t{depth} * columns, 2)),
        before(random_integers<float>(int64_t{rows} * columns, 3)) {
    for (int i = 0; i < rows; ++i)
      row_at.push_back(4 * (rows - 1 - i)), c_at.push_back(int64_t{rows - 1 - i} * columns);
    for (int k = 0; k < depth; ++k) depth_at.push_back(3 * (depth - 1 - k) + k % 2);
  }

  /// Offsets that rise by ones inside each group of `lanes`.
  static void group(std::vector<int32_t>& at, int lanes) {
    for (size_t i = 0; i < at.size(); ++i) at[i] = at[i - i % static_cast<size_t>(lanes)] + static_cast<int>(i) % lanes;
  }

  std::vector<float> want(bool add) const {
    std::vector<float> c = add ? before : std::vector<float>(before.size(), 0.0f);
    for (int i = 0; i < rows; ++i) {
      for (int k = 0; k < depth; ++k) {
        const float value = a[static_cast<size_t>(row_at[static_cast<size_t>(i)] + depth_at[static_cast<size_t>(k)])];
        for (int j = 0; j < columns; ++j) {
          c[static_cast<size_t>(c_at[static_cast<size_t>(i)] + j)] += value * b[static_cast<size_t>(k * columns + j)];
        }
      }
    }
    return c;
  }

  void expect(void (*form)(const cpu::ConvPanel&), const std::vector<float>& panel) const {
    for (bool add : {false, true}) {
      Guarded<float> c(before);
      form({rows, depth, columns, a.data(), row_at.data(), depth_at.data(), panel.data(), c.data(), c_at.data(), add});
      expect_close(c, want(add), exact());
    }
  }

  int rows, depth, columns;
  std::vector<float> a, b, before;
  std::vector<int32_t> row_at, depth_at;
  std::vector<int64_t> c_at;
};

TEST(Conv2dPanel, MultiplyIsExact) {
  for (const cpu::ConvLevel& level : cpu::conv_levels()) {
    const int lanes = level.lanes;
    for (int columns : {1, lanes - 1, lanes, lanes + 1, 2 * lanes, 3 * lanes - 1, 3 * lanes}) {
      for (int rows : {1, 2, 3, 5, 7, 8, 9, 12, 13, 25}) {
        SCOPED_TRACE(std::string(level.name) + " " + describe("rows x columns", {rows, columns}));
        const Product p(rows, 11, columns);
        const int width = (columns + lanes - 1) / lanes * lanes;
        std::vector<float> panel(static_cast<size_t>(p.depth * width), 0.0f);
        for (int k = 0; k < p.depth; ++k)
          std::copy_n(&p.b[static_cast<size_t>(k * columns)], columns, &panel[static_cast<size_t>(k * width)]);
        p.expect(level.multiply, panel);
      }
    }
  }
}

TEST(Conv2dPanel, DotIsExact) {
  for (const cpu::ConvLevel& level : cpu::conv_levels()) {
    for (int columns = 1; columns <= cpu::kConvNarrow; ++columns) {
      for (int rows : {1, 3, 4, 16, 21, 37}) {
        SCOPED_TRACE(std::string(level.name) + " " + describe("rows x columns", {rows, columns}));
        Product p(rows, 3 * level.lanes, columns);
        Product::group(p.depth_at, level.lanes);
        std::vector<float> panel;
        for (int j = 0; j < columns; ++j) {
          for (int k = 0; k < p.depth; ++k) panel.push_back(p.b[static_cast<size_t>(k * columns + j)]);
        }
        p.expect(level.dot, panel);
      }
    }
  }
}

TEST(Conv2dPanel, OuterIsExact) {
  for (const cpu::ConvLevel& level : cpu::conv_levels()) {
    for (int columns = 1; columns <= cpu::kConvNarrow; ++columns) {
      for (int vectors : {1, 2, 3, 8, 18}) {
        SCOPED_TRACE(std::string(level.name) + " " + describe("vectors x columns", {vectors, columns}));
        Product p(vectors * level.lanes, 13, columns);
        Product::group(p.row_at, level.lanes);
        p.expect(level.outer, p.b);
      }
    }
  }
}

}  // namespace
}  // namespace hourglass
