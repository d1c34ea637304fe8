// SPDX-License-Identifier: Apache-2.0
#include "kernels/discretized_logistic.h"
#include "tests/cases/discretized_logistic.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

using S = DiscretizedLogisticShape;

template <class T>
struct Inputs {
  explicit Inputs(const S& s)
      : size(int64_t{s.N} * s.D),
        mu(random_values<T>(size, 1, -0.1, 1.1)),
        x(random_integers<T>(size / s.draws, 2, 0, 255)),
        log_scale(random_values<T>(s.log_scale_count, 3, -4, 0)),
        dnll(random_values<T>(s.N, 4)) {
    for (size_t i = 0; i < x.size(); ++i) {  // a third of the data at each edge
      x[i] = static_cast<T>(static_cast<float>(i % 3 == 0 ? 0 : i % 3 == 1 ? 255 : static_cast<int>(x[i])) / 255.0f);
    }
  }
  int64_t size;
  std::vector<T> mu, x, log_scale, dnll;
};

double nll_of(double mu, double x, double log_scale) {
  double nll = 0;
  cpu::discretized_logistic_forward<double>({}, {1, 1}, &mu, &x, &log_scale, &nll);
  return nll;
}

TEST(DiscretizedLogistic, TheLevelsAddUpToOne) {
  for (double log_scale : {-7.0, -5.6, -3.0, 0.0, 2.0}) {
    for (double mu : {-0.3, 0.0, 0.41, 1.0}) {
      double sum = 0;
      for (int level = 0; level < 256; ++level) sum += std::exp(-nll_of(mu, level / 255.0, log_scale));
      EXPECT_NEAR(sum, 1, 1e-12) << mu << " " << log_scale;
    }
  }
}

TEST(DiscretizedLogistic, IsTheDifferenceOfTwoSigmoids) {
  const auto sigmoid = [](double t) { return 1 / (1 + std::exp(-t)); };
  const double mu = 0.4, h = 1.0 / 510;
  for (const double log_scale : {-3.0, -2.0, -1.0}) {
    const double inverse = std::exp(-log_scale);
    const double inner = sigmoid((0.6 - mu + h) * inverse) - sigmoid((0.6 - mu - h) * inverse);
    EXPECT_NEAR(nll_of(mu, 0.6, log_scale), -std::log(inner), 1e-9);  // 0.6 is level 153
    EXPECT_NEAR(nll_of(mu, 0, log_scale), -std::log(sigmoid((0 - mu + h) * inverse)), 1e-12);
    EXPECT_NEAR(nll_of(mu, 1, log_scale), -std::log(1 - sigmoid((1 - mu - h) * inverse)), 1e-9);
    EXPECT_EQ(nll_of(mu, 0.6 + 0.001, log_scale), nll_of(mu, 0.6, log_scale)) << "the level is rounded";
  }
}

TEST(DiscretizedLogistic, ReferencePassesTheGradientCheck) {
  for (const S& s : {S{6, 15, 2, 5}, S{4, 6, 1, 1}, S{2, 4, 2, 4}}) {
    const Inputs<double> in(s);
    std::vector<double> nll(static_cast<size_t>(s.N));
    const auto f = [&](const std::vector<double>& mu, const std::vector<double>& log_scale) {
      cpu::discretized_logistic_forward<double>({}, s, mu.data(), in.x.data(), log_scale.data(), nll.data());
      return weighted_sum(nll, in.dnll);
    };
    const auto backward = [&](Grad<double> dmu, Grad<double> dlog_scale) {
      cpu::discretized_logistic_backward<double>({}, s, in.mu.data(), in.x.data(), in.log_scale.data(), in.dnll.data(),
                                                 dmu, dlog_scale);
    };
    gradcheck([&](const auto& mu) { return f(mu, in.log_scale); }, in.mu,
              expect_set_and_add<double>(in.size, [&](Grad<double> g) { backward(g, {}); }), "dmu");
    gradcheck([&](const auto& at) { return f(in.mu, at); }, in.log_scale,
              expect_set_and_add<double>(s.log_scale_count, [&](Grad<double> g) { backward({}, g); }), "dlog_scale");
  }
}

