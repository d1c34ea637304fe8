// SPDX-License-Identifier: Apache-2.0
// Sampling alone, forward and backward together. Bytes: mu, logvar, z; then logvar, dz, dmu, dlogvar.
#include "benchmarks/harness.h"
#include "kernels/reparameterize.h"
#include "tests/cases/reparameterize.h"

using namespace hourglass;

namespace {

void add_case(LatentShape s, bool timed) {
  const int64_t stride = s.stride ? s.stride : s.D, draws = int64_t{s.N} * s.draws * s.D;
  const double bytes = 4 * (5.0 * s.N * s.D + 2.0 * static_cast<double>(draws));
  const std::string shape = bench::extents({s.N, s.D, s.draws}) + (s.stride ? "-strided" : "");
  const auto setup = [=](const Context& ctx) {
    return [=, head = bench::values<float>(2 * s.N * stride, 1), dz = bench::values<float>(draws, 2),
            dhead = std::vector<float>(static_cast<size_t>(2 * s.N * stride)),
            z = std::vector<float>(static_cast<size_t>(draws))]() mutable {
      Noise noise;
      noise.draws = s.draws;
      const int64_t offset = s.stride ? s.D : s.N * stride;
      const float *mu = head.data(), *logvar = mu + offset;
      const Grad<float> dmu{dhead.data()}, dlogvar{dhead.data() + offset};
      if (timed) {
        cpu::reparameterize_forward(ctx, s, mu, logvar, noise, z.data());
        cpu::reparameterize_backward(ctx, s, logvar, noise, dz.data(), dmu, dlogvar);
      } else {
        cpu::reparameterize_forward<float>(ctx, s, mu, logvar, noise, z.data());
        cpu::reparameterize_backward<float>(ctx, s, logvar, noise, dz.data(), dmu, dlogvar);
      }
    };
  };
  if (timed) {
    bench::add({"reparameterize", "philox_lanes", shape}, {.bytes = bytes}, setup);
  } else {
    bench::add_threads({"reparameterize", "reference", shape}, {.bytes = bytes}, 1, setup);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<LatentShape> cases = test::kReparameterizeCases;
  cases.push_back({4096, 256});
  for (const LatentShape& s : cases) add_case(s, true), add_case(s, false);
  return bench::run(argc, argv);
}
