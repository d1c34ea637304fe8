// SPDX-License-Identifier: Apache-2.0
#include "kernels/base/philox.h"
#include "kernels/reparameterize.h"
#include "tests/cases/reparameterize.h"
#include "tests/cuda_harness.h"
#include "tests/latent_checks.h"

namespace hourglass::test {
namespace {

template <class T>
void check(const LatentShape& s, int offset) {
  const LatentProblem<T> p(s);
  LatentProblem<double> truth(s);
  truth.x = converted<double>(p.x);
  truth.dz = converted<double>(p.dz);
  SCOPED_TRACE(p.name("reparameterize") + (offset ? " beside the alignment" : ""));
  const Head& h = p.head;
  std::vector<double> z(static_cast<size_t>(p.z_size())), eps(z.size()), dx(static_cast<size_t>(h.size));
  cpu::reparameterize_forward<double>({}, s, truth.mu(), truth.logvar(), p.noise, z.data());
  cpu::normal_fill<double>({}, s, p.noise, eps.data());
  cpu::reparameterize_backward<double>({}, s, truth.logvar(), p.noise, truth.dz.data(), truth.dmu({dx.data()}),
                                       truth.dlogvar({dx.data()}));

  const DeviceArray<T> x(p.x, offset), dz(p.dz, offset);
  const auto [got_z, got_eps] = on_cuda([&](const Context& ctx) {
    DeviceArray<T> a(p.z_size(), offset), b(p.z_size(), offset);
    cuda::reparameterize_forward(ctx, s, x.data(), x.data() + h.logvar, p.noise, a.data());
    cuda::normal_fill(ctx, s, p.noise, b.data());
    return std::tuple(a.values(), b.values());
  });
  expect_close(got_z, z, cuda_tolerance<T>(1), "z");
  expect_close(got_eps, eps, cuda_tolerance<T>(1), "eps");

  const auto got = expect_set_and_add_on_cuda<T>(
      h.size,
      [&](const Context& ctx, Grad<T> g) {
        cuda::reparameterize_backward(ctx, s, x.data() + h.logvar, p.noise, dz.data(), p.dmu(g), p.dlogvar(g));
      },
      cuda_tolerance<T>(1), "dx");
  expect_close(h.block(got, 0), h.block(dx, 0), cuda_tolerance<T>(s.draws), "dmu");
  expect_close(h.block(got, h.logvar), h.block(dx, h.logvar), cuda_tolerance<T>(s.draws), "dlogvar");
}

using ReparameterizeCuda = CudaTest;

TEST_F(ReparameterizeCuda, MeetsTheDoubleReference) {
  for (const LatentShape& s : kReparameterizeCases) {
    for (int offset : {0, 1}) {
      check<float>(s, offset);
      check<bf16>(s, offset);
    }
  }
}

/// One gradient alone is the same, and does not touch the other's columns.
TEST_F(ReparameterizeCuda, SkipsWhatIsNotWanted) {
  const LatentProblem<float> p({33, 20, 2, 40});
  const DeviceArray<float> x(p.x), dz(p.dz);
  const auto run = [&](const Context& ctx, Grad<float> dmu, Grad<float> dlogvar) {
    cuda::reparameterize_backward(ctx, p.s, x.data() + p.head.logvar, p.noise, dz.data(), dmu, dlogvar);
  };
  const auto [both, mu, logvar] = on_cuda([&](const Context& ctx) {
    DeviceArray<float> a(p.head.size), b(p.head.size), c(p.head.size);
    run(ctx, p.dmu({a.data()}), p.dlogvar({a.data()}));
    run(ctx, p.dmu({b.data()}), {});
    run(ctx, {}, p.dlogvar({c.data()}));
    return std::tuple(a.values(), b.values(), c.values());
  });
  expect_same_bits(p.head.block(mu, 0), p.head.block(both, 0), "dmu");
  expect_same_bits(p.head.block(logvar, 20), p.head.block(both, 20), "dlogvar");
  EXPECT_TRUE(std::isnan(mu[20]) && std::isnan(logvar[0])) << "wrote into the other's columns";
}

/// A sample's noise does not depend on the batch it is in, nor on the number of its columns.
TEST_F(ReparameterizeCuda, NoiseIsAddressed) {
  const auto fill = [](int N, int D, int first_row) {
    Noise noise;
    noise.seed = 11;
    noise.first_row = first_row;
    return on_cuda([&](const Context& ctx) {
      DeviceArray<float> z(int64_t{N} * D);
      cuda::normal_fill(ctx, {N, D}, noise, z.data());
      return z.values();
    });
  };
  const auto all = fill(50, 300, 0), part = fill(3, 10, 40);
  for (size_t n = 0; n < 3; ++n) {
    for (size_t d = 0; d < 10; ++d) EXPECT_EQ(part[n * 10 + d], all[(n + 40) * 300 + d]) << n << " " << d;
  }
}

TEST_F(ReparameterizeCuda, RefusesWhatTheHeaderLists) {
  const Context ctx = cuda_context();
  expect_error(
      [&] {
        cuda::normal_fill<float>(ctx, {1, 5, 2}, Noise{}, nullptr);
      },
      Exit::kUsage, {"normal_fill", "2 draws"});
  expect_error(
      [&] {
        cuda::reparameterize_forward<float>(ctx, {1, 5, 1, 4}, nullptr, nullptr, Noise{}, nullptr);
      },
      Exit::kUsage, {"reparameterize", "stride = 4"});
  cuda::normal_fill<float>(ctx, {0, 5}, Noise{}, nullptr);
  cuda::normal_fill<float>(ctx, {5, 0}, Noise{}, nullptr);
}

}  // namespace
}  // namespace hourglass::test
