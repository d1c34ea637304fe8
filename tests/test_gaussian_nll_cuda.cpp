// SPDX-License-Identifier: Apache-2.0
#include "kernels/gaussian_nll.h"
#include "tests/cases/gaussian_nll.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

template <class T>
struct Inputs {
  GaussianNllShape s;
  int64_t size;
  std::vector<T> y, x;
  std::vector<float> log_sigma;
  std::vector<float> dnll;
  explicit Inputs(const GaussianNllShape& shape)
      : s(shape),
        size(int64_t{s.N} * s.D),
        y(random_values<T>(size, 1, -2, 2)),
        x(random_values<T>(size / s.draws, 2, 0, 1)),
        log_sigma(random_values<float>(s.log_sigma_count, 3, -1, 1)),
        dnll(random_values<float>(s.N, 4)) {}
};

/// The double reference: per-sample values, and gradients for the weights of the rows given.
struct Want {
  std::vector<double> nll, dy, dlog_sigma;
  template <class T>
  Want(const Inputs<T>& in, const std::vector<double>& dnll)
      : nll(static_cast<size_t>(in.s.N)),
        dy(static_cast<size_t>(in.size)),
        dlog_sigma(static_cast<size_t>(in.s.log_sigma_count)) {
    const auto y = converted<double>(in.y), x = converted<double>(in.x), ls = converted<double>(in.log_sigma);
    cpu::gaussian_nll_forward<double>({}, in.s, y.data(), x.data(), ls.data(), nll.data());
    cpu::gaussian_nll_backward<double>({}, in.s, y.data(), x.data(), ls.data(), dnll.data(), {dy.data()},
                                       {dlog_sigma.data()});
  }
};

/// Terms of both signs cancel in dlog_sigma: its error is measured against the size of what is summed.
double terms_of(const GaussianNllShape& s) {
  return std::sqrt(static_cast<double>(s.N) * (s.log_sigma_count == 1 ? s.D : 1));
}

template <class T>
void check(const GaussianNllShape& s, int offset) {
  SCOPED_TRACE(describe("gaussian_nll", {s.N, s.D, s.draws, s.log_sigma_count, offset}));
  const Inputs<T> in(s);
  const Want want(in, converted<double>(in.dnll));
  const DeviceArray<T> y(in.y, offset), x(in.x, offset);
  const DeviceArray<float> log_sigma(in.log_sigma, offset);
  const DeviceArray<float> dnll(in.dnll);
  const auto nll = on_cuda([&](const Context& ctx) {
    DeviceArray<float> out(s.N);
    cuda::gaussian_nll_forward(ctx, s, y.data(), x.data(), log_sigma.data(), out.data());
    return out.values();
  });
  expect_close(nll, want.nll, cuda_tolerance<float>(s.D), "nll");
  const auto backward = [&](const Context& ctx, Grad<T> dy, Grad<float> dls) {
    cuda::gaussian_nll_backward(ctx, s, y.data(), x.data(), log_sigma.data(), dnll.data(), dy, dls);
  };
  expect_close(expect_set_and_add_on_cuda<T>(
                   in.size, [&](const Context& ctx, Grad<T> g) { backward(ctx, g, {}); }, cuda_tolerance<T>(1), "dy"),
               want.dy, cuda_tolerance<T>(1), "dy");
  expect_close(expect_set_and_add_on_cuda<float>(
                   s.log_sigma_count, [&](const Context& ctx, Grad<float> g) { backward(ctx, {}, g); },
                   cuda_tolerance<float>(1, 1), "dlog_sigma"),
               want.dlog_sigma, cuda_tolerance<float>(s.N, terms_of(s)), "dlog_sigma");
}

