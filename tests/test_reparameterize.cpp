// SPDX-License-Identifier: Apache-2.0
#include "kernels/base/philox.h"
#include "kernels/reparameterize.h"
#include "tests/cases/reparameterize.h"
#include "tests/latent_checks.h"

namespace hourglass::test {
namespace {

constexpr auto kTimedForward = [](auto&&... a) { cpu::reparameterize_forward(a...); };
constexpr auto kTimedBackward = [](auto&&... a) { cpu::reparameterize_backward(a...); };
template <class T>
constexpr auto kReferenceForward = [](auto&&... a) { cpu::reparameterize_forward<T>(a...); };
template <class T>
constexpr auto kReferenceBackward = [](auto&&... a) { cpu::reparameterize_backward<T>(a...); };

template <class T, class Form>
std::vector<T> forward(const LatentProblem<T>& p, Form form, const Context& ctx = test_context()) {
  Guarded<T> z(p.z_size());
  form(ctx, p.s, p.mu(), p.logvar(), p.noise, z.data());
  return z.values();
}
template <class T, class Form>
std::vector<T> backward(const LatentProblem<T>& p, Form form, const Context& ctx = test_context()) {
  return expect_set_and_add<T>(
      p.head.size, [&](Grad<T> dx) { form(ctx, p.s, p.logvar(), p.noise, p.dz.data(), p.dmu(dx), p.dlogvar(dx)); });
}

TEST(reparameterize, float_forms_agree_with_double) {
  for (const LatentShape& s : kReparameterizeCases) {
    const LatentProblem<float> p(s);
    const LatentProblem<double> truth(s);
    SCOPED_TRACE(p.name("reparameterize"));
    const auto z = forward(truth, kReferenceForward<double>), dx = backward(truth, kReferenceBackward<double>);
    expect_close(forward(p, kTimedForward), z, fp32_tolerance(1), "timed z");
    expect_close(forward(p, kReferenceForward<float>), z, fp32_tolerance(1), "reference z");
    expect_close(backward(p, kTimedBackward), dx, fp32_tolerance(s.draws), "timed dx");
    expect_close(backward(p, kReferenceBackward<float>), dx, fp32_tolerance(s.draws), "reference dx");
  }
}

TEST(reparameterize, is_the_formula) {
  const LatentProblem<double> p({2, 3, 2, 6});
  const auto z = forward(p, kReferenceForward<double>);
  for (int64_t r = 0; r < 4; ++r) {
    for (int64_t d = 0; d < 3; ++d) {
      const double mu = p.x[static_cast<size_t>(r / 2 * 6 + d)], logvar = p.x[static_cast<size_t>(r / 2 * 6 + 3 + d)];
      const double eps = normal<double>(p.noise, r, d);
      EXPECT_DOUBLE_EQ(z[static_cast<size_t>(r * 3 + d)], mu + std::exp(logvar / 2) * eps);
    }
  }
}

TEST(reparameterize, is_the_derivative) {
  for (const LatentShape& s : {LatentShape{3, 5}, LatentShape{2, 6, 4, 12}, LatentShape{1, 1}}) {
    LatentProblem<double> p(s);
    p.x[static_cast<size_t>(p.head.logvar)] = 21.5;  // beyond the bound of sigma
    for (double& g : p.dz) g *= 1e-3;                // or the difference quotient drowns in the rounding of e^10
    const auto dx = backward(p, kReferenceBackward<double>);
    const auto objective = [&](const std::vector<double>& x) {
      LatentProblem<double> at(p);
      at.x = x;
      return weighted_sum(forward(at, kReferenceForward<double>), p.dz);
    };
    gradcheck(objective, p.x, dx, p.name("reparameterize dx"));
  }
}

TEST(reparameterize, same_bits_for_any_number_of_threads) {
  for (const LatentShape& s : kReparameterizeCases) {
    const LatentProblem<float> p(s);
    expect_same_bits_for_threads([&](const Context& ctx) { return forward(p, kTimedForward, ctx); }, p.name("z"));
    expect_same_bits_for_threads([&](const Context& ctx) { return backward(p, kTimedBackward, ctx); }, p.name("dx"));
  }
}

TEST(reparameterize, one_gradient_alone_is_the_same) {
  const LatentProblem<float> p({33, 20, 2, 40});
  const auto check = [&](auto form) {
    Guarded<float> both(p.head.size), mu(p.head.size), logvar(p.head.size);
    const auto run = [&](Grad<float> dmu, Grad<float> dlogvar) {
      form(test_context(), p.s, p.logvar(), p.noise, p.dz.data(), dmu, dlogvar);
    };
    run({both.data()}, {both.data() + 20});
    run({mu.data()}, {});
    run({}, {logvar.data() + 20});
    expect_same_bits(p.head.block(mu, 0), p.head.block(both, 0), "dmu");
    expect_same_bits(p.head.block(logvar, 20), p.head.block(both, 20), "dlogvar");
    EXPECT_TRUE(std::isnan(mu[20]) && std::isnan(logvar[0])) << "wrote into the other's columns";
  };
  check(kTimedBackward);
  check(kReferenceBackward<float>);
}

TEST(reparameterize, inputs_of_ten_thousand_stay_finite) {
  const auto check = [](auto type, auto forward_form, auto backward_form) {
    LatentProblem<decltype(type)> p({16, 9, 2, 18});
    for (size_t i = 0; i < p.x.size(); ++i) p.x[i] = i % 3 == 0 ? 1e4f : i % 3 == 1 ? -1e4f : 0.0f;
    bool finite = true;
    for (auto v : forward(p, forward_form)) finite = finite && std::isfinite(v);
    for (auto v : backward(p, backward_form)) finite = finite && std::isfinite(v);
    EXPECT_TRUE(finite);
  };
  check(float{}, kTimedForward, kTimedBackward);
  check(float{}, kReferenceForward<float>, kReferenceBackward<float>);
  check(double{}, kReferenceForward<double>, kReferenceBackward<double>);
}

TEST(reparameterize, noise_is_the_normals_of_the_header) {
  for (const LatentShape& s : {LatentShape{5, 7, 3}, LatentShape{2, 2050}, LatentShape{70, 1}, LatentShape{0, 3}}) {
    Noise noise;
    noise.seed = 4;
    noise.draws = s.draws;
    std::vector<double> want;
    for (int64_t r = 0; r < int64_t{s.N} * s.draws; ++r) {
      for (int64_t d = 0; d < s.D; ++d) want.push_back(normal<double>(noise, r, d));
    }
    const auto count = static_cast<int64_t>(want.size());
    Guarded<double> both(count);
    Guarded<float> reference(count), timed(count);
    cpu::normal_fill(test_context(), s, noise, both.data());
    cpu::normal_fill<float>(test_context(), s, noise, reference.data());
    cpu::normal_fill(test_context(2), s, noise, timed.data());
    expect_close(both, want, exact());
    expect_close(reference, want, fp32_tolerance(1));
    expect_close(timed, want, fp32_tolerance(1));
  }
}

TEST(reparameterize, samples_do_not_depend_on_the_batch) {
  const LatentProblem<float> whole({10, 21, 1, 42});
  const auto z = forward(whole, kTimedForward);
  LatentProblem<float> part({4, 21, 1, 42});  // rows 6 .. 9 of it alone
  part.x.assign(whole.x.begin() + 6 * 42, whole.x.end());
  part.noise.first_row = whole.noise.first_row + 6;
  expect_same_bits(forward(part, kTimedForward), std::vector<float>(z.begin() + 6 * 21, z.end()));
}

TEST(reparameterize, refuses_what_the_header_lists) {
  const auto run = [](LatentShape s, int draws) {
    Noise noise;
    noise.draws = draws;
    const float* const none = nullptr;
    cpu::reparameterize_forward(test_context(), s, none, none, noise, static_cast<float*>(nullptr));
  };
  expect_error([&] { run({1, -5}, 1); }, Exit::kUsage, {"reparameterize", "D >= 0", "-5"});
  expect_error([&] { run({1, 5, 1, 4}, 1); }, Exit::kUsage, {"stride", "stride = 4"});
  expect_error([&] { run({1, 5, 3}, 2); }, Exit::kUsage, {"3 draws", "noise has 2"});
  expect_error(
      [&] {
        cpu::normal_fill(test_context(), {1, -1}, Noise{}, static_cast<float*>(nullptr));
      },
      Exit::kUsage, {"normal_fill", "-1"});
}

}  // namespace
}  // namespace hourglass::test
