// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/elementwise.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

/// `f(lane, a, b, dy, y, z)` runs one op on three inputs and two outputs of n elements.
template <class F>
auto setup(int64_t n, F f) {
  return [=](auto lane) {
    using T = typename decltype(lane)::type;
    return [=, a = values<T>(lane, n, 1), b = values<T>(lane, n, 2), dy = values<T>(lane, n, 3), y = zeros<T>(lane, n),
            z = zeros<T>(lane, n)] { f(lane, a.data(), b.data(), dy.data(), y.data(), z.data()); };
  };
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<ElementwiseShape> cases = kElementwiseCases;
  cases.push_back({1 << 24});  // beyond every cache
  for (const ElementwiseShape& s : cases) {
    if (s.n < 16384) continue;
    const double n = static_cast<double>(s.n);
    const std::string shape = std::to_string(s.n);
    add_forms_bf16({"add_forward", shape}, {.elements = 3 * n},
                   setup(s.n, [s](auto lane, auto a, auto b, auto, auto y, auto) {
                     BENCH_OP(add_forward)
                     (lane, s, a, b, y);
                   }));
    add_forms_bf16({"mul_backward", shape}, {.elements = 5 * n},
                   setup(s.n, [s](auto lane, auto a, auto b, auto dy, auto y, auto z) {
                     BENCH_OP(mul_backward)(lane, s, a, b, dy, Grad{y}, Grad{z});
                   }));
    add_forms_bf16({"scale_forward", shape}, {.elements = 2 * n},
                   setup(s.n, [s](auto lane, auto a, auto, auto, auto y, auto) {
                     BENCH_OP(scale_forward)
                     (lane, s, a, 0.5, y);
                   }));
  }
  return run(argc, argv);
}