template <class T>
void check_loss(const GaussianNllShape& s, int offset) {
  SCOPED_TRACE(describe("gaussian_nll_loss", {s.N, s.D, s.draws, s.log_sigma_count, offset}));
  const Inputs<T> in(s);
  const Want want(in, std::vector<double>(static_cast<size_t>(s.N), 1.5 / s.N));
  double mean = 0;
  for (double each : want.nll) mean += each / s.N;
  const DeviceArray<T> y(in.y, offset), x(in.x, offset);
  const DeviceArray<float> log_sigma(in.log_sigma, offset);
  const DeviceArray<double> scheduled(std::vector<double>{0.5});
  const auto loss = [&](const Context& ctx, Grad<float> value, Grad<T> dy, Grad<float> dls) {
    cuda::gaussian_nll_loss(ctx, s, y.data(), x.data(), log_sigma.data(), {3, scheduled.data()}, value, dy, dls);
  };
  const auto [value, dy, dls] = on_cuda([&](const Context& ctx) {
    DeviceArray<float> a(1), c(s.log_sigma_count);
    DeviceArray<T> b(in.size, offset);
    loss(ctx, {a.data()}, {b.data()}, {c.data()});
    return std::tuple(a.values(), b.values(), c.values());
  });
  expect_close(value, std::vector<double>{mean}, cuda_tolerance<float>(s.D), "value");
  expect_close(dy, want.dy, cuda_tolerance<T>(1), "dy");
  expect_close(dls, want.dlog_sigma, cuda_tolerance<float>(s.N, 1.5 * terms_of(s) / s.N), "dlog_sigma");
  const Tolerance tolerance = cuda_tolerance<float>(1, 1);
  const auto value_alone = expect_set_and_add_on_cuda<float>(
      1, [&](const Context& ctx, Grad<float> g) { loss(ctx, g, {}, {}); }, tolerance, "value");
  const auto dls_alone = expect_set_and_add_on_cuda<float>(
      s.log_sigma_count, [&](const Context& ctx, Grad<float> g) { loss(ctx, {}, {}, g); }, tolerance, "dlog_sigma");
  expect_same_bits(value_alone, value, "value alone");
  expect_same_bits(dls_alone, dls, "dlog_sigma alone");
}

using GaussianNllCuda = CudaTest;

TEST_F(GaussianNllCuda, MeetsTheDoubleReference) {
  std::vector<GaussianNllShape> cases =
      affordable(kGaussianNllCases, kMostElements, [](const GaussianNllShape& s) { return int64_t{s.N} * s.D; });
  cases.push_back({20, 8500, 1, 8500});  // more tiles of columns than tickets
  cases.push_back({2, 3000, 1, 1});      // rows cut into segments
  for (const GaussianNllShape& s : cases) {
    const bool large = int64_t{s.N} * s.D > 200000;
    for (int offset : {0, 1}) {
      if (large && offset) continue;
      check<float>(s, offset);
      if (!large) check<bf16>(s, offset);
      if (s.N == 0) continue;
      check_loss<float>(s, offset);
      check_loss<bf16>(s, offset);
    }
  }
}

/// More tiles than blocks: each block takes several in turn.
TEST_F(GaussianNllCuda, VeryManyColumns) { check_loss<float>({1, 140001, 1, 140001}, 0); }

TEST_F(GaussianNllCuda, StaysFiniteAtExtremeInputs) {
  const std::vector<float> log_sigma = {-1e4f, -20, 20, 1e4f, -14, -10.5f, -1e4f, 1e4f};
  const std::vector<float> y = {1e4f, -1e4f, 1e4f, -1e4f, 0, 1e-5f, 0, 0};
  const std::vector<float> x = {0, 0, 0, 0, 3e-5f, 0, 0, 0};
  const GaussianNllShape s{1, 8, 1, 8};
  const auto y64 = converted<double>(y), x64 = converted<double>(x), log_sigma64 = converted<double>(log_sigma);
  std::vector<double> value(1), dy(8), dls(8);
  cpu::gaussian_nll_loss<double>({}, s, y64.data(), x64.data(), log_sigma64.data(), {}, {value.data()}, {dy.data()},
                                 {dls.data()});
  const DeviceArray<float> device_y(y), device_x(x), device_log_sigma(log_sigma);
  const auto [got_value, got_dy, got_dls] = on_cuda([&](const Context& ctx) {
    DeviceArray<float> a(1), b(8), c(8);
    cuda::gaussian_nll_loss(ctx, s, device_y.data(), device_x.data(), device_log_sigma.data(), {}, {a.data()},
                            Grad<float>{b.data()}, {c.data()});
    return std::tuple(a.values(), b.values(), c.values());
  });
  expect_close(got_value, value, cuda_tolerance<float>(8), "value");
  for (size_t d = 0; d < 8; ++d) {  // they differ by many powers of ten
    EXPECT_NEAR(got_dy[d], dy[d], 2e-6 * std::abs(dy[d])) << d;
    EXPECT_NEAR(got_dls[d], dls[d], 2e-6 * std::abs(dls[d])) << d;
  }
}

TEST_F(GaussianNllCuda, RefusesBadShapes) {
  const Context ctx = cuda_context();
  const float* const none = nullptr;
  expect_error(
      [&] {
        cuda::gaussian_nll_forward<float>(ctx, {2, 3, 1, 2}, none, none, none, nullptr);
      },
      Exit::kUsage, {"gaussian_nll", "1 or D = 3", "got 2"});
  expect_error(
      [&] {
        cuda::gaussian_nll_loss<float>(ctx, {0, 1, 1, 1}, none, none, none, {}, {}, {}, {});
      },
      Exit::kUsage, {"gaussian_nll", "at least one"});
}

}  // namespace
}  // namespace hourglass::test
