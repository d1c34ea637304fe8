// SPDX-License-Identifier: Apache-2.0
// Fused sample and KL: forward and backward together, as a training step runs them. Bytes: mu, logvar and z once
// forward; mu, logvar, dz, dmu and dlogvar once backward. The arithmetic (two Philox draws of 10 rounds, logarithm,
// sine, cosine, exponential an element) is not counted: roofline_% is the share of the memory floor.
#include "benchmarks/harness.h"
#include "kernels/gaussian_latent.h"
#include "tests/cases/gaussian_latent.h"

using namespace hourglass;

namespace {

enum class Form { kReference, kTimed };

void add_case(LatentShape s, Form form) {
  const int64_t stride = s.stride ? s.stride : s.D, draws = int64_t{s.N} * s.draws * s.D;
  const double elements = double(s.N) * s.D, bytes = 4 * (6 * elements + 2 * static_cast<double>(draws));
  const std::string shape = bench::extents({s.N, s.D, s.draws}) + (s.stride ? "-strided" : "");
  const auto setup = [=](const Context& ctx) {
    return [=, head = bench::values<float>(2 * s.N * stride, 1), dz = bench::values<float>(draws, 2),
            dhead = std::vector<float>(static_cast<size_t>(2 * s.N * stride)),
            z = std::vector<float>(static_cast<size_t>(draws)), kl = std::vector<float>(static_cast<size_t>(s.N)),
            value = 0.0f, step = int64_t{0}]() mutable {
      Noise noise;
      noise.step = &step;
      noise.draws = s.draws;
      const int64_t logvar = s.stride ? s.D : s.N * stride;
      const Grad<float> dmu{dhead.data()}, dlogvar{dhead.data() + logvar};
      if (form == Form::kTimed) {
        cpu::gaussian_latent_forward(ctx, s, head.data(), head.data() + logvar, noise, z.data(), kl.data());
        cpu::gaussian_latent_backward(ctx, s, head.data(), head.data() + logvar, noise, dz.data(), Weight{}, kl.data(),
                                      {&value}, dmu, dlogvar);
      } else {
        cpu::gaussian_latent_forward<float>(ctx, s, head.data(), head.data() + logvar, noise, z.data(), kl.data());
        cpu::gaussian_latent_backward<float>(ctx, s, head.data(), head.data() + logvar, noise, dz.data(), Weight{},
                                             kl.data(), {&value}, dmu, dlogvar);
      }
      ++step;
    };
  };
  const bench::Name name{"gaussian_latent", form == Form::kTimed ? "philox_lanes" : "reference", shape};
  if (form == Form::kTimed) {
    bench::add(name, {.bytes = bytes}, setup);
  } else {
    bench::add_threads(name, {.bytes = bytes}, 1, setup);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<LatentShape> cases = test::kGaussianLatentCases;
  cases.push_back({4096, 256});
  cases.push_back({39063, 256});  // 1e7 elements
  for (const LatentShape& s : cases) {
    add_case(s, Form::kTimed);
    if (int64_t{s.N} * s.D <= 1 << 20) add_case(s, Form::kReference);
  }
  return bench::run(argc, argv);
}
