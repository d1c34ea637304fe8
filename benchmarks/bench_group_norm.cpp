// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/group_norm.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  const GroupNormShape s{32, 196, 64, 8};
  const int64_t n = int64_t{s.N} * s.pixels * s.C;
  const std::string shape = extents({s.N, s.pixels, s.C, s.G});
  const auto setup = [=](auto run) {
    return [=](const Context& ctx) {
      std::vector<float> mean(static_cast<size_t>(s.N * s.G)), rstd(mean.size()), x = values<float>(n, 1), y = x;
      cpu::group_norm_forward<float>(ctx, s, x.data(), nullptr, nullptr, y.data(), mean.data(), rstd.data());
      return [=, scratch = std::vector<float>(group_norm_scratch_bytes(s, 1))]() mutable {
        run(ctx, x.data(), y.data(), mean.data(), rstd.data(), scratch.data());
      };
    };
  };
  const double bytes = 4.0 * static_cast<double>(n);
  add({"group_norm_forward", "reference", shape}, {.bytes = 2 * bytes},
      setup([s](const Context& ctx, const float* x, float* y, float* mean, float* rstd, float*) {
        cpu::group_norm_forward<float>(ctx, s, x, nullptr, nullptr, y, mean, rstd);
      }));
  add({"group_norm_backward", "reference", shape}, {.bytes = 3 * bytes},
      setup([s](const Context& ctx, const float* x, float* y, float* mean, float* rstd, float* scratch) {
        cpu::group_norm_backward<float>(ctx, s, x, nullptr, mean, rstd, x, scratch, Grad<float>{y}, {}, {});
      }));
  return run(argc, argv);
}