TEST(DiscretizedLogistic, FusedFormAndFloatMatchThePerSampleFormInDouble) {
  const double scheduled = 0.5;
  const Weight weight{3, &scheduled};
  for (const S& s : kDiscretizedLogisticCases) {
    if (s.N == 0) continue;
    SCOPED_TRACE(describe("discretized_logistic", {s.N, s.D, s.draws, s.log_scale_count}));
    const Inputs<double> in(s);
    const Inputs<float> narrow(s);
    Guarded<double> nll(s.N), dmu(in.size), dlog_scale(s.log_scale_count);
    const std::vector<double> each(static_cast<size_t>(s.N), 1.5 / s.N);
    cpu::discretized_logistic_forward<double>({}, s, in.mu.data(), in.x.data(), in.log_scale.data(), nll.data());
    cpu::discretized_logistic_backward<double>({}, s, in.mu.data(), in.x.data(), in.log_scale.data(), each.data(),
                                               {dmu.data()}, {dlog_scale.data()});
    double mean = 0;
    for (double value : nll) mean += value / s.N;
    const auto check = [&](const auto& of, Tolerance value_limit, Tolerance limit) {
      using T = typename std::decay_t<decltype(of.mu)>::value_type;
      const auto loss = [&](Grad<T> value, Grad<T> g, Grad<T> h) {
        cpu::discretized_logistic_loss<T>({}, s, of.mu.data(), of.x.data(), of.log_scale.data(), weight, value, g, h);
      };
      expect_close(expect_set_and_add<T>(1, [&](Grad<T> g) { loss(g, {}, {}); }), std::vector<double>{mean},
                   value_limit, "value");
      expect_close(expect_set_and_add<T>(of.size, [&](Grad<T> g) { loss({}, g, {}); }), dmu, limit, "dmu");
      expect_close(expect_set_and_add<T>(s.log_scale_count, [&](Grad<T> g) { loss({}, {}, g); }), dlog_scale, limit,
                   "dlog_scale");
    };
    check(in, fp64_tolerance(), fp64_tolerance(1));
    // A float mu near x has an error of 6e-8 in a difference that exp(4) magnifies.
    check(narrow, fp32_tolerance(s.D), Tolerance{4e-6, 0.1});
    Guarded<float> losses(s.N);
    cpu::discretized_logistic_forward<float>({}, s, narrow.mu.data(), narrow.x.data(), narrow.log_scale.data(),
                                             losses.data());
    expect_close(losses, nll, Tolerance{4e-6, 0}, "nll");
  }
}

