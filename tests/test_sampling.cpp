// SPDX-License-Identifier: Apache-2.0
// Sampling against the distributions it stands for, through the ops: Monte-Carlo means within five standard errors of
// closed forms. The seeds are fixed, so these tests do not flicker.
#include <cmath>
#include <numbers>

#include "engine/ops.h"
#include "tests/model_fixture.h"

namespace hourglass::test {
namespace {

using Values = std::vector<double>;

constexpr int kLatents = 5, kDraws = 50000;
// Near and far from the prior, narrow and wide.
const Values kMu{0, 0.7, -2, 1.5, 0.1}, kLogvar{0, -1, 0.5, -4, 1.2};

Noise noise_of(const char* stream) {
  Noise noise;
  noise.seed = 21;
  noise.stream = stream_id(stream);
  noise.draws = kDraws;
  return noise;
}

struct Sampler : TapeFixture {
  Sampler() {
    runtime.arena().reserve(runtime.ctx(), size_t{64} << 20);
    allocate();
  }
  Var row(const Values& values) {
    const Var v = tape.constant({1, static_cast<int64_t>(values.size())}, Dtype::kF64);
    assign(v, values);
    return v;
  }
};

/// Mean and standard error of value(k) over the draws.
struct Estimate {
  double mean = 0, error = 0;
};

template <class F>
Estimate estimate(F&& value) {
  double sum = 0, squares = 0;
  for (int k = 0; k < kDraws; ++k) {
    const double v = value(k);
    sum += v;
    squares += v * v;
  }
  const double mean = sum / kDraws;
  return {mean, std::sqrt((squares / kDraws - mean * mean) / (kDraws - 1))};
}

/// `sharpness` times the standard error must be below |expected|, or the test would see nothing.
void expect_estimate(const Estimate& e, double expected, const std::string& name, double sharpness = 0) {
  EXPECT_LE(std::abs(e.mean - expected), 5 * e.error) << name << ": " << e.mean << ", expected " << expected;
  EXPECT_LE(sharpness * e.error, std::abs(expected)) << name;
}

double log_normal(double z, double mu, double logvar) {
  return -0.5 * (std::log(2 * std::numbers::pi) + logvar + (z - mu) * (z - mu) * std::exp(-logvar));
}

TEST(sampling, moments_of_reparameterized_samples) {
  Sampler s;
  const double* z = reparameterize(s.tape, s.row(kMu), s.row(kLogvar), noise_of("moments")).as<double>();
  for (size_t d = 0; d < kLatents; ++d) {
    const std::string name = "latent " + std::to_string(d);
    const auto standard = [&](int k) {
      return (z[static_cast<size_t>(k) * kLatents + d] - kMu[d]) * std::exp(-kLogvar[d] / 2);
    };
    expect_estimate(estimate([&](int k) { return standard(k); }), 0, name + ", mean");
    expect_estimate(estimate([&](int k) { return std::pow(standard(k), 2); }), 1, name + ", variance", 100);
    expect_estimate(estimate([&](int k) { return std::pow(standard(k), 3); }), 0, name + ", skewness");
    expect_estimate(estimate([&](int k) { return std::pow(standard(k), 4); }), 3, name + ", kurtosis", 50);
    const size_t other = (d + 1) % kLatents;
    const auto pair = [&](int k) { return standard(k) * (z[static_cast<size_t>(k) * kLatents + other] - kMu[other]); };
    expect_estimate(estimate(pair), 0, name + ", covariance with the next");
    const auto successive = [&](int k) { return k ? standard(k) * standard(k - 1) : 0; };
    expect_estimate(estimate(successive), 0, name + ", covariance with the draw before");
  }
}

/// log q(z) - log p(z) averaged over z ~ q, from samples and densities alone.
TEST(sampling, kl_closed_form_against_monte_carlo) {
  const Values prior_mu{0.5, -0.3, 0, 1, 2}, prior_logvar{-0.5, 1, 0, -3, 0.4}, zeros(kLatents);
  for (bool general : {false, true}) {
    SCOPED_TRACE(general ? "general prior" : "standard prior");
    const Values& p_mu = general ? prior_mu : zeros;
    const Values& p_logvar = general ? prior_logvar : zeros;
    Sampler s;
    const Var mu = s.row(kMu), logvar = s.row(kLogvar);
    const double kl = general ? gaussian_kl_per_sample(s.tape, mu, logvar, s.row(p_mu), s.row(p_logvar)).as<double>()[0]
                              : gaussian_kl_per_sample(s.tape, mu, logvar).as<double>()[0];
    const double* z = reparameterize(s.tape, mu, logvar, noise_of("kl")).as<double>();
    const auto log_ratio = [&](int k) {
      double sum = 0;
      for (size_t d = 0; d < kLatents; ++d) {
        const double value = z[static_cast<size_t>(k) * kLatents + d];
        sum += log_normal(value, kMu[d], kLogvar[d]) - log_normal(value, p_mu[d], p_logvar[d]);
      }
      return sum;
    };
    expect_estimate(estimate(log_ratio), kl, "kl", 100);
  }
}

/// The pathwise gradient is that of the expectation: E[z^2] = mu^2 + sigma^2, so 2 mu and, for logvar, sigma^2.
TEST(sampling, pathwise_gradients_are_unbiased) {
  TapeFixture f;
  f.runtime.arena().reserve(f.runtime.ctx(), size_t{64} << 20);
  Parameter &mu = f.parameter("mu", {1, kLatents}), &logvar = f.parameter("logvar", {1, kLatents});
  f.allocate();
  assign(mu, kMu);
  assign(logvar, kLogvar);
  const Var z = reparameterize(f.tape, mu, logvar, noise_of("gradient"));
  f.tape.backward({{scale(f.tape, sum(f.tape, mul(f.tape, z, z)), 1.0 / kDraws), 1.0}});
  for (size_t d = 0; d < kLatents; ++d) {
    // Per draw 2 z and z (z - mu): standard deviations 2 sigma and, with m = |mu|, sqrt(m^2 s^2 + 2 s^4).
    const double variance = std::exp(kLogvar[d]), m2 = kMu[d] * kMu[d];
    const Estimate dmu{f.gradient(mu)[d], 2 * std::sqrt(variance / kDraws)};
    const Estimate dlogvar{f.gradient(logvar)[d], std::sqrt((m2 * variance + 2 * variance * variance) / kDraws)};
    expect_estimate(dmu, 2 * kMu[d], "dmu of latent " + std::to_string(d));
    expect_estimate(dlogvar, variance, "dlogvar of latent " + std::to_string(d));
  }
}

}  // namespace
}  // namespace hourglass::test
