// SPDX-License-Identifier: Apache-2.0
// Latent samples, losses and gradient clipping against PyTorch: the reference forms in double and float, and the timed
// float forms, against results that PyTorch computed in double (tests/golden/README.md).
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "kernels/bernoulli_nll.h"
#include "kernels/gaussian_kl.h"
#include "kernels/gaussian_latent.h"
#include "kernels/gaussian_nll.h"
#include "kernels/gradient_norm.h"
#include "kernels/reparameterize.h"
#include "kernels/squared_error.h"
#include "tests/golden/forms.h"

namespace hourglass::test {
namespace {

constexpr double kWeight = 0.7;  // of the fused losses

/// The noise of every latent case.
struct LatentNoise {
  int64_t step = 5;
  int32_t first_draw = 1;
  Noise noise() const {
    Noise n;
    n.seed = 11, n.stream = stream_id("golden/latent"), n.step = &step;
    n.first_row = 2, n.draws = 3, n.first_draw = &first_draw;
    return n;
  }
};
constexpr LatentShape kLatent{4, 10, 3};

TEST(GoldenOps, Noise) {
  every_form([](const auto& f) {
    const LatentNoise latent;
    auto eps = f.like("noise/eps");
    RUN(normal_fill, kLatent, latent.noise(), eps.data());
    f.expect("noise/eps", eps);
  });
}

TEST(GoldenOps, Reparameterize) {
  every_form([](const auto& f) {
    const LatentNoise latent;
    const auto mu = f.in("reparameterize/mu"), logvar = f.in("reparameterize/logvar"), dz = f.in("reparameterize/dz");
    auto z = f.like("reparameterize/z"), dmu = f.like("reparameterize/dmu"), dlogvar = f.like("reparameterize/dlogvar");
    RUN(reparameterize_forward, kLatent, mu.data(), logvar.data(), latent.noise(), z.data());
    RUN(reparameterize_backward, kLatent, logvar.data(), latent.noise(), dz.data(), set(dmu), set(dlogvar));
    f.expect("reparameterize/z", z);
    f.expect("reparameterize/dmu", dmu, 3);
    f.expect("reparameterize/dlogvar", dlogvar, 3);
  });
}

TEST(GoldenOps, GaussianKl) {
  every_form([](const auto& f) {
    for (const bool general : {false, true}) {
      const std::string name = general ? "gaussian_kl/general/" : "gaussian_kl/standard/";
      const GaussianKlShape s{4, 10, 0, general};
      using T = Element<decltype(f)>;
      const auto mu = f.in(name + "mu"), logvar = f.in(name + "logvar"), dkl = f.in(name + "dkl");
      const auto prior_mu = general ? f.in(name + "prior_mu") : std::vector<T>();
      const auto prior_logvar = general ? f.in(name + "prior_logvar") : std::vector<T>();
      const T *pm = general ? prior_mu.data() : nullptr, *pl = general ? prior_logvar.data() : nullptr;
      auto kl = f.like(name + "kl"), dmu = f.like(name + "dmu"), dlogvar = f.like(name + "dlogvar");
      auto dprior_mu = f.like(name + "dmu"), dprior_logvar = f.like(name + "dmu");
      RUN(gaussian_kl_forward, s, mu.data(), logvar.data(), pm, pl, kl.data());
      RUN(gaussian_kl_backward, s, mu.data(), logvar.data(), pm, pl, dkl.data(), set(dmu), set(dlogvar),
          general ? set(dprior_mu) : Grad<T>(), general ? set(dprior_logvar) : Grad<T>());
      f.expect(name + "kl", kl, s.D);
      f.expect(name + "dmu", dmu);
      f.expect(name + "dlogvar", dlogvar);
      if (!general) continue;
      f.expect(name + "dprior_mu", dprior_mu);
      f.expect(name + "dprior_logvar", dprior_logvar);
    }
  });
}

TEST(GoldenOps, GaussianKlLoss) {
  every_form([](const auto& f) {
    const std::string name = "gaussian_kl/standard/";
    const auto mu = f.in(name + "mu"), logvar = f.in(name + "logvar");
    Guarded<Element<decltype(f)>> value(1);
    auto dmu = f.like(name + "dmu"), dlogvar = f.like(name + "dlogvar");
    RUN(gaussian_kl_loss, GaussianKlShape{4, 10}, mu.data(), logvar.data(), Weight{kWeight}, set(value), set(dmu),
        set(dlogvar));
    f.expect_mean(name + "kl", value, 40);
    f.expect(name + "loss/dmu", dmu);
    f.expect(name + "loss/dlogvar", dlogvar);
  });
}

TEST(GoldenOps, GaussianLatent) {
  every_form([](const auto& f) {
    const LatentNoise latent;
    const std::string name = "gaussian_latent/";
    const auto mu = f.in(name + "mu"), logvar = f.in(name + "logvar"), dz = f.in(name + "dz");
    Guarded<Element<decltype(f)>> value(1);
    auto z = f.like(name + "z"), kl = f.like(name + "kl");
    auto dmu = f.like(name + "dmu"), dlogvar = f.like(name + "dlogvar");
    RUN(gaussian_latent_forward, kLatent, mu.data(), logvar.data(), latent.noise(), z.data(), kl.data());
    RUN(gaussian_latent_backward, kLatent, mu.data(), logvar.data(), latent.noise(), dz.data(), Weight{kWeight},
        kl.data(), set(value), set(dmu), set(dlogvar));
    f.expect(name + "z", z);
    f.expect(name + "kl", kl, 10);
    f.expect_mean(name + "kl", value, 40);
    f.expect(name + "dmu", dmu, 3);
    f.expect(name + "dlogvar", dlogvar, 3);
  });
}

constexpr RowLossShape kRowLoss{6, 15, 2};

TEST(GoldenOps, BernoulliNll) {
  every_form([](const auto& f) {
    const std::string name = "bernoulli_nll/";
    const auto logits = f.in(name + "logits"), x = f.in(name + "x"), dnll = f.in(name + "dnll");
    Guarded<Element<decltype(f)>> value(1);
    auto nll = f.like(name + "nll"), dlogits = f.like(name + "dlogits"), fused = f.like(name + "dlogits");
    RUN(bernoulli_nll_forward, kRowLoss, logits.data(), x.data(), nll.data());
    RUN(bernoulli_nll_backward, kRowLoss, logits.data(), x.data(), dnll.data(), set(dlogits));
    RUN(bernoulli_nll_loss, kRowLoss, logits.data(), x.data(), Weight{kWeight}, set(value), set(fused));
    f.expect(name + "nll", nll, 15);
    f.expect(name + "dlogits", dlogits);
    f.expect_mean(name + "nll", value, 90);
    f.expect(name + "loss/dlogits", fused);
  });
}

TEST(GoldenOps, SquaredError) {
  every_form([](const auto& f) {
    const std::string name = "squared_error/";
    const auto y = f.in(name + "y"), x = f.in(name + "x"), dloss = f.in(name + "dnll");
    Guarded<Element<decltype(f)>> value(1);
    auto loss = f.like(name + "nll"), dy = f.like(name + "dy"), fused = f.like(name + "dy");
    RUN(squared_error_forward, kRowLoss, y.data(), x.data(), loss.data());
    RUN(squared_error_backward, kRowLoss, y.data(), x.data(), dloss.data(), set(dy));
    RUN(squared_error_loss, kRowLoss, y.data(), x.data(), Weight{kWeight}, set(value), set(fused));
    f.expect(name + "nll", loss, 15);
    f.expect(name + "dy", dy);
    f.expect_mean(name + "nll", value, 90);
    f.expect(name + "loss/dy", fused);
  });
}

TEST(GoldenOps, GaussianNll) {
  every_form([](const auto& f) {
    for (const std::string name : {"gaussian_nll/shared/", "gaussian_nll/columns/"}) {
      const auto y = f.in(name + "y"), x = f.in(name + "x"), log_sigma = f.in(name + "log_sigma");
      const auto dnll = f.in(name + "dnll");
      const GaussianNllShape s{6, 15, 2, f.rows(name + "log_sigma")};
      Guarded<Element<decltype(f)>> value(1);
      auto nll = f.like(name + "nll"), dy = f.like(name + "dy"), dlog_sigma = f.like(name + "dlog_sigma");
      auto fused_dy = f.like(name + "dy"), fused_dlog_sigma = f.like(name + "dlog_sigma");
      RUN(gaussian_nll_forward, s, y.data(), x.data(), log_sigma.data(), nll.data());
      RUN(gaussian_nll_backward, s, y.data(), x.data(), log_sigma.data(), dnll.data(), set(dy), set(dlog_sigma));
      RUN(gaussian_nll_loss, s, y.data(), x.data(), log_sigma.data(), Weight{kWeight}, set(value), set(fused_dy),
          set(fused_dlog_sigma));
      f.expect(name + "nll", nll, 15);
      f.expect(name + "dy", dy);
      f.expect(name + "dlog_sigma", dlog_sigma, 90);
      f.expect_mean(name + "nll", value, 90);
      f.expect(name + "loss/dy", fused_dy);
      f.expect(name + "loss/dlog_sigma", fused_dlog_sigma, 90);
    }
  });
}

TEST(GoldenOps, ClipByNorm) {
  every_form([](const auto& f) {
    const auto slab = f.in("gradient_norm/g");
    for (const auto& [name, limit] :
         {std::pair("gradient_norm/clipped", 1.5), std::pair("gradient_norm/within", 1e3)}) {
      SCOPED_TRACE(name);
      Norm norm;
      Fault fault;
      const int64_t step = 0;
      RUN(gradient_check, GradientNormShape{1000, 1000}, slab.data(), limit, &norm, &fault, &step);
      EXPECT_EQ(fault.code, 0);
      const auto want_norm = f.golden.template values<double>(std::string(name) + "/norm")[0];
      EXPECT_TRUE(std::abs(norm.norm - want_norm) <= 1e-12 * want_norm) << norm.norm << ", PyTorch: " << want_norm;
      std::vector<double> clipped(slab.begin(), slab.end());
      for (double& g : clipped) g *= norm.scale;
      expect_close(clipped, f.golden.template values<double>(std::string(name) + "/g"), fp64_tolerance(), name);
    }
  });
}

}  // namespace
}  // namespace hourglass::test
