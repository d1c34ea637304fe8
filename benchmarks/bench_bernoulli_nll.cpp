// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/row_loss.h"
#include "kernels/bernoulli_nll.h"
#include "tests/cases/bernoulli_nll.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  constexpr double kFlops = 50;  // a pixel's value and gradient
  for (const RowLossShape& s : test::kBernoulliNllCases) {
    if (int64_t{s.N} * s.D < 10000) continue;
    add_row_loss(
        "bernoulli_nll", "reference", s, kFlops,
        [](const Context& ctx, RowLossBuffers& b) {
          cpu::bernoulli_nll_forward<float>(ctx, b.s, b.y.data(), b.x.data(), b.loss.data());
        },
        [](const Context& ctx, RowLossBuffers& b) {
          cpu::bernoulli_nll_loss<float>(ctx, b.s, b.y.data(), b.x.data(), {}, {&b.value}, {b.dy.data()});
        });
    add_row_loss(
        "bernoulli_nll", "simd", s, kFlops,
        [](const Context& ctx, RowLossBuffers& b) {
          cpu::bernoulli_nll_forward(ctx, b.s, b.y.data(), b.x.data(), b.loss.data());
        },
        [](const Context& ctx, RowLossBuffers& b) {
          cpu::bernoulli_nll_loss(ctx, b.s, b.y.data(), b.x.data(), {}, {&b.value}, {b.dy.data()});
        });
  }
  return run(argc, argv);
}
