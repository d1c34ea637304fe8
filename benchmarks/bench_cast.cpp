// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/cast.h"

using namespace hourglass;
using namespace hourglass::bench;

// To the type of the lane, from float: 6 bytes an element to bf16.
int main(int argc, char** argv) {
  std::vector<CastShape> cases = test::kCastCases;
  cases.push_back({1 << 26});  // beyond every cache
  for (const CastShape& s : cases) {
    if (s.n == 0) continue;
    const double n = static_cast<double>(s.n);
    add_forms_bf16({"cast", extents({s.n}), nullptr}, {.bytes = 4 * n, .elements = n}, [=](auto lane) {
      using T = typename decltype(lane)::type;
      return [=, x = values<float>(lane, s.n), y = zeros<T>(lane, s.n)] { cast(lane, s, x.data(), Grad<T>{y.data()}); };
    });
  }
  return run(argc, argv);
}
