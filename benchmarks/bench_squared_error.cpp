// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/row_loss.h"
#include "kernels/squared_error.h"
#include "tests/cases/squared_error.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  constexpr double kFlops = 5;  // a pixel's value and gradient
  for (const RowLossShape& s : test::kSquaredErrorCases) {
    if (int64_t{s.N} * s.D < 10000) continue;
    add_row_loss(
        "squared_error", "reference", s, kFlops,
        [](const Context& ctx, RowLossBuffers& b) {
          cpu::squared_error_forward<float>(ctx, b.s, b.y.data(), b.x.data(), b.loss.data());
        },
        [](const Context& ctx, RowLossBuffers& b) {
          cpu::squared_error_loss<float>(ctx, b.s, b.y.data(), b.x.data(), {}, {&b.value}, {b.dy.data()});
        });
    add_row_loss(
        "squared_error", "simd", s, kFlops,
        [](const Context& ctx, RowLossBuffers& b) {
          cpu::squared_error_forward(ctx, b.s, b.y.data(), b.x.data(), b.loss.data());
        },
        [](const Context& ctx, RowLossBuffers& b) {
          cpu::squared_error_loss(ctx, b.s, b.y.data(), b.x.data(), {}, {&b.value}, {b.dy.data()});
        });
  }
  return run(argc, argv);
}
