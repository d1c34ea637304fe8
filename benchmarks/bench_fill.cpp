// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/fill.h"

using namespace hourglass;

int main(int argc, char** argv) {
  for (const FillShape& s : test::kFillCases) {
    const double bytes = 4.0 * static_cast<double>(s.n);
    bench::add({"fill", "loop", bench::extents({s.n})}, {.bytes = bytes}, [s](const Context& ctx) {
      return [s, ctx, y = std::vector<float>(static_cast<size_t>(s.n))]() mutable {
        cpu::fill(ctx, s, Weight{1}, y.data());
      };
    });
  }
  return bench::run(argc, argv);
}
