// SPDX-License-Identifier: Apache-2.0
// Sampling alone, forward and backward together (elements: mu, logvar, z; then logvar, dz, dmu, dlogvar), and samples
// of the prior.
#include "benchmarks/harness.h"
#include "kernels/reparameterize.h"
#include "tests/cases/reparameterize.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  std::vector<LatentShape> cases = test::kReparameterizeCases;
  cases.push_back({4096, 256});
  for (const LatentShape& s : cases) {
    const int64_t stride = s.stride ? s.stride : s.D, draws = int64_t{s.N} * s.draws * s.D;
    if (draws == 0) continue;
    const Forms forms{"reparameterize", extents({s.N, s.D, s.draws}) + (s.stride ? "-strided" : ""), "philox_lanes"};
    add_forms_bf16(forms, {.elements = 5.0 * s.N * s.D + 2.0 * static_cast<double>(draws)}, [=](auto lane) {
      using T = typename decltype(lane)::type;
      return [=, head = values<T>(lane, 2 * s.N * stride, 1), dz = values<T>(lane, draws, 2),
              dhead = zeros<T>(lane, 2 * s.N * stride), z = zeros<T>(lane, draws)] {
        Noise noise;
        noise.draws = s.draws;
        const int64_t offset = s.stride ? s.D : s.N * stride;
        const T *mu = head.data(), *logvar = mu + offset;
        BENCH_OP(reparameterize_forward)(lane, s, mu, logvar, noise, z.data());
        BENCH_OP(reparameterize_backward)
        (lane, s, logvar, noise, dz.data(), Grad{dhead.data()}, Grad{dhead.data() + offset});
      };
    });
    add_forms_bf16({"normal_fill", extents({s.N, s.D, s.draws}), "philox_lanes"}, {.elements = double(draws)},
                   [=](auto lane) {
                     using T = typename decltype(lane)::type;
                     return [=, z = zeros<T>(lane, draws)] {
                       Noise noise;
                       noise.draws = s.draws;
                       BENCH_OP(normal_fill)(lane, s, noise, z.data());
                     };
                   });
  }
  return run(argc, argv);
}
