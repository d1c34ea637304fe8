// SPDX-License-Identifier: Apache-2.0
#include "kernels/batch_norm.h"
#include "tests/batch_norm_inputs.h"
#include "tests/cases/batch_norm.h"

namespace hourglass::test {
namespace {

TEST(BatchNorm, ReferenceIsTheDefinition) {
  // Three rows of two channels: values 1, 3, 5 and 10, 10, 10.
  const BatchNormShape s{3, 2, 1e-3};
  const std::vector<double> x = {1, 10, 3, 10, 5, 10}, gamma = {2, 5}, beta = {0.5, -1};
  Guarded<double> y(6), mean(2), rstd(2), moments(6), inferred(6);
  cpu::batch_norm_forward<double>({}, s, x.data(), gamma.data(), beta.data(), nullptr, y.data(), mean.data(),
                                  rstd.data(), {moments.data()});
  const double r = 1 / std::sqrt(8.0 / 3 + 1e-3);
  expect_close(mean, std::vector<double>{3, 10}, fp64_tolerance());
  expect_close(rstd, std::vector<double>{r, 1 / std::sqrt(1e-3)}, fp64_tolerance());
  expect_close(y, std::vector<double>{0.5 - 4 * r, -1, 0.5, -1, 0.5 + 4 * r, -1}, fp64_tolerance());
  expect_close(moments, std::vector<double>{3, 10, 4, 0, 1, 1}, fp64_tolerance());
  cpu::batch_norm_forward<double>({}, s, x.data(), gamma.data(), beta.data(), nullptr, y.data(), mean.data(),
                                  rstd.data(), {moments.data(), Write::kAdd});
  expect_close(moments, std::vector<double>{6, 20, 8, 0, 2, 2}, fp64_tolerance());

  const std::vector<double> running_mean = {1, 8}, running_var = {4 - 1e-3, 0.25 - 1e-3};
  cpu::batch_norm_inference<double>({}, s, x.data(), gamma.data(), beta.data(), running_mean.data(), running_var.data(),
                                    inferred.data());
  expect_close(inferred, std::vector<double>{0.5, 19, 2.5, 19, 4.5, 19}, fp64_tolerance());
}

TEST(BatchNorm, TheUpdateIsAMovingAverageOfTheStepsMeans) {
  std::vector<double> moments = {6, 20, 0, 8, 2, 0, 2, 1, 0}, mean = {1, 0, 7}, var = {1, 1, 7};
  const Fault fault{6, kFaultGradient, 0, 0};
  cpu::batch_norm_update<double>({}, 3, 0.25, &fault, moments.data(), mean.data(), var.data());
  EXPECT_EQ(mean, (std::vector<double>{1, 0, 7})) << "nothing is written while the fault is set";
  const Fault none;
  for (int uses = 0; uses < 2; ++uses) {
    cpu::batch_norm_update<double>({}, 3, 0.25, &none, moments.data(), mean.data(), var.data());
    EXPECT_EQ(mean, (std::vector<double>{1.5, 5, 7})) << "once a step";
    EXPECT_EQ(var, (std::vector<double>{1.75, 1.25, 7}));
  }
}

TEST(BatchNorm, ReferencePassesTheGradientCheck) {
  for (const BatchNormShape& s : {BatchNormShape{8, 3}, BatchNormShape{2, 4, 1e-2}}) {
    SCOPED_TRACE(describe(s));
    const BatchNormInputs<double> in(s);
    const BatchNormTruth truth(s, in, true);
    std::vector<double> y(in.x.size()), mean(in.gamma.size()), rstd(mean);
    const auto f = [&](const std::vector<double>& x, const std::vector<double>& gamma,
                       const std::vector<double>& beta) {
      cpu::batch_norm_forward<double>({}, s, x.data(), gamma.data(), beta.data(), nullptr, y.data(), mean.data(),
                                      rstd.data(), {});
      return weighted_sum(y, in.dy);
    };
    gradcheck([&](const auto& at) { return f(at, in.gamma, in.beta); }, in.x, truth.dx, "dx");
    gradcheck([&](const auto& at) { return f(in.x, at, in.beta); }, in.gamma, truth.dgamma, "dgamma");
    gradcheck([&](const auto& at) { return f(in.x, in.gamma, at); }, in.beta, truth.dbeta, "dbeta");
  }
}

/// The reference in float, or the timed form.
template <bool timed>
struct Form {
  template <class... A>
  static void forward(const A&... a) {
    timed ? cpu::batch_norm_forward(a...) : cpu::batch_norm_forward<float>(a...);
  }
  template <class... A>
  static void inference(const A&... a) {
    timed ? cpu::batch_norm_inference(a...) : cpu::batch_norm_inference<float>(a...);
  }
  template <class... A>
  static void backward(const A&... a) {
    timed ? cpu::batch_norm_backward(a...) : cpu::batch_norm_backward<float>(a...);
  }
};

template <bool timed>
void check(const BatchNormShape& s, bool affine) {
  using F = Form<timed>;
  const BatchNormInputs<float> in(s);
  const BatchNormTruth truth(s, in, affine);
  const float *g = affine ? in.gamma.data() : nullptr, *b = affine ? in.beta.data() : nullptr;
  const auto statistics = static_cast<int64_t>(truth.mean.size());
  Guarded<float> y(in.size), mean(statistics), rstd(statistics), inferred(in.size);
  Guarded<float> scratch(static_cast<int64_t>(batch_norm_scratch_bytes(s, 1)));
  const Tolerance limit{4e-6, 1};
  const std::vector<float> moments = expect_set_and_add<float>(3 * int64_t{s.C}, [&](Grad<float> moments) {
    F::forward(Context{}, s, in.x.data(), g, b, scratch.data(), y.data(), mean.data(), rstd.data(), moments);
  });
  expect_close(moments, truth.moments, limit, "moments");
  expect_close(y, truth.y, limit, "y");
  expect_close(mean, truth.mean, limit, "mean");
  expect_close(rstd, truth.rstd, limit, "rstd");
  F::inference(Context{}, s, in.x.data(), g, b, moments.data(), moments.data() + s.C, inferred.data());
  expect_close(inferred, truth.inferred, limit, "inferred");
  const auto backward = [&](Grad<float> dx, Grad<float> dgamma, Grad<float> dbeta) {
    F::backward(test_context(2), s, in.x.data(), g, mean.data(), rstd.data(), in.dy.data(), scratch.data(), dx, dgamma,
                dbeta);
  };
  expect_close(expect_set_and_add<float>(in.size, [&](Grad<float> d) { backward(d, {}, {}); }), truth.dx, limit, "dx");
  expect_close(expect_set_and_add<float>(s.C, [&](Grad<float> d) { backward({}, d, {}); }), truth.dgamma, limit, "dg");
  expect_close(expect_set_and_add<float>(s.C, [&](Grad<float> d) { backward({}, {}, d); }), truth.dbeta, limit, "db");
  expect_same_bits_for_threads([&](const Context& ctx) {
    std::vector<float> out(static_cast<size_t>(3 * in.size + 5 * s.C));
    float* const sums = out.data() + 3 * in.size;
    F::forward(ctx, s, in.x.data(), g, b, scratch.data(), out.data(), mean.data(), rstd.data(), Grad<float>{sums});
    F::inference(ctx, s, in.x.data(), g, b, sums, sums + s.C, out.data() + in.size);
    F::backward(ctx, s, in.x.data(), g, mean.data(), rstd.data(), in.dy.data(), scratch.data(),
                Grad<float>{out.data() + 2 * in.size}, Grad<float>{sums + 3 * s.C}, Grad<float>{sums + 4 * s.C});
    return out;
  });
}

TEST(BatchNorm, FloatMatchesDoubleAndSetsAddsAndSkips) {
  for (const BatchNormShape& s : kBatchNormCases) {
    for (const bool affine : {true, false}) {
      SCOPED_TRACE(describe(s));
      check<false>(s, affine);
      check<true>(s, affine);
    }
  }
}

TEST(BatchNorm, ALargeMeanCostsNoDigits) {
  const BatchNormShape s{3000, 4};
  BatchNormInputs<float> in(s);
  for (float& value : in.x) value = 1000 + 0.125f * std::round(8 * value);  // held exactly
  const BatchNormTruth truth(s, in, false);
  std::vector<float> scratch(batch_norm_scratch_bytes(s, 1));
  Guarded<float> y(in.size), mean(4), rstd(4);
  cpu::batch_norm_forward({}, s, in.x.data(), nullptr, nullptr, scratch.data(), y.data(), mean.data(), rstd.data(), {});
  expect_close(rstd, truth.rstd, Tolerance{1e-5}, "rstd");
  expect_close(y, truth.y, Tolerance{1e-4}, "y");  // the mean itself is rounded to 6e-5
}

TEST(BatchNorm, Refusals) {
  const auto forward = [](const BatchNormShape& s) {
    cpu::batch_norm_forward({}, s, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, {});
  };
  expect_error([&] { forward({1, 4}); }, Exit::kUsage, {"batch_norm", "more than one value a channel", "rows", "1"});
  expect_error([&] { forward({-2, 4}); }, Exit::kUsage, {"batch_norm", "rows = -2"});
  expect_error([&] { forward({2, -4}); }, Exit::kUsage, {"C = -4"});
  expect_error([&] { forward({2, 4, 0}); }, Exit::kUsage, {"eps above 0"});
  const auto update = [](double momentum) {
    cpu::batch_norm_update<float>({}, 1, momentum, nullptr, nullptr, nullptr, nullptr);
  };
  expect_error([&] { update(1.5); }, Exit::kUsage, {"batch_norm", "momentum", "1.5"});
}

}  // namespace
}  // namespace hourglass::test
