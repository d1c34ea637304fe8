// SPDX-License-Identifier: Apache-2.0
// The reference is the only CPU form: training uses the fused gaussian_latent. Loss (value and gradients in one pass)
// for the standard normal prior, forward and backward for a general one.
#include "benchmarks/harness.h"
#include "kernels/gaussian_kl.h"
#include "tests/cases/gaussian_kl.h"

using namespace hourglass;
using namespace hourglass::bench;

int main(int argc, char** argv) {
  for (const GaussianKlShape& s : test::kGaussianKlCases) {
    const int64_t stride = s.stride ? s.stride : s.D, prior = int64_t{s.N} * s.D;
    if (prior == 0) continue;
    const Forms forms{s.general_prior ? "gaussian_kl" : "gaussian_kl_loss",
                      extents({s.N, s.D}) + (s.stride ? "-strided" : ""), nullptr};
    const double elements = static_cast<double>(prior) * (s.general_prior ? 12 : 4);
    add_forms_bf16(forms, {.elements = elements}, [=](auto lane) {
      using T = typename decltype(lane)::type;
      return [=, x = values<T>(lane, 2 * s.N * stride, 1), p = values<T>(lane, 2 * prior, 2),
              dx = zeros<T>(lane, 2 * s.N * stride), dp = zeros<T>(lane, 2 * prior), kl = zeros<float>(lane, s.N),
              dkl = values<float>(lane, s.N, 3), value = one<float>(lane)] {
        const int64_t offset = s.stride ? s.D : s.N * stride;
        const T *mu = x.data(), *logvar = mu + offset, *prior_mu = p.data(), *prior_logvar = prior_mu + prior;
        const Grad<T> dmu{dx.data()}, dlogvar{dx.data() + offset}, dprior_mu{dp.data()},
            dprior_logvar{dp.data() + prior};
        if (s.general_prior) {
          BENCH_OP(gaussian_kl_forward)(lane, s, mu, logvar, prior_mu, prior_logvar, kl.data());
          BENCH_OP(gaussian_kl_backward)
          (lane, s, mu, logvar, prior_mu, prior_logvar, dkl.data(), dmu, dlogvar, dprior_mu, dprior_logvar);
        } else {
          BENCH_OP(gaussian_kl_loss)(lane, s, mu, logvar, Weight{}, Grad{value.data()}, dmu, dlogvar);
        }
      };
    });
  }
  return run(argc, argv);
}
