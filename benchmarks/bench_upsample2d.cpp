// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/upsample2d.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  auto shapes = kUpsample2dTimed;
  if (kEmulated) shapes.push_back(kUpsample2dCases.front());
  for (const Upsample2dShape& s : shapes) {
    const std::string shape = extents({s.N, s.H, s.W, s.C, s.factor_h, s.factor_w});
    const int64_t small = int64_t{s.N} * s.H * s.W * s.C, large = small * s.factor_h * s.factor_w;
    const Work work{.elements = static_cast<double>(small + large)};
    add_forms_bf16({"upsample2d_forward", shape}, work, [=](auto lane) {
      using T = typename decltype(lane)::type;
      return [=, x = values<T>(lane, small), y = zeros<T>(lane, large)] {
        BENCH_OP(upsample2d_forward)(lane, s, x.data(), y.data());
      };
    });
    add_forms_bf16({"upsample2d_backward", shape}, work, [=](auto lane) {
      using T = typename decltype(lane)::type;
      return [=, dx = zeros<T>(lane, small), dy = values<T>(lane, large)] {
        BENCH_OP(upsample2d_backward)(lane, s, dy.data(), Grad{dx.data()});
      };
    });
  }
  return run(argc, argv);
}
