// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/fill.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  std::vector<FillShape> cases = test::kFillCases;
  cases.push_back({1 << 26});  // beyond every cache
  for (const FillShape& s : cases) {
    if (s.n == 0) continue;
    add_forms_bf16({"fill", extents({s.n}), nullptr}, {.elements = static_cast<double>(s.n)}, [=](auto lane) {
      using T = typename decltype(lane)::type;
      return [=, y = zeros<T>(lane, s.n)] { BENCH_OP(fill)(lane, s, Weight{1}, y.data()); };
    });
  }
  return run(argc, argv);
}
