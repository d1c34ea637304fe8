// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/activation.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  std::vector<int64_t> counts = kActivationCounts;
  counts.push_back(1 << 24);  // beyond every cache
  for (int64_t n : counts) {
    if (n < 16384) continue;
    for (Activation a : kActivations) {
      const ActivationShape s{n, a};
      const std::string shape = std::to_string(n) + "-" + activation_name(a);
      const double elements = static_cast<double>(n);
      add_forms_bf16({"activation_forward", shape}, {.elements = 2 * elements}, [=](auto lane) {
        using T = typename decltype(lane)::type;
        return [=, x = values<T>(lane, n, 1, -4, 4), y = zeros<T>(lane, n)] {
          BENCH_OP(activation_forward)(lane, s, x.data(), y.data());
        };
      });
      add_forms_bf16({"activation_backward", shape}, {.elements = 3 * elements}, [=](auto lane) {
        using T = typename decltype(lane)::type;
        return [=, x = values<T>(lane, n, 1, -4, 4), y = values<T>(lane, n, 3, 0, 1), dy = values<T>(lane, n, 2),
                dx = zeros<T>(lane, n)] {
          BENCH_OP(activation_backward)(lane, s, x.data(), y.data(), dy.data(), Grad{dx.data()});
        };
      });
    }
  }
  return run(argc, argv);
}
