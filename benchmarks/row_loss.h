// SPDX-License-Identifier: Apache-2.0
// Benchmark cases of a loss over rows: its fused form (value and gradient) and its per-sample forward.
#pragma once

#include <vector>

#include "benchmarks/harness.h"
#include "kernels/base/row_loss.h"
#include "kernels/base/types.h"

namespace hourglass::bench {

/// The inputs and outputs of one case.
struct RowLossBuffers {
  RowLossShape s;
  std::vector<float> y, x, dy, loss;
  float value = 0;
  explicit RowLossBuffers(RowLossShape shape)
      : s(shape),
        y(values<float>(int64_t{s.N} * s.D, 1, -4, 4)),
        x(values<float>(int64_t{s.N} * s.D / s.draws, 2, 0, 1)),
        dy(y.size()),
        loss(static_cast<size_t>(s.N)) {}
};

/// `forward(ctx, buffers)` and `loss(ctx, buffers)` run a technique once.
template <class Forward, class Loss>
void add_row_loss(const std::string& op, const std::string& technique, RowLossShape s, double flops, Forward forward,
                  Loss loss) {
  const std::string shape = extents({s.N, s.D, s.draws});
  const double size = static_cast<double>(s.N) * s.D, input = 4 * size * (1 + 1.0 / s.draws);
  add({op + "_loss", technique, shape}, {.flops = flops * size, .bytes = input + 4 * size},
      [=](const Context& ctx) { return [=, b = RowLossBuffers(s)]() mutable { loss(ctx, b); }; });
  add({op + "_forward", technique, shape}, {.flops = flops * size, .bytes = input},
      [=](const Context& ctx) { return [=, b = RowLossBuffers(s)]() mutable { forward(ctx, b); }; });
}

}  // namespace hourglass::bench
