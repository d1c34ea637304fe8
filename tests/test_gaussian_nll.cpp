// SPDX-License-Identifier: Apache-2.0
#include "kernels/gaussian_nll.h"
#include "tests/cases/gaussian_nll.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

template <class T>
struct Inputs {
  int64_t size;
  std::vector<T> y, x, log_sigma, dnll;
  explicit Inputs(const GaussianNllShape& s)
      : size(int64_t{s.N} * s.D),
        y(random_values<T>(size, 1, -2, 2)),
        x(random_values<T>(size / s.draws, 2, 0, 1)),
        log_sigma(random_values<T>(s.log_sigma_count, 3, -1, 1)),
        dnll(random_values<T>(s.N, 4)) {}
};

std::string name_of(const GaussianNllShape& s) {
  return describe("gaussian_nll", {s.N, s.D, s.draws, s.log_sigma_count});
}

void check_gradients(const GaussianNllShape& s, std::vector<double> log_sigma) {
  Inputs<double> in(s);
  const auto f = [&](const std::vector<double>& y, const std::vector<double>& ls) {
    std::vector<double> nll(static_cast<size_t>(s.N));
    cpu::gaussian_nll_forward<double>({}, s, y.data(), in.x.data(), ls.data(), nll.data());
    return weighted_sum(nll, in.dnll);
  };
  const auto backward = [&](Grad<double> dy, Grad<double> dls) {
    cpu::gaussian_nll_backward<double>({}, s, in.y.data(), in.x.data(), log_sigma.data(), in.dnll.data(), dy, dls);
  };
  gradcheck([&](const std::vector<double>& y) { return f(y, log_sigma); }, in.y,
            expect_set_and_add<double>(in.size, [&](Grad<double> dy) { backward(dy, {}); }), "dy");
  gradcheck([&](const std::vector<double>& ls) { return f(in.y, ls); }, log_sigma,
            expect_set_and_add<double>(s.log_sigma_count, [&](Grad<double> dls) { backward({}, dls); }), "dlog_sigma");
}

TEST(GaussianNll, BackwardIsTheGradient) {
  for (const GaussianNllShape& s : kGaussianNllCases) {
    SCOPED_TRACE(name_of(s));
    if (int64_t{s.N} * s.D <= 150) check_gradients(s, Inputs<double>(s).log_sigma);
  }
}

TEST(GaussianNll, BackwardIsTheGradientBeyondTheBound) { check_gradients({2, 3, 1, 3}, {-10.2, -10.05, -9.9}); }

template <bool kTimed>
void check_float(const GaussianNllShape& s) {
  const Inputs<double> in(s);
  const Inputs<float> in32(s);
  const auto forward = [&](float* nll) {
    if constexpr (kTimed) {
      cpu::gaussian_nll_forward({}, s, in32.y.data(), in32.x.data(), in32.log_sigma.data(), nll);
    } else {
      cpu::gaussian_nll_forward<float>({}, s, in32.y.data(), in32.x.data(), in32.log_sigma.data(), nll);
    }
  };
  const auto backward = [&](Grad<float> dy, Grad<float> dls) {
    if constexpr (kTimed) {
      cpu::gaussian_nll_backward({}, s, in32.y.data(), in32.x.data(), in32.log_sigma.data(), in32.dnll.data(), dy, dls);
    } else {
      cpu::gaussian_nll_backward<float>({}, s, in32.y.data(), in32.x.data(), in32.log_sigma.data(), in32.dnll.data(),
                                        dy, dls);
    }
  };
  std::vector<double> nll(static_cast<size_t>(s.N)), dy(static_cast<size_t>(in.size));
  std::vector<double> dls(static_cast<size_t>(s.log_sigma_count));
  cpu::gaussian_nll_forward<double>({}, s, in.y.data(), in.x.data(), in.log_sigma.data(), nll.data());
  cpu::gaussian_nll_backward<double>({}, s, in.y.data(), in.x.data(), in.log_sigma.data(), in.dnll.data(), {dy.data()},
                                     {dls.data()});
  Guarded<float> got(s.N);
  forward(got.data());
  expect_close(got, nll, fp32_tolerance(s.D, 1), "nll");
  expect_close(expect_set_and_add<float>(in.size, [&](Grad<float> g) { backward(g, {}); }), dy, fp32_tolerance(1),
               "dy");
  // Terms of both signs cancel: the error is measured against the size of what is summed.
  const double terms = static_cast<double>(s.N) * (s.log_sigma_count == 1 ? s.D : 1);
  expect_close(expect_set_and_add<float>(s.log_sigma_count, [&](Grad<float> g) { backward({}, g); }), dls,
               fp32_tolerance(s.N, std::sqrt(terms)), "dlog_sigma");
}

