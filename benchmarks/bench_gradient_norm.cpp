// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "kernels/gradient_norm.h"
#include "tests/cases/gradient_norm.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

template <class Check>
void add_case(const char* technique, GradientNormShape s, Check check) {
  const double total = static_cast<double>(s.total);
  add({"gradient_check", technique, extents({s.gradients, s.total})}, {.flops = 2 * total, .bytes = 4 * total},
      [=](const Context& ctx) {
        return [=, slab = values<float>(s.total), norm = Norm{}, fault = Fault{}]() mutable {
          const int64_t step = 0;
          check(ctx, s, slab.data(), &norm, &fault, &step);
        };
      });
}

}  // namespace

int main(int argc, char** argv) {
  for (const GradientNormShape& s : test::kGradientNormCases) {
    if (s.total < 10000) continue;
    add_case("reference", s,
             [](const Context& ctx, GradientNormShape s, const float* slab, Norm* norm, Fault* fault,
                const int64_t* step) { cpu::gradient_check<float>(ctx, s, slab, 1, norm, fault, step); });
    add_case("simd", s,
             [](const Context& ctx, GradientNormShape s, const float* slab, Norm* norm, Fault* fault,
                const int64_t* step) { cpu::gradient_check(ctx, s, slab, 1, norm, fault, step); });
  }
  return run(argc, argv);
}
