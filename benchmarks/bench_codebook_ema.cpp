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
    // Least work: the sums of the step are read, those of the state read and written, the codes written.
    add_forms({"codebook_ema_update", extents({s.N, s.D, s.K}), nullptr},
              {.elements = 4.0 * static_cast<double>(codes)}, [=](auto lane) {
                return [=, counts = values<float>(lane, s.K, 1, 10, 14), sums = values<float>(lane, codes),
                        x = values<float>(lane, int64_t{s.N} * s.D), ema_counts = values<float>(lane, s.K, 2, 1, 2),
                        ema_sums = values<float>(lane, codes), codebook = values<float>(lane, codes)] {
                  BENCH_OP(codebook_ema_update)
                  (lane, s, CodebookEmaOptions{}, static_cast<const Fault*>(nullptr), counts.data(), sums.data(),
                   x.data(), Noise{}, CodebookEma<float>{ema_counts.data(), ema_sums.data(), codebook.data()});
                };
              });
  }
  return run(argc, argv);
}