TEST(GaussianNll, FloatFormsMeetTheDoubleReference) {
  for (const GaussianNllShape& s : kGaussianNllCases) {
    SCOPED_TRACE(name_of(s));
    check_float<false>(s);
    check_float<true>(s);
  }
}

/// Runs one of the three `_loss` forms; the outputs in one vector: value, dy, dlog_sigma.
template <class T, bool kTimed>
std::vector<T> fused(const Context& ctx, const GaussianNllShape& s, Weight weight) {
  const Inputs<T> in(s);
  Guarded<T> value(1), dy(in.size), dls(s.log_sigma_count);
  if constexpr (kTimed) {
    cpu::gaussian_nll_loss(ctx, s, in.y.data(), in.x.data(), in.log_sigma.data(), weight, {value.data()}, {dy.data()},
                           {dls.data()});
  } else {
    cpu::gaussian_nll_loss<T>(ctx, s, in.y.data(), in.x.data(), in.log_sigma.data(), weight, {value.data()},
                              {dy.data()}, {dls.data()});
  }
  std::vector<T> all = {value[0]};
  all.insert(all.end(), dy.begin(), dy.end());
  all.insert(all.end(), dls.begin(), dls.end());
  return all;
}

TEST(GaussianNll, FusedFormEqualsThePerSampleOne) {
  const double scheduled = 0.5;
  const Weight weight{3, &scheduled};
  for (const GaussianNllShape& s : kGaussianNllCases) {
    if (s.N == 0) continue;
    SCOPED_TRACE(name_of(s));
    const Inputs<double> in(s);
    std::vector<double> nll(static_cast<size_t>(s.N)), dnll(nll.size(), 1.5 / s.N);
    std::vector<double> want(static_cast<size_t>(1 + in.size + s.log_sigma_count));
    cpu::gaussian_nll_forward<double>({}, s, in.y.data(), in.x.data(), in.log_sigma.data(), nll.data());
    for (double each : nll) want[0] += each / s.N;
    cpu::gaussian_nll_backward<double>({}, s, in.y.data(), in.x.data(), in.log_sigma.data(), dnll.data(),
                                       {want.data() + 1}, {want.data() + 1 + in.size});
    expect_close(fused<double, false>({}, s, weight), want, fp64_tolerance(1), "double");
    expect_close(fused<float, false>({}, s, weight), want, fp32_tolerance(s.D, 1), "reference");
    expect_close(fused<float, true>({}, s, weight), want, fp32_tolerance(s.D, 1), "timed");
  }
}

TEST(GaussianNll, FusedFormSetsAndAdds) {
  const GaussianNllShape s{6, 70, 3, 70};
  const Inputs<float> in(s);
  const auto loss = [&](Grad<float> value, Grad<float> dy, Grad<float> dls) {
    cpu::gaussian_nll_loss({}, s, in.y.data(), in.x.data(), in.log_sigma.data(), {2}, value, dy, dls);
    cpu::gaussian_nll_loss<float>({}, s, in.y.data(), in.x.data(), in.log_sigma.data(), {0}, {}, {}, {});
  };
  expect_set_and_add<float>(1, [&](Grad<float> g) { loss(g, {}, {}); });
  expect_set_and_add<float>(in.size, [&](Grad<float> g) { loss({}, g, {}); });
  expect_set_and_add<float>(70, [&](Grad<float> g) { loss({}, {}, g); });
}

TEST(GaussianNll, SameBitsForAnyThreads) {
  for (const GaussianNllShape& s : kGaussianNllCases) {
    if (s.N == 0) continue;
    SCOPED_TRACE(name_of(s));
    const Inputs<float> in(s);
    expect_same_bits_for_threads([&](const Context& ctx) { return fused<float, true>(ctx, s, {}); });
    expect_same_bits_for_threads([&](const Context& ctx) {
      std::vector<float> out(static_cast<size_t>(s.N + in.size + s.log_sigma_count));
      float* nll = out.data();
      cpu::gaussian_nll_forward(ctx, s, in.y.data(), in.x.data(), in.log_sigma.data(), nll);
      cpu::gaussian_nll_backward(ctx, s, in.y.data(), in.x.data(), in.log_sigma.data(), in.dnll.data(), {nll + s.N},
                                 {nll + s.N + in.size});
      return out;
    });
  }
}

