// SPDX-License-Identifier: Apache-2.0
// Fused sample and KL: forward and backward together, as a training step runs them. Bytes: mu, logvar and z once
// forward; mu, logvar, dz, dmu and dlogvar once backward. The arithmetic (two Philox draws of 10 rounds, logarithm,
// sine, cosine, exponential an element) is not counted: roofline_% is the share of the memory floor. The step of the
// noise stands still: the work is the same.
#include "benchmarks/harness.h"
#include "kernels/gaussian_latent.h"
#include "tests/cases/gaussian_latent.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  std::vector<LatentShape> cases = test::kGaussianLatentCases;
  cases.push_back({4096, 256});
  cases.push_back({39063, 256});  // 1e7 elements
  for (const LatentShape& s : cases) {
    const int64_t stride = s.stride ? s.stride : s.D, draws = int64_t{s.N} * s.draws * s.D;
    const double elements = 6.0 * s.N * s.D + 2.0 * static_cast<double>(draws);
    const Forms forms{"gaussian_latent", extents({s.N, s.D, s.draws}) + (s.stride ? "-strided" : ""), "philox_lanes"};
    add_forms_bf16(forms, {.elements = elements}, [=](auto lane) {
      using T = typename decltype(lane)::type;
      return [=, head = values<T>(lane, 2 * s.N * stride, 1), dz = values<T>(lane, draws, 2),
              dhead = zeros<T>(lane, 2 * s.N * stride), z = zeros<T>(lane, draws), kl = zeros<float>(lane, s.N),
              value = one<float>(lane), step = one<int64_t>(lane)] {
        Noise noise;
        noise.step = step.data();
        noise.draws = s.draws;
        const int64_t offset = s.stride ? s.D : s.N * stride;
        const T *mu = head.data(), *logvar = mu + offset;
        const Grad<T> dmu{dhead.data()}, dlogvar{dhead.data() + offset};
        BENCH_OP(gaussian_latent_forward)(lane, s, mu, logvar, noise, z.data(), kl.data());
        BENCH_OP(gaussian_latent_backward)
        (lane, s, mu, logvar, noise, dz.data(), Weight{}, kl.data(), Grad{value.data()}, dmu, dlogvar);
      };
    });
  }
  return run(argc, argv);
}
