// SPDX-License-Identifier: Apache-2.0
#include "kernels/group_norm.h"
#include "tests/cases/group_norm.h"
#include "tests/group_norm_inputs.h"

namespace hourglass::test {
namespace {

TEST(GroupNorm, ReferenceIsTheDefinition) {
  // Two pixels, two groups of one channel: values 1, 3 and 10, 10.
  const GroupNormShape s{1, 2, 2, 2, 1e-3};
  const std::vector<double> x = {1, 10, 3, 10}, gamma = {2, 5}, beta = {0.5, -1};
  Guarded<double> y(4), mean(2), rstd(2);
  cpu::group_norm_forward<double>({}, s, x.data(), gamma.data(), beta.data(), y.data(), mean.data(), rstd.data());
  const double r = 1 / std::sqrt(1.001);
  expect_close(mean, std::vector<double>{2, 10}, fp64_tolerance());
  expect_close(rstd, std::vector<double>{r, 1 / std::sqrt(1e-3)}, fp64_tolerance());
  expect_close(y, std::vector<double>{0.5 - 2 * r, -1, 0.5 + 2 * r, -1}, fp64_tolerance());
}

TEST(GroupNorm, ReferencePassesTheGradientCheck) {
  for (const GroupNormShape& s : {GroupNormShape{2, 4, 6, 3}, GroupNormShape{2, 3, 4, 1}}) {
    SCOPED_TRACE(describe(s));
    const GroupNormInputs<double> in(s);
    const GroupNormTruth truth(s, in, true);
    std::vector<double> y(in.x.size()), mean(truth.mean.size()), rstd(truth.mean.size());
    const auto f = [&](const std::vector<double>& x, const std::vector<double>& gamma,
                       const std::vector<double>& beta) {
      cpu::group_norm_forward<double>({}, s, x.data(), gamma.data(), beta.data(), y.data(), mean.data(), rstd.data());
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
    timed ? cpu::group_norm_forward(a...) : cpu::group_norm_forward<float>(a...);
  }
  template <class... A>
  static void backward(const A&... a) {
    timed ? cpu::group_norm_backward(a...) : cpu::group_norm_backward<float>(a...);
  }
};

template <class F>
void check_float() {
  for (const GroupNormShape& s : kGroupNormCases) {
    for (const bool affine : {true, false}) {
      SCOPED_TRACE(describe(s));
      const GroupNormInputs<float> in(s);
      const GroupNormTruth truth(s, in, affine);
      const float *g = affine ? in.gamma.data() : nullptr, *b = affine ? in.beta.data() : nullptr;
      Guarded<float> y(in.size), mean(in.groups), rstd(in.groups);
      F::forward(Context{}, s, in.x.data(), g, b, y.data(), mean.data(), rstd.data());
      const Tolerance limit{4e-6, 1};
      expect_close(y, truth.y, limit, "y");
      expect_close(mean, truth.mean, limit, "mean");
      expect_close(rstd, truth.rstd, limit, "rstd");
      Guarded<float> scratch(static_cast<int64_t>(group_norm_scratch_bytes(s, 1)));
      const auto backward = [&](Grad<float> dx, Grad<float> dgamma, Grad<float> dbeta) {
        F::backward(test_context(2), s, in.x.data(), g, mean.data(), rstd.data(), in.dy.data(), scratch.data(), dx,
                    dgamma, dbeta);
      };
      expect_close(expect_set_and_add<float>(in.size, [&](Grad<float> d) { backward(d, {}, {}); }), truth.dx, limit);
      expect_close(expect_set_and_add<float>(s.C, [&](Grad<float> d) { backward({}, d, {}); }), truth.dgamma, limit);
      expect_close(expect_set_and_add<float>(s.C, [&](Grad<float> d) { backward({}, {}, d); }), truth.dbeta, limit);
      expect_same_bits_for_threads([&](const Context& ctx) {
        std::vector<float> out(static_cast<size_t>(2 * in.size + 2 * s.C));
        F::forward(ctx, s, in.x.data(), g, b, out.data(), mean.data(), rstd.data());
        F::backward(ctx, s, in.x.data(), g, mean.data(), rstd.data(), in.dy.data(), scratch.data(),
                    Grad<float>{out.data() + in.size}, Grad<float>{out.data() + 2 * in.size},
                    Grad<float>{out.data() + 2 * in.size + s.C});
        return out;
      });
    }
  }
}

TEST(GroupNorm, FloatMatchesDoubleAndSetsAddsAndSkips) {
  check_float<Form<false>>();
  check_float<Form<true>>();
}

TEST(GroupNorm, ALargeMeanCostsNoDigits) {
  const GroupNormShape s{1, 64, 4, 2};
  GroupNormInputs<float> in(s);
  for (float& value : in.x) value = 1000 + 0.125f * std::round(8 * value);  // held exactly
  const GroupNormTruth truth(s, in, false);
  Guarded<float> y(in.size), mean(2), rstd(2);
  for (const bool timed : {false, true}) {
    const auto forward = [&](auto... arguments) {
      timed ? cpu::group_norm_forward(arguments...) : cpu::group_norm_forward<float>(arguments...);
    };
    forward(Context{}, s, in.x.data(), static_cast<const float*>(nullptr), static_cast<const float*>(nullptr), y.data(),
            mean.data(), rstd.data());
    expect_close(rstd, truth.rstd, Tolerance{1e-5}, "rstd");
    expect_close(y, truth.y, Tolerance{1e-4}, "y");  // the mean itself is rounded to 6e-5
  }
}

TEST(GroupNorm, Refusals) {
  const auto forward = [](const GroupNormShape& s) {
    cpu::group_norm_forward({}, s, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
  };
  expect_error([&] { forward({1, -2, 4, 2}); }, Exit::kUsage, {"group_norm", "pixels = -2"});
  expect_error([&] { forward({1, 2, 4, 3}); }, Exit::kUsage, {"group_norm", "C = 4", "G = 3"});
  expect_error([&] { forward({1, 2, 4, 0}); }, Exit::kUsage, {"G = 0"});
  expect_error([&] { forward({1, 2, 4, 2, 0}); }, Exit::kUsage, {"eps above 0"});
}

}  // namespace
}  // namespace hourglass::test
