// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/activation.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

template <class F>
auto setup(int64_t n, F f) {
  return [=](const Context& ctx) {
    return [=, x = values<float>(n, 1, -4, 4), dy = values<float>(n, 2), y = values<float>(n, 3, 0, 1),
            out = std::vector<float>(static_cast<size_t>(n))]() mutable {
      f(ctx, x.data(), y.data(), dy.data(), out.data());
    };
  };
}

}  // namespace

int main(int argc, char** argv) {
  for (int64_t n : kActivationCounts) {
    if (n < 16384) continue;
    for (Activation a : kActivations) {
      const ActivationShape s{n, a};
      const std::string shape = std::to_string(n) + "-" + activation_name(a);
      const double elements = static_cast<double>(n);
      const Work forward{.bytes = 8 * elements}, backward{.bytes = 12 * elements};
      add_threads({"activation_forward", "reference", shape}, forward, 1,
                  setup(n, [s](const Context& ctx, const float* x, const float*, const float*, float* out) {
                    cpu::activation_forward<float>(ctx, s, x, out);
                  }));
      add({"activation_forward", "simd", shape}, forward,
          setup(n, [s](const Context& ctx, const float* x, const float*, const float*, float* out) {
            cpu::activation_forward(ctx, s, x, out);
          }));
      add({"activation_backward", "simd", shape}, backward,
          setup(n, [s](const Context& ctx, const float* x, const float* y, const float* dy, float* out) {
            cpu::activation_backward(ctx, s, x, y, dy, Grad<float>{out});
          }));
    }
  }
  return run(argc, argv);
}
