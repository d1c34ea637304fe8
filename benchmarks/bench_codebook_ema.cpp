// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "kernels/codebook_ema.h"
#include "tests/cases/codebook_ema.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  for (const CodebookEmaShape& s : test::kCodebookEmaCases) {
    if (s.K < 500) continue;
    const int64_t codes = int64_t{s.K} * s.D;
    add({"codebook_ema_update", "reference", extents({s.N, s.D, s.K})}, {.bytes = 4.0 * 4 * static_cast<double>(codes)},
        [=](const Context& ctx) {
          return [=, counts = std::vector<float>(s.K, 12.0f), sums = values<float>(codes),
                  x = values<float>(int64_t{s.N} * s.D), ema_counts = std::vector<float>(s.K, 1.0f),
                  ema_sums = values<float>(codes), codebook = values<float>(codes)]() mutable {
            cpu::codebook_ema_update<float>(ctx, s, {}, nullptr, counts.data(), sums.data(), x.data(), {},
                                            {ema_counts.data(), ema_sums.data(), codebook.data()});
          };
        });
  }
  return run(argc, argv);
}
