// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "kernels/gradient_norm.h"
#include "tests/cases/gradient_norm.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  std::vector<GradientNormShape> cases = test::kGradientNormCases;
  cases.push_back({1 << 25, 1 << 25});  // beyond every cache
  for (const GradientNormShape& s : cases) {
    if (s.total < 10000) continue;
    const double total = static_cast<double>(s.total);
    add_forms({"gradient_check", extents({s.gradients, s.total})}, {.flops = 2 * total, .elements = total},
              [=](auto lane) {
                return [=, slab = values<float>(lane, s.total), norm = one<Norm>(lane), fault = one<Fault>(lane),
                        step = one<int64_t>(lane)] {
                  BENCH_OP(gradient_check)(lane, s, slab.data(), 1.0, norm.data(), fault.data(), step.data());
                };
              });
  }
  return run(argc, argv);
}
