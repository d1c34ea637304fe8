// SPDX-License-Identifier: Apache-2.0
// The reference is the only CPU form: training uses the fused gaussian_latent. Loss (value and gradients in one pass)
// for the standard normal prior, forward and backward for a general one.
#include "benchmarks/harness.h"
#include "kernels/gaussian_kl.h"
#include "tests/cases/gaussian_kl.h"

using namespace hourglass;

int main(int argc, char** argv) {
  for (const GaussianKlShape& s : test::kGaussianKlCases) {
    const int64_t stride = s.stride ? s.stride : s.D, prior = int64_t{s.N} * s.D;
    if (prior == 0) continue;
    const double bytes = 4.0 * static_cast<double>(prior) * (s.general_prior ? 12 : 4);
    const std::string shape = bench::extents({s.N, s.D}) + (s.stride ? "-strided" : "");
    const auto setup = [=](const Context& ctx) {
      return
          [=, x = bench::values<float>(2 * s.N * stride, 1), p = bench::values<float>(2 * prior, 2),
           dx = std::vector<float>(static_cast<size_t>(2 * s.N * stride)),
           dp = std::vector<float>(static_cast<size_t>(2 * prior)), kl = std::vector<float>(static_cast<size_t>(s.N)),
           dkl = bench::values<float>(s.N, 3), value = 0.0f]() mutable {
            const int64_t offset = s.stride ? s.D : s.N * stride;
            const float *mu = x.data(), *logvar = mu + offset;
            const Grad<float> dmu{dx.data()}, dlogvar{dx.data() + offset};
            if (s.general_prior) {
              const float *prior_mu = p.data(), *prior_logvar = prior_mu + prior;
              cpu::gaussian_kl_forward<float>(ctx, s, mu, logvar, prior_mu, prior_logvar, kl.data());
              cpu::gaussian_kl_backward<float>(ctx, s, mu, logvar, prior_mu, prior_logvar, dkl.data(), dmu, dlogvar,
                                               {dp.data()}, {dp.data() + prior});
            } else {
              cpu::gaussian_kl_loss<float>(ctx, s, mu, logvar, Weight{}, {&value}, dmu, dlogvar);
            }
          };
    };
    bench::add_threads({s.general_prior ? "gaussian_kl" : "gaussian_kl_loss", "reference", shape}, {.bytes = bytes}, 1,
                       setup);
  }
  return bench::run(argc, argv);
}
