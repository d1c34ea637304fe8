// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/columns.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  for (const ColumnsShape& s : kColumnsCases) {
    if (s.rows < 128) continue;
    const std::string shape = extents({s.rows, s.src_cols, s.dst_cols, s.count});
    const double moved = static_cast<double>(s.rows * s.count);
    const auto setup = [s](bool whole_gradient) {
      return [=](const Context& ctx) {
        return [=, x = values<float>(s.rows * s.src_cols),
                y = std::vector<float>(static_cast<size_t>(s.rows * s.dst_cols))]() mutable {
          if (whole_gradient) cpu::copy_columns<float>(ctx, s, x.data(), Grad<float>{y.data()});
          if (!whole_gradient) cpu::copy_columns<float>(ctx, s, x.data(), y.data());
        };
      };
    };
    const double written = static_cast<double>(s.rows * s.dst_cols);
    add_threads({"copy_columns", "reference", shape}, {.bytes = 8 * moved}, 1, setup(false));
    add_threads({"copy_columns_gradient", "reference", shape}, {.bytes = 4 * (moved + written)}, 1, setup(true));
  }
  return run(argc, argv);
}