TEST(GaussianNll, IsTheNormalDensity) {
  const double y = 0.3, x = 1.1, log_sigma = -0.7, sigma = std::exp(log_sigma);
  double nll = 0;
  cpu::gaussian_nll_forward<double>({}, {1, 1, 1, 1}, &y, &x, &log_sigma, &nll);
  const double density =
      std::exp(-0.5 * (x - y) * (x - y) / (sigma * sigma)) / (sigma * std::sqrt(2 * 3.14159265358979));
  EXPECT_NEAR(nll, -std::log(density), 1e-12);
}

/// It stays a density where sigma is bounded: its integral over x is 1.
TEST(GaussianNll, IntegratesToOneBeyondTheBound) {
  const double y = 0, log_sigma = -30, width = 6e-5;
  double integral = 0;
  for (int i = -2000; i <= 2000; ++i) {
    const double x = i * width / 2000;
    double nll = 0;
    cpu::gaussian_nll_forward<double>({}, {1, 1, 1, 1}, &y, &x, &log_sigma, &nll);
    integral += std::exp(-nll) * width / 2000;
  }
  EXPECT_NEAR(integral, 1, 1e-3);
}

TEST(GaussianNll, FloatFormsMeetTheDoubleReferenceBeyondTheBound) {
  const std::vector<float> y = {0, 1e-5f}, x = {3e-5f, 0}, log_sigma = {-14, -10.5f};
  const auto y64 = converted<double>(y), x64 = converted<double>(x), log_sigma64 = converted<double>(log_sigma);
  double value = 0, dy[2], dls[2];
  const GaussianNllShape s{1, 2, 1, 2};
  cpu::gaussian_nll_loss<double>({}, s, y64.data(), x64.data(), log_sigma64.data(), {}, {&value}, {dy}, {dls});
  for (const bool timed : {false, true}) {
    float value32 = 0, dy32[2], dls32[2];
    if (timed) {
      cpu::gaussian_nll_loss({}, s, y.data(), x.data(), log_sigma.data(), {}, {&value32}, {dy32}, {dls32});
    } else {
      cpu::gaussian_nll_loss<float>({}, s, y.data(), x.data(), log_sigma.data(), {}, {&value32}, {dy32}, {dls32});
    }
    EXPECT_NEAR(value32, value, 1e-6 * std::abs(value));
    expect_close(dy32, dy, fp32_tolerance(1), "dy");
    expect_close(dls32, dls, fp32_tolerance(1), "dlog_sigma");
  }
}

TEST(GaussianNll, StaysFiniteAtExtremeInputs) {
  for (const float log_sigma : {-1e4f, -20.0f, 20.0f, 1e4f}) {
    for (const float y : {-1e4f, 1e4f}) {
      const float x = 0, one = 1;
      float nll = 0, dy = 0, dls = 0, value = 0;
      cpu::gaussian_nll_forward({}, {1, 1, 1, 1}, &y, &x, &log_sigma, &nll);
      cpu::gaussian_nll_backward({}, {1, 1, 1, 1}, &y, &x, &log_sigma, &one, {&dy}, {&dls});
      EXPECT_TRUE(std::isfinite(nll) && std::isfinite(dy) && std::isfinite(dls)) << log_sigma << " " << y;
      cpu::gaussian_nll_loss({}, {1, 1, 1, 1}, &y, &x, &log_sigma, {}, {&value}, {&dy}, {&dls});
      EXPECT_TRUE(std::isfinite(value) && std::isfinite(dy) && std::isfinite(dls)) << log_sigma << " " << y;
      EXPECT_GT(log_sigma > 0 ? dls : -dls, 0) << "the gradient must pull log_sigma back";
    }
  }
}

TEST(GaussianNll, RefusesBadShapes) {
  float y = 0, x = 0, ls = 0, out = 0;
  expect_error(
      [&] {
        cpu::gaussian_nll_forward({}, {2, 3, 1, 2}, &y, &x, &ls, &out);
      },
      Exit::kUsage, {"gaussian_nll", "1 or D = 3", "got 2"});
  expect_error(
      [&] {
        cpu::gaussian_nll_backward({}, {3, 1, 2, 1}, &y, &x, &ls, &out, {}, {});
      },
      Exit::kUsage, {"gaussian_nll", "N = 3", "draws = 2"});
  expect_error(
      [&] {
        cpu::gaussian_nll_loss({}, {0, 1, 1, 1}, &y, &x, &ls, {}, {&out}, {}, {});
      },
      Exit::kUsage, {"gaussian_nll", "at least one"});
}

}  // namespace
}  // namespace hourglass::test
