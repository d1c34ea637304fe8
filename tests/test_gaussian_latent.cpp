// SPDX-License-Identifier: Apache-2.0
#include "kernels/gaussian_kl.h"
#include "kernels/gaussian_latent.h"
#include "tests/cases/gaussian_latent.h"
#include "tests/latent_checks.h"

namespace hourglass::test {
namespace {

template <class T>
struct Forward {
  std::vector<T> z, kl;
};
template <class T, class Form>
Forward<T> forward(const LatentProblem<T>& p, Form form, const Context& ctx = test_context()) {
  Guarded<T> z(p.z_size()), kl(p.s.N);
  form(ctx, p.s, p.mu(), p.logvar(), p.noise, z.data(), kl.data());
  return {z.values(), kl.values()};
}

template <class T>
struct Backward {
  std::vector<T> dx;
  T value;
};
constexpr Weight kWeight{3.5};
template <class T, class Form>
Backward<T> backward(const LatentProblem<T>& p, const std::vector<T>& kl, Form form,
                     const Context& ctx = test_context(), bool with_dz = true) {
  const std::string name = p.name("gaussian_latent");
  const auto run = [&](Grad<T> value, Grad<T> dx) {
    form(ctx, p.s, p.mu(), p.logvar(), p.noise, with_dz ? p.dz.data() : nullptr, kWeight, kl.data(), value, p.dmu(dx),
         p.dlogvar(dx));
  };
  const auto dx = expect_set_and_add<T>(
      p.head.size, [&](Grad<T> g) { run({}, g); }, fp32_tolerance(1), name + " dx");
  const auto value = expect_set_and_add<T>(
      1, [&](Grad<T> g) { run(g, {}); }, fp32_tolerance(1), name + " value");
  return {dx, value[0]};
}

constexpr auto kTimedForward = [](auto&&... a) { cpu::gaussian_latent_forward(a...); };
constexpr auto kTimedBackward = [](auto&&... a) { cpu::gaussian_latent_backward(a...); };
template <class T>
constexpr auto kReferenceForward = [](auto&&... a) { cpu::gaussian_latent_forward<T>(a...); };
template <class T>
constexpr auto kReferenceBackward = [](auto&&... a) { cpu::gaussian_latent_backward<T>(a...); };

TEST(gaussian_latent, float_forms_agree_with_double) {
  for (const LatentShape& s : kGaussianLatentCases) {
    const LatentProblem<float> p(s);
    const LatentProblem<double> truth(s);
    SCOPED_TRACE(p.name("gaussian_latent"));
    const auto want = forward(truth, kReferenceForward<double>);
    const auto want_back = backward(truth, want.kl, kReferenceBackward<double>);
    const auto check = [&](const Forward<float>& got, const Backward<float>& back, const std::string& form) {
      expect_close(got.z, want.z, fp32_tolerance(s.D), form + " z");
      expect_close(got.kl, want.kl, fp32_tolerance(s.D, 1.0 * s.D), form + " kl");
      expect_close(back.dx, want_back.dx, fp32_tolerance(s.D), form + " dx");
      EXPECT_NEAR(back.value, want_back.value, 1e-5 * s.D) << form;
    };
    const auto timed = forward(p, kTimedForward), reference = forward(p, kReferenceForward<float>);
    check(timed, backward(p, timed.kl, kTimedBackward), "timed");
    check(reference, backward(p, reference.kl, kReferenceBackward<float>), "reference");
  }
}

TEST(gaussian_latent, without_a_gradient_of_z_only_the_kl_counts) {
  for (const LatentShape& s : {LatentShape{128, 20, 1, 40}, LatentShape{4, 300, 2}}) {
    LatentProblem<double> truth(s);
    const auto kl = forward(truth, kReferenceForward<double>).kl;
    const auto without = backward(truth, kl, kReferenceBackward<double>, test_context(), false);
    std::fill(truth.dz.begin(), truth.dz.end(), 0.0);
    expect_close(without.dx, backward(truth, kl, kReferenceBackward<double>).dx, exact());
    const auto timed = backward(LatentProblem<float>(s), converted<float>(kl), kTimedBackward, test_context(), false);
    expect_close(timed.dx, without.dx, fp32_tolerance(s.D));
  }
}

TEST(gaussian_latent, one_gradient_alone_is_the_same) {
  const LatentProblem<float> p({33, 20, 1, 40});
  const std::vector<float> kl(33, 0.0f);
  const auto run = [&](Grad<float> dmu, Grad<float> dlogvar) {
    cpu::gaussian_latent_backward(test_context(), p.s, p.mu(), p.logvar(), p.noise, p.dz.data(), kWeight, kl.data(), {},
                                  dmu, dlogvar);
  };
  Guarded<float> both(p.head.size), mu(p.head.size), logvar(p.head.size);
  run({both.data()}, {both.data() + p.head.logvar});
  run({mu.data()}, {});
  run({}, {logvar.data() + p.head.logvar});
  expect_same_bits(p.head.block(mu, 0), p.head.block(both, 0), "dmu");
  expect_same_bits(p.head.block(logvar, 20), p.head.block(both, 20), "dlogvar");
  EXPECT_TRUE(std::isnan(mu[20]) && std::isnan(logvar[0])) << "wrote into the other's columns";
}

TEST(gaussian_latent, leaves_what_lies_between_rows_alone) {
  for (int D : {20, 70}) {
    const LatentShape s{9, D, 1, 2 * D + 3};
    const LatentProblem<float> p(s);
    const std::vector<float> kl(9, 0.0f);
    Guarded<float> dx(p.head.size);
    cpu::gaussian_latent_backward(test_context(), s, p.mu(), p.logvar(), p.noise, p.dz.data(), kWeight, kl.data(), {},
                                  {dx.data()}, {dx.data() + D});
    for (int64_t i = 0; i < dx.size(); ++i) {
      ASSERT_EQ(std::isnan(dx[i]), i % s.stride >= 2 * D) << "D = " << D << ", element " << i;
    }
  }
}

TEST(gaussian_latent, same_bits_for_any_number_of_threads) {
  for (const LatentShape& s : kGaussianLatentCases) {
    const LatentProblem<float> p(s);
    SCOPED_TRACE(p.name("gaussian_latent"));
    expect_same_bits_for_threads(
        [&](const Context& ctx) {
          auto [all, kl] = forward(p, kTimedForward, ctx);
          const auto back = backward(p, kl, kTimedBackward, ctx);
          all.insert(all.end(), kl.begin(), kl.end());
          all.insert(all.end(), back.dx.begin(), back.dx.end());
          all.push_back(back.value);
          return all;
        },
        "z, kl, dx, value");
  }
}

TEST(gaussian_latent, is_the_derivative) {
  for (const LatentShape& s : {LatentShape{3, 5}, LatentShape{2, 6, 4, 12}, LatentShape{1, 1}}) {
    LatentProblem<double> p(s);
    p.x[0] = 21.5;                                                    // mu
    p.x[static_cast<size_t>(p.head.logvar)] = s.D == 1 ? 21.5 : 1.5;  // beyond the bound of sigma and v
    if (s.D == 1) p.dz.assign(p.dz.size(), 1e-6);  // or the difference quotient drowns in the rounding of e^10
    const auto kl = forward(p, kReferenceForward<double>).kl;
    const double scale = s.D == 1 ? 1e-6 : 1;
    const auto objective = [&](const std::vector<double>& x) {
      LatentProblem<double> at(p);
      at.x = x;
      const auto y = forward(at, kReferenceForward<double>);
      double mean = 0;
      for (double k : y.kl) mean += k / s.N;
      return weighted_sum(y.z, p.dz) + scale * mean;
    };
    Guarded<double> dx(p.head.size);
    cpu::gaussian_latent_backward<double>(test_context(), s, p.mu(), p.logvar(), p.noise, p.dz.data(), Weight{scale},
                                          kl.data(), {}, p.dmu({dx.data()}), p.dlogvar({dx.data()}));
    gradcheck(objective, p.x, dx, p.name("gaussian_latent dx"));
  }
}

TEST(gaussian_latent, equals_sampling_and_kl_apart) {
  const auto check = [](auto type, const LatentShape& s) {
    using T = decltype(type);
    const LatentProblem<T> p(s);
    SCOPED_TRACE(p.name("gaussian_latent"));
    const Context ctx = test_context();
    Guarded<T> z(p.z_size()), kl(s.N), dx(p.head.size), value(1);
    cpu::reparameterize_forward(ctx, s, p.mu(), p.logvar(), p.noise, z.data());
    const GaussianKlShape ks{s.N, s.D, s.stride};
    cpu::gaussian_kl_forward<T>(ctx, ks, p.mu(), p.logvar(), nullptr, nullptr, kl.data());
    Grad<T> g{dx.data()};
    cpu::reparameterize_backward(ctx, s, p.logvar(), p.noise, p.dz.data(), p.dmu(g), p.dlogvar(g));
    g.mode = Write::kAdd;
    cpu::gaussian_kl_loss<T>(ctx, ks, p.mu(), p.logvar(), kWeight, {value.data()}, p.dmu(g), p.dlogvar(g));

    const auto fused = forward(p, kTimedForward);
    const auto back = backward(p, fused.kl, kTimedBackward);
    expect_close(fused.z, z, tolerance_for<T>(s.D));
    expect_close(fused.kl, kl, tolerance_for<T>(s.D, s.D));
    expect_close(back.dx, dx, tolerance_for<T>(s.D, 1));
    expect_close(std::vector<T>{back.value}, value, tolerance_for<T>(s.D, s.D));
  };
  for (const LatentShape& s : kGaussianLatentCases) check(float{}, s), check(double{}, s);
}

TEST(gaussian_latent, inputs_of_ten_thousand_stay_finite) {
  const LatentShape s{64, 33, 2, 66};
  const auto check = [&](auto type, auto forward_form, auto backward_form) {
    using T = decltype(type);
    LatentProblem<T> p(s);
    for (size_t i = 0; i < p.x.size(); ++i) p.x[i] = i % 3 == 0 ? T(1e4) : i % 3 == 1 ? T(-1e4) : T(0);
    const auto y = forward(p, forward_form);
    const auto back = backward(p, y.kl, backward_form);
    bool finite = true;
    for (T v : y.z) finite = finite && std::isfinite(v);
    for (T v : y.kl) finite = finite && std::isfinite(v);
    for (T v : back.dx) finite = finite && std::isfinite(v);
    EXPECT_TRUE(finite && std::isfinite(back.value));
    return std::pair(y, back);
  };
  const auto want = check(double{}, kReferenceForward<double>, kReferenceBackward<double>);
  const auto timed = check(float{}, kTimedForward, kTimedBackward);
  check(float{}, kReferenceForward<float>, kReferenceBackward<float>);
  expect_close(timed.first.z, want.first.z, fp32_tolerance(1));
  expect_close(timed.first.kl, want.first.kl, fp32_tolerance(s.D));
  expect_close(timed.second.dx, want.second.dx, fp32_tolerance(1));
}

TEST(gaussian_latent, a_nan_reaches_its_own_sample_only) {
  LatentProblem<float> p({40, 20, 1, 40});
  p.x[static_cast<size_t>(7 * 40 + 20 + 3)] = std::numeric_limits<float>::quiet_NaN();  // logvar[7][3]
  const auto y = forward(p, kTimedForward);
  for (int64_t i = 0; i < p.z_size(); ++i) ASSERT_EQ(std::isnan(y.z[static_cast<size_t>(i)]), i == 7 * 20 + 3) << i;
  for (int n = 0; n < 40; ++n) ASSERT_EQ(std::isnan(y.kl[static_cast<size_t>(n)]), n == 7) << n;
}

TEST(gaussian_latent, kl_is_the_mean_log_ratio_of_samples) {
  constexpr int kDraws = 200000;
  const LatentShape s{1, 2, kDraws};
  const std::vector<double> mu{0.7, -0.4}, logvar{-0.9, 0.5};
  Noise noise;
  noise.draws = kDraws;
  Guarded<double> z(2 * kDraws), kl(1);
  cpu::gaussian_latent_forward(test_context(), s, mu.data(), logvar.data(), noise, z.data(), kl.data());
  double sum = 0, squares = 0;
  for (int k = 0; k < kDraws; ++k) {
    double ratio = 0;
    for (int d = 0; d < 2; ++d) {
      const double v = z[2 * k + d], eps = (v - mu[d]) / std::exp(logvar[d] / 2);
      ratio += -0.5 * eps * eps - 0.5 * logvar[d] + 0.5 * v * v;  // log q(z) - log p(z)
    }
    sum += ratio;
    squares += ratio * ratio;
  }
  const double mean = sum / kDraws, deviation = std::sqrt((squares / kDraws - mean * mean) / kDraws);
  EXPECT_LE(std::abs(mean - kl[0]), 4 * deviation);
  EXPECT_LE(deviation, 0.005);
}

TEST(gaussian_latent, nothing_in_nothing_out) {
  const Noise noise;
  cpu::gaussian_latent_forward(test_context(), {0, 5}, static_cast<float*>(nullptr), nullptr, noise, nullptr, nullptr);
  Guarded<float> kl(3);
  const LatentShape empty{3, 0};
  cpu::gaussian_latent_forward(test_context(2), empty, static_cast<float*>(nullptr), nullptr, noise, nullptr,
                               kl.data());
  expect_close(kl, std::vector<float>(3, 0.0f), exact());
  Guarded<float> z(60), want(60), unused(3);  // without kl
  const LatentProblem<float> p({3, 20});
  cpu::gaussian_latent_forward(test_context(), p.s, p.mu(), p.logvar(), p.noise, z.data(), nullptr);
  cpu::gaussian_latent_forward(test_context(), p.s, p.mu(), p.logvar(), p.noise, want.data(), unused.data());
  expect_same_bits(z, want);
}

TEST(gaussian_latent, refuses_what_the_header_lists) {
  const auto run = [](LatentShape s, int draws) {
    Noise noise;
    noise.draws = draws;
    cpu::gaussian_latent_forward(test_context(), s, static_cast<float*>(nullptr), nullptr, noise, nullptr, nullptr);
  };
  expect_error([&] { run({-1, 5}, 1); }, Exit::kUsage, {"gaussian_latent", "N >= 0", "-1"});
  expect_error([&] { run({1, 5, 0}, 0); }, Exit::kUsage, {"draws >= 1", "draws = 0"});
  expect_error([&] { run({1, 5, 1, 4}, 1); }, Exit::kUsage, {"stride", "stride = 4"});
  expect_error([&] { run({1, 5, 3}, 2); }, Exit::kUsage, {"3 draws", "noise has 2"});
  const auto mean = [](auto type) {
    using T = decltype(type);
    const T* const none = nullptr;
    cpu::gaussian_latent_backward(test_context(), {0, 5}, none, none, Noise{}, none, Weight{}, none, Grad<T>{},
                                  Grad<T>{}, Grad<T>{});
  };
  expect_error([&] { mean(float{}); }, Exit::kUsage, {"gaussian_latent", "at least one sample"});
  expect_error([&] { mean(double{}); }, Exit::kUsage, {"gaussian_latent", "at least one sample"});
}

}  // namespace
}  // namespace hourglass::test
