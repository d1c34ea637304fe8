// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/upsample2d.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

template <class F>
auto setup(const Upsample2dShape& s, F f) {
  return [=](const Context& ctx) {
    const int64_t n = int64_t{s.N} * s.H * s.W * s.C;
    return [=, x = values<float>(n, 1), y = values<float>(n * s.factor_h * s.factor_w, 2)]() mutable {
      f(ctx, s, x.data(), y.data());
    };
  };
}

}  // namespace

int main(int argc, char** argv) {
  for (const Upsample2dShape& s : kUpsample2dTimed) {
    const std::string shape = extents({s.N, s.H, s.W, s.C, s.factor_h, s.factor_w});
    const double bytes = 4.0 * s.N * s.H * s.W * s.C * (1 + s.factor_h * s.factor_w);
    add_threads({"upsample2d_forward", "reference", shape}, {.bytes = bytes}, 1,
                setup(s, [](const Context& ctx, const Upsample2dShape& u, float* x, float* y) {
                  cpu::upsample2d_forward<float>(ctx, u, x, y);
                }));
    add({"upsample2d_forward", "simd", shape}, {.bytes = bytes},
        setup(s, [](const Context& ctx, const Upsample2dShape& u, float* x, float* y) {
          cpu::upsample2d_forward(ctx, u, x, y);
        }));
    add({"upsample2d_backward", "simd", shape}, {.bytes = bytes},
        setup(s, [](const Context& ctx, const Upsample2dShape& u, float* x, float* y) {
          cpu::upsample2d_backward(ctx, u, y, Grad<float>{x});
        }));
  }
  return run(argc, argv);
}
