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
    add_forms_bf16({"corrupt", shape}, {.elements = 2.0 * N * D}, [=](auto lane) {
      using T = typename decltype(lane)::type;
      return [=, x = values<T>(lane, N * D, 1, 0, 1), y = zeros<T>(lane, N * D)] {
        BENCH_OP(corrupt)(lane, s, x.data(), Noise{}, y.data());
      };
    });
  }
  return run(argc, argv);
}
