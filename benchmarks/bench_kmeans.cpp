// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "kernels/kmeans.h"
#include "tests/cases/kmeans.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  for (const KMeansShape& s : test::kKMeansCases) {
    if (s.N < 1000) continue;
    const int64_t n = int64_t{s.N} * s.D, codes = int64_t{s.K} * s.D;
    const std::string shape = extents({s.N, s.D, s.K});
    const auto elements = static_cast<double>(n);
    add_forms({"kmeans_seed", shape, nullptr}, {.flops = 3 * elements, .elements = elements}, [=](auto lane) {
      return [=, x = values<float>(lane, n), nearest = values<float>(lane, s.N, 2, 1, 2),
              codebook = values<float>(lane, codes, 3)] {
        BENCH_OP(kmeans_seed)(lane, s, 1, x.data(), Noise{}, nearest.data(), codebook.data());
      };
    });
    add_forms({"kmeans_update", shape, nullptr}, {.elements = 2.0 * static_cast<double>(codes)}, [=](auto lane) {
      return [=, counts = values<float>(lane, s.K, 1, 10, 14), sums = values<float>(lane, codes),
              codebook = zeros<float>(lane, codes)] {
        BENCH_OP(kmeans_update)(lane, s, counts.data(), sums.data(), codebook.data());
      };
    });
  }
  return run(argc, argv);
}
