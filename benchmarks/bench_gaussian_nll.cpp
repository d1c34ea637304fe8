// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "kernels/gaussian_nll.h"
#include "tests/cases/gaussian_nll.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

struct Buffers {
  GaussianNllShape s;
  std::vector<float> y, x, log_sigma, dy, dlog_sigma;
  float value = 0;
  explicit Buffers(GaussianNllShape shape)
      : s(shape),
        y(values<float>(int64_t{s.N} * s.D, 1)),
        x(values<float>(int64_t{s.N} * s.D / s.draws, 2, 0, 1)),
        log_sigma(values<float>(s.log_sigma_count, 3)),
        dy(y.size()),
        dlog_sigma(log_sigma.size()) {}
};

template <class Loss>
void add_case(const char* technique, GaussianNllShape s, Loss loss) {
  const double size = static_cast<double>(s.N) * s.D;
  add({"gaussian_nll_loss", technique, extents({s.N, s.D, s.draws, s.log_sigma_count})},
      {.flops = 8 * size, .bytes = 4 * size * (2 + 1.0 / s.draws)},
      [=](const Context& ctx) { return [=, b = Buffers(s)]() mutable { loss(ctx, b); }; });
}

}  // namespace

int main(int argc, char** argv) {
  for (const GaussianNllShape& s : test::kGaussianNllCases) {
    if (int64_t{s.N} * s.D < 10000) continue;
    add_case("reference", s, [](const Context& ctx, Buffers& b) {
      cpu::gaussian_nll_loss<float>(ctx, b.s, b.y.data(), b.x.data(), b.log_sigma.data(), {}, {&b.value}, {b.dy.data()},
                                    {b.dlog_sigma.data()});
    });
    add_case("simd", s, [](const Context& ctx, Buffers& b) {
      cpu::gaussian_nll_loss(ctx, b.s, b.y.data(), b.x.data(), b.log_sigma.data(), {}, {&b.value}, {b.dy.data()},
                             {b.dlog_sigma.data()});
    });
  }
  return run(argc, argv);
}
