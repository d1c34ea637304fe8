// SPDX-License-Identifier: Apache-2.0
#include "kernels/gaussian_kl.h"
#include "tests/cases/gaussian_kl.h"
#include "tests/latent_checks.h"

namespace hourglass::test {
namespace {

template <class T>
struct Problem {
  GaussianKlShape s;
  Head head;
  int64_t prior_logvar;          ///< offset in `prior`
  std::vector<T> x, prior, dkl;  ///< mu and logvar; prior mu and logvar one after the other; gradient of kl

  explicit Problem(GaussianKlShape shape) : s(shape), head(s.N, s.D, s.stride), prior_logvar(int64_t{s.N} * s.D) {
    x = random_values<T>(head.size, 1, -2, 2);
    if (s.general_prior) prior = random_values<T>(2 * prior_logvar, 2, -2, 2);
    dkl = random_values<T>(s.N, 3);
  }
  const T* mu() const { return x.data(); }
  const T* logvar() const { return x.data() + head.logvar; }
  const T* prior_mu() const { return s.general_prior ? prior.data() : nullptr; }
  const T* prior_lv() const { return s.general_prior ? prior.data() + prior_logvar : nullptr; }
  static Grad<T> at(Grad<T> g, int64_t offset) { return {g ? g.data + offset : nullptr, g.mode}; }
  std::string name() const { return describe("gaussian_kl", {s.N, s.D, s.stride, s.general_prior}); }

