// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/corrupt.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  const int N = 128, D = 784;
  const char* const names[] = {"gaussian", "mask", "salt_pepper"};
  for (const Corruption& c : kCorruptions) {
    const CorruptShape s{N, D, c};
    const std::string shape = std::string(names[static_cast<int>(c.kind)]) + "_" + extents({N, D});
    const Work work{.bytes = 8.0 * N * D};
    const auto setup = [=](auto run) {
      return [=](const Context& ctx) {
        return [=, x = values<float>(N * D, 1, 0, 1), y = values<float>(N * D)]() mutable {
          run(ctx, s, x.data(), y.data());
        };
      };
    };
    add_threads({"corrupt", "reference", shape}, work, 1,
                setup([](const Context& ctx, const CorruptShape& p, const float* x, float* y) {
                  cpu::corrupt<float>(ctx, p, x, Noise{}, y);
                }));
    add({"corrupt", "simd", shape}, work,
        setup([](const Context& ctx, const CorruptShape& p, const float* x, float* y) {
          cpu::corrupt(ctx, p, x, Noise{}, y);
        }));
  }
  return run(argc, argv);
}
