// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/columns.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  for (const ColumnsShape& s : kColumnsCases) {
    if (s.rows < 128) continue;
    const std::string shape = extents({s.rows, s.src_cols, s.dst_cols, s.count});
    const double moved = static_cast<double>(s.rows * s.count), written = static_cast<double>(s.rows * s.dst_cols);
    const auto setup = [s](bool whole_gradient) {
      return [=](auto lane) {
        using T = typename decltype(lane)::type;
        return [=, x = values<T>(lane, s.rows * s.src_cols), y = zeros<T>(lane, s.rows * s.dst_cols)] {
          const T* from = x.data();
          if (whole_gradient) BENCH_OP(copy_columns)(lane, s, from, Grad{y.data()});
          if (!whole_gradient) BENCH_OP(copy_columns)(lane, s, from, y.data());
        };
      };
    };
    add_forms_bf16({"copy_columns", shape, nullptr}, {.elements = 2 * moved}, setup(false));
    add_forms_bf16({"copy_columns_gradient", shape, nullptr}, {.elements = moved + written}, setup(true));
  }
  return run(argc, argv);
}
