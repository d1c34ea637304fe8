// SPDX-License-Identifier: Apache-2.0
#include "kernels/gaussian_kl.h"
#include "tests/cases/gaussian_kl.h"
#include "tests/cuda_harness.h"
#include "tests/latent_checks.h"

namespace hourglass::test {
namespace {

/// Inputs of the storage type, and all outputs of the double reference on them.
template <class T>
struct Problem {
  GaussianKlShape s;
  Head head;
  std::vector<T> x, prior;  ///< mu and logvar; prior_mu, then prior_logvar
  std::vector<float> dkl;
  std::vector<double> kl, dx, dprior;

  explicit Problem(GaussianKlShape shape, double spread = 2)
      : s(shape),
        head(s.N, s.D, s.stride),
        x(random_values<T>(head.size, 1, -spread, spread)),
        prior(random_values<T>(s.general_prior ? 2 * prior_size() : 0, 2, -spread, spread)),
        dkl(random_values<float>(s.N, 3)),
        kl(static_cast<size_t>(s.N)),
        dx(x.size()),
        dprior(prior.size()) {
    const auto x64 = converted<double>(x), prior64 = converted<double>(prior), dkl64 = converted<double>(dkl);
    const double* const prior_mu = s.general_prior ? prior64.data() : nullptr;
    const double* const prior_logvar = prior_mu ? prior_mu + prior_size() : nullptr;
    cpu::gaussian_kl_forward<double>({}, s, x64.data(), x64.data() + head.logvar, prior_mu, prior_logvar, kl.data());
    Grad<double> dprior_mu, dprior_logvar;
    if (s.general_prior) dprior_mu = {dprior.data()}, dprior_logvar = {dprior.data() + prior_size()};
    cpu::gaussian_kl_backward<double>({}, s, x64.data(), x64.data() + head.logvar, prior_mu, prior_logvar, dkl64.data(),
                                      {dx.data()}, {dx.data() + head.logvar}, dprior_mu, dprior_logvar);
  }
  int64_t prior_size() const { return int64_t{s.N} * s.D; }
};

template <class T>
Grad<T> at(Grad<T> g, int64_t offset) {
  return {g ? g.data + offset : nullptr, g.mode};
}

template <class T>
void check(const GaussianKlShape& s, int offset) {
  const Problem<T> p(s);
  SCOPED_TRACE(describe("gaussian_kl", {s.N, s.D, s.stride, s.general_prior, offset}));
  const DeviceArray<T> x(p.x, offset), prior(p.prior, offset);
  const DeviceArray<float> dkl(p.dkl);
  const T* const mu = x.data();
  const T* const logvar = mu + p.head.logvar;
  const T* const prior_mu = s.general_prior ? prior.data() : nullptr;
  const T* const prior_logvar = prior_mu ? prior_mu + p.prior_size() : nullptr;
  const auto kl = on_cuda([&](const Context& ctx) {
    DeviceArray<float> out(s.N);
    cuda::gaussian_kl_forward(ctx, s, mu, logvar, prior_mu, prior_logvar, out.data());
    return out.values();
  });
  // Values near zero are differences of terms of order 1, a column each.
  expect_close(kl, p.kl, cuda_tolerance<float>(s.D, s.D), "kl");
  const auto backward = [&](const Context& ctx, Grad<T> dx, Grad<T> dprior) {
    cuda::gaussian_kl_backward(ctx, s, mu, logvar, prior_mu, prior_logvar, dkl.data(), dx, at(dx, p.head.logvar),
                               dprior, at(dprior, p.prior_size()));
  };
  expect_close(expect_set_and_add_on_cuda<T>(
                   p.head.size, [&](const Context& ctx, Grad<T> g) { backward(ctx, g, {}); }, cuda_tolerance<T>(1)),
               p.dx, cuda_tolerance<T>(1), "dx");
  if (!s.general_prior) return;
  expect_close(
      expect_set_and_add_on_cuda<T>(
          2 * p.prior_size(), [&](const Context& ctx, Grad<T> g) { backward(ctx, {}, g); }, cuda_tolerance<T>(1)),
      p.dprior, cuda_tolerance<T>(1), "dprior");
}

template <class T>
void check_loss(const GaussianKlShape& s, int offset) {
  SCOPED_TRACE(describe("gaussian_kl_loss", {s.N, s.D, s.stride, offset}));
  const Problem<T> p(s);
  std::vector<double> value(1), dx(p.x.size());
  const auto x64 = converted<double>(p.x);
  cpu::gaussian_kl_loss<double>({}, s, x64.data(), x64.data() + p.head.logvar, {1.5}, {value.data()}, {dx.data()},
                                {dx.data() + p.head.logvar});
  const DeviceArray<T> x(p.x, offset);
  const DeviceArray<double> scheduled(std::vector<double>{0.5});
  const auto loss = [&](const Context& ctx, Grad<float> v, Grad<T> g) {
    cuda::gaussian_kl_loss(ctx, s, x.data(), x.data() + p.head.logvar, {3, scheduled.data()}, v, g,
                           at(g, p.head.logvar));
  };
  const auto [got_value, got_dx] = on_cuda([&](const Context& ctx) {
    DeviceArray<float> a(1);
    DeviceArray<T> b(p.head.size, offset);
    loss(ctx, {a.data()}, {b.data()});
    return std::tuple(a.values(), b.values());
  });
  expect_close(got_value, value, cuda_tolerance<float>(s.D, s.D), "value");
  expect_close(got_dx, dx, cuda_tolerance<T>(1), "dx");
  const auto alone = expect_set_and_add_on_cuda<float>(
      1, [&](const Context& ctx, Grad<float> v) { loss(ctx, v, {}); }, cuda_tolerance<float>(1), "value alone");
  expect_same_bits(alone, got_value, "value alone");
  expect_set_and_add_on_cuda<T>(
      p.head.size, [&](const Context& ctx, Grad<T> g) { loss(ctx, {}, g); }, cuda_tolerance<T>(1), "dx alone");
}

using GaussianKlCuda = CudaTest;

TEST_F(GaussianKlCuda, MeetsTheDoubleReference) {
  std::vector<GaussianKlShape> cases = kGaussianKlCases;
  cases.push_back({2, 4000, 0, false});  // rows cut into segments
  for (const GaussianKlShape& s : cases) {
    for (int offset : {0, 1}) {
      check<float>(s, offset);
      check<bf16>(s, offset);
      if (s.N == 0 || s.general_prior) continue;
      check_loss<float>(s, offset);
      check_loss<bf16>(s, offset);
    }
  }
}

TEST_F(GaussianKlCuda, InputsOfTenThousandStayFinite) {
  for (const bool general : {false, true}) {
    Problem<float> p({3, 4, 8, general});
    for (size_t i = 0; i < p.x.size(); ++i) p.x[i] = i % 3 == 0 ? 1e4f : i % 3 == 1 ? -1e4f : 0.0f;
    for (size_t i = 0; i < p.prior.size(); ++i) p.prior[i] = i % 2 == 0 ? 1e4f : -1e4f;
    const DeviceArray<float> x(p.x), prior(p.prior), dkl(std::vector<float>(3, 1.0f));
    const float* const prior_mu = general ? prior.data() : nullptr;
    const float* const prior_logvar = general ? prior_mu + 12 : nullptr;
    const auto [kl, dx, dprior] = on_cuda([&](const Context& ctx) {
      DeviceArray<float> a(3), b(p.head.size), c(24);
      cuda::gaussian_kl_forward(ctx, p.s, x.data(), x.data() + 4, prior_mu, prior_logvar, a.data());
      const Grad<float> dprior_mu{general ? c.data() : nullptr};
      cuda::gaussian_kl_backward(ctx, p.s, x.data(), x.data() + 4, prior_mu, prior_logvar, dkl.data(), {b.data()},
                                 {b.data() + 4}, dprior_mu, at(dprior_mu, 12));
      return std::tuple(a.values(), b.values(), general ? c.values() : std::vector<float>(24));
    });
    const auto finite = [](const std::vector<float>& values) {
      return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
    };
    EXPECT_TRUE(finite(kl) && finite(dx) && finite(dprior)) << general;
  }
}

TEST_F(GaussianKlCuda, RefusesWhatTheHeaderLists) {
  const Context ctx = cuda_context();
  const float* const none = nullptr;
  float somewhere = 0;
  expect_error(
      [&] {
        cuda::gaussian_kl_forward<float>(ctx, {1, 5, 4}, none, none, none, none, nullptr);
      },
      Exit::kUsage, {"gaussian_kl", "stride = 4"});
  expect_error(
      [&] {
        cuda::gaussian_kl_forward<float>(ctx, {1, 5, 0, true}, none, none, none, none, nullptr);
      },
      Exit::kUsage, {"gaussian_kl", "general", "null"});
  expect_error(
      [&] {
        cuda::gaussian_kl_backward<float>(ctx, {1, 5}, none, none, none, none, none, {}, {}, {&somewhere}, {});
      },
      Exit::kUsage, {"gaussian_kl", "no gradients"});
  expect_error(
      [&] {
        cuda::gaussian_kl_loss<float>(ctx, {0, 5}, none, none, {}, {}, {}, {});
      },
      Exit::kUsage, {"gaussian_kl_loss", "at least one"});
}

}  // namespace
}  // namespace hourglass::test