  std::vector<T> forward() const {
    Guarded<T> kl(s.N);
    cpu::gaussian_kl_forward<T>(test_context(), s, mu(), logvar(), prior_mu(), prior_lv(), kl.data());
    return kl.values();
  }
  /// (dx, dprior)
  std::pair<std::vector<T>, std::vector<T>> backward() const {
    const auto run = [&](Grad<T> dx, Grad<T> dprior) {
      cpu::gaussian_kl_backward<T>(test_context(), s, mu(), logvar(), prior_mu(), prior_lv(), dkl.data(), dx,
                                   at(dx, head.logvar), dprior, at(dprior, prior_logvar));
    };
    auto dx = expect_set_and_add<T>(
        head.size, [&](Grad<T> g) { run(g, {}); }, tolerance_for<T>(1), name() + " dx");
    if (!s.general_prior) return {std::move(dx), {}};
    return {std::move(dx),
            expect_set_and_add<T>(
                2 * prior_logvar, [&](Grad<T> g) { run({}, g); }, tolerance_for<T>(1), name() + " dprior")};
  }
};

TEST(gaussian_kl, float_agrees_with_double) {
  for (const GaussianKlShape& s : kGaussianKlCases) {
    const Problem<float> p(s);
    const Problem<double> truth(s);
    SCOPED_TRACE(p.name());
    expect_close(p.forward(), truth.forward(), fp32_tolerance(s.D, s.D), "kl");
    const auto [dx, dprior] = p.backward();
    const auto [want_dx, want_dprior] = truth.backward();
    expect_close(dx, want_dx, fp32_tolerance(1, 1), "dx");
    expect_close(dprior, want_dprior, fp32_tolerance(1, 1), "dprior");
  }
}

TEST(gaussian_kl, is_the_derivative) {
  for (GaussianKlShape s : {GaussianKlShape{3, 5, 0, true}, {2, 6, 12, false}, {1, 1, 0, true}, {1, 1, 0, false}}) {
    const Problem<double> p(s);
    const auto [dx, dprior] = p.backward();
    gradcheck(
        [&](const std::vector<double>& x) {
          Problem<double> at(p);
          at.x = x;
          return weighted_sum(at.forward(), p.dkl);
        },
        p.x, dx, p.name() + " dx");
    gradcheck(
        [&](const std::vector<double>& prior) {
          Problem<double> at(p);
          at.prior = prior;
          return weighted_sum(at.forward(), p.dkl);
        },
        p.prior, dprior, p.name() + " dprior");
  }
}

TEST(gaussian_kl, is_the_derivative_beyond_the_bounds) {
  Problem<double> p({2, 2, 0, true});
  p.x = {0.5, -1, 2, 0.1, 21, 3, 25, -2};
  p.prior = {0.1, 0.2, 0.3, 0.4, -21, -1, 2, -30};
  p.dkl = {1e-17, 1e-17};  // values are of order e^40
  const auto [dx, dprior] = p.backward();
  const auto value = [&](const Problem<double>& at) { return weighted_sum(at.forward(), p.dkl); };
  gradcheck(
      [&](const std::vector<double>& x) {
        Problem<double> at(p);
        at.x = x;
        return value(at);
      },
      p.x, dx);
  gradcheck(
      [&](const std::vector<double>& x) {
        Problem<double> at(p);
        at.prior = x;
        return value(at);
      },
      p.prior, dprior);
}

TEST(gaussian_kl, equals_numerical_integration) {
  const auto log_normal = [](double z, double mu, double logvar) {
    return -0.5 * ((z - mu) * (z - mu) / std::exp(logvar) + logvar + std::log(2 * 3.14159265358979324));
  };
  for (const bool general : {false, true}) {
    Problem<double> p({4, 1, 0, general});
    const auto kl = p.forward();
    for (size_t n = 0; n < 4; ++n) {
      const double mu = p.x[n], logvar = p.x[4 + n], sigma = std::exp(logvar / 2);
      const double prior_mu = general ? p.prior[n] : 0, prior_lv = general ? p.prior[4 + n] : 0;
      double integral = 0;
      constexpr int kSteps = 4000;
      for (int i = 0; i < kSteps; ++i) {  // midpoint rule over 12 standard deviations to either side
        const double z = mu + sigma * 12 * (2 * (i + 0.5) / kSteps - 1), q = log_normal(z, mu, logvar);
        integral += std::exp(q) * (q - log_normal(z, prior_mu, prior_lv)) * sigma * 24 / kSteps;
      }
      EXPECT_NEAR(kl[n], integral, 1e-9 * std::max(1.0, integral));
    }
  }
}

TEST(gaussian_kl, is_zero_at_the_prior_and_positive_elsewhere) {
  Problem<double> p({50, 3, 0, true});
  for (double kl : p.forward()) EXPECT_GT(kl, 0);
  p.x = p.prior;
  for (double kl : p.forward()) EXPECT_NEAR(kl, 0, 1e-14);
  for (double g : p.backward().first) EXPECT_NEAR(g, 0, 1e-14);
}

TEST(gaussian_kl, a_standard_normal_given_as_general_prior_is_the_same) {
  Problem<double> standard({7, 5, 10, false});
  Problem<double> general({7, 5, 10, true});
  std::fill(general.prior.begin(), general.prior.end(), 0.0);
  expect_close(general.forward(), standard.forward(), fp64_tolerance());
  expect_close(general.backward().first, standard.backward().first, fp64_tolerance());
}

TEST(gaussian_kl, inputs_of_ten_thousand_stay_finite) {
  const auto check = [](auto type) {
    for (const bool general : {false, true}) {
      Problem<decltype(type)> p({81, 2, 0, general});
      for (size_t n = 0; n < 81; ++n) {  // all 81 combinations of -1e4, 0, 1e4 in four inputs
        const auto digit = [&](size_t place) { return static_cast<decltype(type)>(1e4 * (double(n / place % 3) - 1)); };
        for (size_t d = 0; d < 2; ++d) {
          p.x[2 * n + d] = digit(1);
          p.x[162 + 2 * n + d] = digit(3);
          if (general) p.prior[2 * n + d] = digit(9), p.prior[162 + 2 * n + d] = digit(27);
        }
      }
      bool finite = true;
      for (auto v : p.forward()) finite = finite && std::isfinite(v);
      const auto [dx, dprior] = p.backward();
      for (auto v : dx) finite = finite && std::isfinite(v);
      for (auto v : dprior) finite = finite && std::isfinite(v);
      EXPECT_TRUE(finite) << general;
    }
  };
  check(float{});
  check(double{});
}

TEST(gaussian_kl, loss_is_the_weighted_mean_of_the_samples) {
  const double beta = 0.25;
  for (const GaussianKlShape& s : kGaussianKlCases) {
    if (s.general_prior || s.N == 0) continue;
    const auto check = [&](auto type) {
      using T = decltype(type);
      Problem<T> p(s);
      SCOPED_TRACE(p.name());
      const auto run = [&](Grad<T> value, Grad<T> dx) {
        cpu::gaussian_kl_loss<T>(test_context(), s, p.mu(), p.logvar(), Weight{2, &beta}, value, dx,
                                 Problem<T>::at(dx, p.head.logvar));
      };
      double mean = 0;
      for (T kl : p.forward()) mean += static_cast<double>(kl) / s.N;
      const auto value = expect_set_and_add<T>(1, [&](Grad<T> g) { run(g, {}); });
      expect_close(value, std::vector<double>{mean}, tolerance_for<T>(s.N, s.D + 1));
      p.dkl.assign(p.dkl.size(), T(0.5) / static_cast<T>(s.N));
      const auto dx = expect_set_and_add<T>(p.head.size, [&](Grad<T> g) { run({}, g); });
      expect_close(dx, p.backward().first, tolerance_for<T>(1));
    };
    check(float{});
    check(double{});
  }
}

TEST(gaussian_kl, leaves_what_lies_between_rows_alone) {
  Problem<float> p({4, 3, 8, false});
  Guarded<float> dx(p.head.size);
  cpu::gaussian_kl_backward<float>(test_context(), p.s, p.mu(), p.logvar(), nullptr, nullptr, p.dkl.data(), {dx.data()},
                                   {dx.data() + 3}, {}, {});
  for (int64_t i = 0; i < dx.size(); ++i) EXPECT_EQ(std::isnan(dx[i]), i % 8 >= 6) << i;
}

TEST(gaussian_kl, refuses_what_the_header_lists) {
  const double x = 0;
  double y = 0;
  const Context ctx = test_context();
  const auto forward = [&](GaussianKlShape s, const double* prior_mu, const double* prior_logvar) {
    cpu::gaussian_kl_forward<double>(ctx, s, &x, &x, prior_mu, prior_logvar, &y);
  };
  expect_error([&] { forward({-1, 1}, nullptr, nullptr); }, Exit::kUsage, {"gaussian_kl", "N >= 0", "-1"});
  expect_error([&] { forward({1, 3, 2}, nullptr, nullptr); }, Exit::kUsage, {"stride = 2"});
  expect_error([&] { forward({1, 1, 0, true}, &x, nullptr); }, Exit::kUsage, {"general prior", "prior_logvar null"});
  expect_error([&] { forward({1, 1}, &x, &x); }, Exit::kUsage, {"standard normal prior", "prior_mu given"});
  expect_error(
      [&] {
        cpu::gaussian_kl_backward<double>(ctx, {1, 1}, &x, &x, nullptr, nullptr, &x, {}, {}, {&y}, {});
      },
      Exit::kUsage, {"standard normal prior has no gradients"});
  expect_error(
      [&] {
        cpu::gaussian_kl_loss<double>(ctx, {0, 1}, &x, &x, Weight{}, {&y}, {}, {});
      },
      Exit::kUsage, {"gaussian_kl_loss", "at least one sample"});
  expect_error(
      [&] {
        cpu::gaussian_kl_loss<double>(ctx, {1, 1, 0, true}, &x, &x, Weight{}, {&y}, {}, {});
      },
      Exit::kUsage, {"gaussian_kl_loss", "standard normal prior"});
}

}  // namespace
}  // namespace hourglass::test