TEST(DiscretizedLogistic, TimedFormMatchesDoubleOnAnyNumberOfThreads) {
  for (const S& s : kDiscretizedLogisticCases) {
    SCOPED_TRACE(describe("discretized_logistic", {s.N, s.D, s.draws, s.log_scale_count}));
    const Inputs<double> in(s);
    const Inputs<float> narrow(s);
    std::vector<double> nll(static_cast<size_t>(s.N)), dmu(in.mu.size()), dlog_scale(in.log_scale.size());
    cpu::discretized_logistic_forward<double>({}, s, in.mu.data(), in.x.data(), in.log_scale.data(), nll.data());
    cpu::discretized_logistic_backward<double>({}, s, in.mu.data(), in.x.data(), in.log_scale.data(), in.dnll.data(),
                                               {dmu.data()}, {dlog_scale.data()});
    const float *mu = narrow.mu.data(), *x = narrow.x.data(), *log_scale = narrow.log_scale.data();
    const Tolerance limit{4e-6, 0.1};
    Guarded<float> losses(s.N);
    cpu::discretized_logistic_forward(test_context(2), s, mu, x, log_scale, losses.data());
    expect_close(losses, nll, limit, "nll");
    const auto backward = [&](Grad<float> g, Grad<float> h) {
      cpu::discretized_logistic_backward(test_context(2), s, mu, x, log_scale, narrow.dnll.data(), g, h);
    };
    expect_close(expect_set_and_add<float>(in.size, [&](Grad<float> g) { backward(g, {}); }), dmu, limit, "dmu");
    expect_close(expect_set_and_add<float>(s.log_scale_count, [&](Grad<float> g) { backward({}, g); }), dlog_scale,
                 limit, "dlog_scale");
    if (s.N == 0) continue;
    double value = 0;
    cpu::discretized_logistic_loss<double>({}, s, in.mu.data(), in.x.data(), in.log_scale.data(), {1.5}, {&value},
                                           {dmu.data()}, {dlog_scale.data()});
    const auto of_loss = [&](const Context& ctx) {
      std::vector<float> out(static_cast<size_t>(1 + in.size + s.log_scale_count));
      cpu::discretized_logistic_loss(ctx, s, mu, x, log_scale, {1.5}, {out.data()}, {out.data() + 1},
                                     {out.data() + 1 + in.size});
      return out;
    };
    std::vector<double> want = {value};
    want.insert(want.end(), dmu.begin(), dmu.end());
    want.insert(want.end(), dlog_scale.begin(), dlog_scale.end());
    const auto got = of_loss({});
    expect_close(std::vector<float>{got[0]}, std::vector<double>{value}, limit, "value");
    expect_close(std::vector<float>(got.begin() + 1, got.end()), std::vector<double>(want.begin() + 1, want.end()),
                 limit, "fused gradients");
    expect_same_bits_for_threads(of_loss);
  }
}

TEST(DiscretizedLogistic, StaysFiniteAtExtremeValues) {
  for (const float log_scale : {-1e4f, -30.0f, -20.0f, -10.0f, 0.0f, 20.0f, 100.0f, 1e4f}) {
    for (const float mu : {-1e4f, -1.0f, 0.0f, 0.5f, 1.0f, 1e4f}) {
      for (const float x : {0.0f, 0.5f, 1.0f}) {
        float nll = 0, dmu = 0, dlog_scale = 0;
        const float one = 1;
        cpu::discretized_logistic_forward<float>({}, {1, 1}, &mu, &x, &log_scale, &nll);
        cpu::discretized_logistic_backward<float>({}, {1, 1}, &mu, &x, &log_scale, &one, {&dmu}, {&dlog_scale});
        EXPECT_TRUE(std::isfinite(nll) && nll >= 0) << mu << " " << x << " " << log_scale << ": " << nll;
        EXPECT_TRUE(std::isfinite(dmu) && std::isfinite(dlog_scale)) << mu << " " << x << " " << log_scale;
      }
    }
  }
  const float mu = NAN, x = 0.5f, log_scale = 0;
  float nll = 0;
  cpu::discretized_logistic_forward<float>({}, {1, 1}, &mu, &x, &log_scale, &nll);
  EXPECT_TRUE(std::isnan(nll));
}

TEST(DiscretizedLogistic, Refusals) {
  const auto forward = [](const S& s) {
    cpu::discretized_logistic_forward<float>({}, s, nullptr, nullptr, nullptr, nullptr);
  };
  expect_error([&] { forward({5, 1, 2, 1}); }, Exit::kUsage, {"discretized_logistic", "draws = 2"});
  expect_error([&] { forward({5, 7, 1, 3}); }, Exit::kUsage, {"divide D = 7", "got 3"});
  expect_error([&] { forward({5, 7, 1, 0}); }, Exit::kUsage, {"got 0"});
  expect_error(
      [&] {
        cpu::discretized_logistic_loss<double>({}, {0, 7}, nullptr, nullptr, nullptr, {}, {}, {}, {});
      },
      Exit::kUsage, {"N = 0"});
}

}  // namespace
}  // namespace hourglass::test
