// SPDX-License-Identifier: Apache-2.0
#include "kernels/gaussian_latent.h"
#include "tests/cases/gaussian_latent.h"
#include "tests/cuda_harness.h"
#include "tests/latent_checks.h"

namespace hourglass::test {
namespace {

constexpr Weight kWeight{3.5};

/// The problem in double on the very inputs of the storage type under test.
template <class T>
LatentProblem<double> truth_of(const LatentProblem<T>& p) {
  LatentProblem<double> truth(p.s);
  truth.x = converted<double>(p.x);
  truth.dz = converted<double>(p.dz);
  truth.noise = p.noise;
  return truth;
}

struct Want {
  std::vector<double> z, kl, dx, value = std::vector<double>(1);
  explicit Want(const LatentProblem<double>& p, bool with_dz = true)
      : z(static_cast<size_t>(p.z_size())),
        kl(static_cast<size_t>(p.s.N)),
        dx(static_cast<size_t>(p.head.size), std::numeric_limits<double>::quiet_NaN()) {
    cpu::gaussian_latent_forward<double>({}, p.s, p.mu(), p.logvar(), p.noise, z.data(), kl.data());
    cpu::gaussian_latent_backward<double>({}, p.s, p.mu(), p.logvar(), p.noise, with_dz ? p.dz.data() : nullptr,
                                          kWeight, kl.data(), {value.data()}, p.dmu({dx.data()}),
                                          p.dlogvar({dx.data()}));
  }
};

/// Elements between rows belong to nobody: they are compared as zeros.
template <class T>
std::vector<double> covered(const std::vector<T>& dx, const std::vector<double>& want) {
  std::vector<double> result = converted<double>(dx);
  for (size_t i = 0; i < result.size(); ++i) {
    if (std::isnan(want[i])) result[i] = std::isnan(result[i]) ? 0 : 1e30;
  }
  return result;
}

template <class T>
auto run(const LatentProblem<T>& p, int offset, bool with_dz = true) {
  const DeviceArray<T> x(p.x, offset), dz(p.dz, offset);
  const T* const mu = x.data();
  const T* const logvar = mu + p.head.logvar;
  return on_cuda([&](const Context& ctx) {
    DeviceArray<T> z(p.z_size(), offset), dx(p.head.size, offset);
    DeviceArray<float> kl(p.s.N), value(1);
    cuda::gaussian_latent_forward(ctx, p.s, mu, logvar, p.noise, z.data(), kl.data());
    cuda::gaussian_latent_backward(ctx, p.s, mu, logvar, p.noise, with_dz ? dz.data() : nullptr, kWeight, kl.data(),
                                   {value.data()}, p.dmu({dx.data()}), p.dlogvar({dx.data()}));
    return std::tuple(z.values(), kl.values(), dx.values(), value.values());
  });
}

template <class T>
void check(const LatentProblem<T>& p, int offset, bool with_dz = true) {
  SCOPED_TRACE(p.name("gaussian_latent") + (offset ? " beside the alignment" : ""));
  const Want want(truth_of(p), with_dz);
  const auto [z, kl, dx, value] = run(p, offset, with_dz);
  const double D = p.s.D;
  expect_close(z, want.z, cuda_tolerance<T>(p.s.D), "z");
  expect_close(kl, want.kl, cuda_tolerance<float>(p.s.D, D), "kl");
  expect_close(value, want.value, cuda_tolerance<float>(p.s.D, D), "value");
  std::vector<double> want_dx = want.dx;
  for (double& v : want_dx) v = std::isnan(v) ? 0 : v;
  expect_close(covered(dx, want.dx), want_dx, cuda_tolerance<T>(p.s.D), "dx");
}

using GaussianLatentCuda = CudaTest;

TEST_F(GaussianLatentCuda, MeetsTheDoubleReference) {
  for (const LatentShape& s : kGaussianLatentCases) {
    for (int offset : {0, 1}) {
      check(LatentProblem<float>(s), offset);
      check(LatentProblem<bf16>(s), offset);
    }
  }
}

TEST_F(GaussianLatentCuda, WithoutAGradientOfZOnlyTheKlCounts) {
  for (const LatentShape& s : {LatentShape{128, 20, 1, 40}, LatentShape{4, 300, 2}}) {
    check(LatentProblem<float>(s), 0, false);
  }
}

/// Rows, step and draws read from device memory; rows with gaps between them.
TEST_F(GaussianLatentCuda, NoiseIsAddressedFromDeviceMemory) {
  LatentProblem<float> p({9, 20, 3, 43});
  const std::vector<int32_t> rows = {5, 3, 100000, 0, 7, 7, 1, 2, 59999};
  const std::vector<int64_t> step = {123456789};
  const std::vector<int32_t> first_draw = {17};
  p.noise.rows = rows.data();
  p.noise.step = step.data();
  p.noise.first_draw = first_draw.data();
  const Want want(truth_of(p));
  const DeviceArray<int32_t> device_rows(rows), device_draw(first_draw);
  const DeviceArray<int64_t> device_step(step);
  p.noise.rows = device_rows.data();
  p.noise.step = device_step.data();
  p.noise.first_draw = device_draw.data();
  const auto [z, kl, dx, value] = run(p, 0);
  expect_close(z, want.z, cuda_tolerance<float>(20), "z");
  std::vector<double> want_dx = want.dx;
  for (double& v : want_dx) v = std::isnan(v) ? 0 : v;
  expect_close(covered(dx, want.dx), want_dx, cuda_tolerance<float>(20), "dx");
}

TEST_F(GaussianLatentCuda, SetsAddsAndSkips) {
  for (const LatentShape& s : {LatentShape{128, 20, 1, 40}, LatentShape{3, 7, 3, 14}}) {
    const LatentProblem<float> p(s);
    const DeviceArray<float> x(p.x), dz(p.dz), kl(std::vector<float>(static_cast<size_t>(s.N), 0.25f));
    const auto backward = [&](const Context& ctx, Grad<float> value, Grad<float> dmu, Grad<float> dlogvar) {
      cuda::gaussian_latent_backward(ctx, s, x.data(), x.data() + p.head.logvar, p.noise, dz.data(), kWeight, kl.data(),
                                     value, dmu, dlogvar);
    };
    const auto both = expect_set_and_add_on_cuda<float>(
        p.head.size, [&](const Context& ctx, Grad<float> g) { backward(ctx, {}, p.dmu(g), p.dlogvar(g)); },
        cuda_tolerance<float>(1), "dx");
    const auto value = expect_set_and_add_on_cuda<float>(
        1, [&](const Context& ctx, Grad<float> g) { backward(ctx, g, {}, {}); }, cuda_tolerance<float>(1), "value");
    EXPECT_EQ(value[0], 0.25f);
    const auto [mu, logvar] = on_cuda([&](const Context& ctx) {
      DeviceArray<float> a(p.head.size), b(p.head.size);
      backward(ctx, {}, p.dmu({a.data()}), {});
      backward(ctx, {}, {}, p.dlogvar({b.data()}));
      return std::tuple(a.values(), b.values());
    });
    expect_same_bits(p.head.block(mu, 0), p.head.block(both, 0), "dmu alone");
    expect_same_bits(p.head.block(logvar, p.head.logvar), p.head.block(both, p.head.logvar), "dlogvar alone");
    EXPECT_TRUE(std::isnan(mu[static_cast<size_t>(p.head.logvar)]) && std::isnan(logvar[0]))
        << "wrote into the other's columns";
  }
}

TEST_F(GaussianLatentCuda, InputsOfTenThousandStayFinite) {
  LatentProblem<float> p({64, 33, 2, 66});
  for (size_t i = 0; i < p.x.size(); ++i) p.x[i] = i % 3 == 0 ? 1e4f : i % 3 == 1 ? -1e4f : 0.0f;
  check(p, 0);
}

TEST_F(GaussianLatentCuda, ANanReachesItsOwnSampleOnly) {
  LatentProblem<float> p({40, 20, 1, 40});
  p.x[static_cast<size_t>(7 * 40 + 20 + 3)] = std::numeric_limits<float>::quiet_NaN();  // logvar[7][3]
  const auto [z, kl, dx, value] = run(p, 0);
  for (int64_t i = 0; i < p.z_size(); ++i) ASSERT_EQ(std::isnan(z[static_cast<size_t>(i)]), i == 7 * 20 + 3) << i;
  for (int n = 0; n < 40; ++n) ASSERT_EQ(std::isnan(kl[static_cast<size_t>(n)]), n == 7) << n;
}

TEST_F(GaussianLatentCuda, NothingInNothingOutAndErrors) {
  const Context ctx = cuda_context();
  const float* const none = nullptr;
  cuda::gaussian_latent_forward<float>(ctx, {0, 5}, none, none, Noise{}, nullptr, nullptr);
  const auto kl = on_cuda([&](const Context& context) {
    DeviceArray<float> out(3);
    cuda::gaussian_latent_forward<float>(context, {3, 0}, none, none, Noise{}, nullptr, out.data());
    return out.values();
  });
  expect_close(kl, std::vector<float>(3, 0.0f), exact());
  expect_error(
      [&] {
        cuda::gaussian_latent_forward<float>(ctx, {1, 5, 3}, none, none, Noise{}, nullptr, nullptr);
      },
      Exit::kUsage, {"gaussian_latent", "3 draws", "noise has 1"});
  expect_error(
      [&] {
        cuda::gaussian_latent_backward<float>(ctx, {0, 5}, none, none, Noise{}, none, Weight{}, none, {}, {}, {});
      },
      Exit::kUsage, {"gaussian_latent", "at least one sample"});
}

}  // namespace
}  // namespace hourglass::test
