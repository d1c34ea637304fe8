// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/elementwise.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

template <class F>
auto setup(int64_t n, F f) {
  return [=](const Context& ctx) {
    return
        [=, a = values<float>(n, 1), b = values<float>(n, 2), y = std::vector<float>(static_cast<size_t>(n)),
         z = std::vector<float>(static_cast<size_t>(n))]() mutable { f(ctx, a.data(), b.data(), y.data(), z.data()); };
  };
}

}  // namespace

int main(int argc, char** argv) {
  for (const ElementwiseShape& s : kElementwiseCases) {
    if (s.n < 16384) continue;
    const double n = static_cast<double>(s.n);
    const std::string shape = std::to_string(s.n);
    add_threads({"add_forward", "reference", shape}, {.bytes = 12 * n}, 1,
                setup(s.n, [s](const Context& ctx, const float* a, const float* b, float* y, float*) {
                  cpu::add_forward<float>(ctx, s, a, b, y);
                }));
    add({"add_forward", "simd", shape}, {.bytes = 12 * n},
        setup(s.n, [s](const Context& ctx, const float* a, const float* b, float* y, float*) {
          cpu::add_forward(ctx, s, a, b, y);
        }));
    add({"mul_backward", "simd", shape}, {.bytes = 24 * n},
        setup(s.n, [s](const Context& ctx, const float* a, const float* b, float* y, float* z) {
          cpu::mul_backward(ctx, s, a, b, a, Grad<float>{y}, Grad<float>{z});
        }));
    add({"scale_forward", "simd", shape}, {.bytes = 8 * n},
        setup(s.n, [s](const Context& ctx, const float* a, const float*, float* y, float*) {
          cpu::scale_forward(ctx, s, a, 0.5, y);
        }));
  }
  return run(argc, argv);
}
