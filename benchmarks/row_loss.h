// SPDX-License-Identifier: Apache-2.0
// Benchmark cases of a loss over rows: its fused form (value and gradient), and its per-sample forward and backward.
#pragma once

#include <vector>

#include "benchmarks/harness.h"
#include "kernels/base/row_loss.h"

namespace hourglass::bench {

/// Registers the ops for the cases worth timing. `flops`: of a pixel's value and gradient. The ops, BENCH_OP(...).
template <class Forward, class Backward, class Loss>
void add_row_loss(const std::string& op, const std::vector<RowLossShape>& cases, double flops, Forward forward,
                  Backward backward, Loss loss) {
  for (const RowLossShape& s : cases) {
    const int64_t n = int64_t{s.N} * s.D;
    if (n < 10000) continue;
    const std::string shape = extents({s.N, s.D, s.draws});
    const double size = static_cast<double>(n), inputs = size * (1 + 1.0 / s.draws);
    add_forms_bf16({op + "_loss", shape}, {.flops = flops * size, .elements = inputs + size}, [=](auto lane) {
      using T = typename decltype(lane)::type;
      return [=, y = values<T>(lane, n, 1, -4, 4), x = values<T>(lane, n / s.draws, 2, 0, 1), dy = zeros<T>(lane, n),
              value = one<float>(lane)] {
        loss(lane, s, y.data(), x.data(), Weight{}, Grad{value.data()}, Grad{dy.data()});
      };
    });
    add_forms_bf16({op + "_forward", shape}, {.flops = flops * size, .elements = inputs}, [=](auto lane) {
      using T = typename decltype(lane)::type;
      return [=, y = values<T>(lane, n, 1, -4, 4), x = values<T>(lane, n / s.draws, 2, 0, 1),
              losses = zeros<float>(lane, s.N)] { forward(lane, s, y.data(), x.data(), losses.data()); };
    });
    add_forms_bf16({op + "_backward", shape}, {.flops = flops * size, .elements = inputs + size}, [=](auto lane) {
      using T = typename decltype(lane)::type;
      return [=, y = values<T>(lane, n, 1, -4, 4), x = values<T>(lane, n / s.draws, 2, 0, 1),
              of_losses = values<float>(lane, s.N, 3),
              dy = zeros<T>(lane, n)] { backward(lane, s, y.data(), x.data(), of_losses.data(), Grad{dy.data()}); };
    });
  }
}

}  // namespace hourglass::bench
