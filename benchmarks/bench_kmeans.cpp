// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "kernels/kmeans.h"
#include "tests/cases/kmeans.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  for (const KMeansShape& s : test::kKMeansCases) {
    if (s.N < 1000) continue;
    const double elements = static_cast<double>(s.N) * s.D;
    add({"kmeans_seed", "reference", extents({s.N, s.D, s.K})}, {.flops = 3 * elements, .bytes = 4 * elements},
        [=](const Context& ctx) {
          return [=, x = values<float>(int64_t{s.N} * s.D), nearest = std::vector<float>(s.N, 1.0f),
                  codebook = values<float>(int64_t{s.K} * s.D, 2)]() mutable {
            cpu::kmeans_seed<float>(ctx, s, 1, x.data(), {}, nearest.data(), codebook.data());
          };
        });
  }
  return run(argc, argv);
}
