// SPDX-License-Identifier: Apache-2.0
#include "kernels/gaussian_head.h"
#include "tests/gaussian_head_checks.h"

namespace hourglass::test {
namespace {

/// All outputs; `timed` picks the float form instead of the reference.
template <class T>
HeadTruth run(const Context& ctx, const GaussianHeadShape& s, const HeadInputs<T>& in, double weight, bool timed,
              bool with_dz = true) {
  Guarded<T> head(int64_t{s.N} * 2 * s.D), z(int64_t{s.N} * s.draws * s.D), kl(s.N), value(1);
  Guarded<T> dx(int64_t{s.N} * s.C), dw(int64_t{s.C} * 2 * s.D), db(2 * s.D);
  Guarded<T> scratch(static_cast<int64_t>(cpu::gaussian_head_backward_scratch_bytes(ctx, s, sizeof(T)) / sizeof(T)));
  const T* dz = with_dz ? in.dz.data() : nullptr;
  const Grad<T> of_value{value.data()}, of_x{dx.data()}, of_w{dw.data()}, of_b{db.data()};
  if constexpr (std::is_same_v<T, float>) {
    if (timed) {
      cpu::gaussian_head_forward(ctx, s, in.x.data(), in.w.data(), in.b.data(), head_noise(s), head.data(), z.data(),
                                 kl.data());
      cpu::gaussian_head_backward(ctx, s, in.x.data(), in.w.data(), head.data(), head_noise(s), dz, Weight{weight},
                                  kl.data(), scratch.data(), of_value, of_x, of_w, of_b);
    }
  }
  if (!timed) {
    cpu::gaussian_head_forward<T>(ctx, s, in.x.data(), in.w.data(), in.b.data(), head_noise(s), head.data(), z.data(),
                                  kl.data());
    cpu::gaussian_head_backward<T>(ctx, s, in.x.data(), in.w.data(), head.data(), head_noise(s), dz, Weight{weight},
                                   kl.data(), scratch.data(), of_value, of_x, of_w, of_b);
  }
  return {converted<double>(head.values()),  converted<double>(z.values()),  converted<double>(kl.values()),
          converted<double>(value.values()), converted<double>(dx.values()), converted<double>(dw.values()),
          converted<double>(db.values())};
}

void expect_all_close(const HeadTruth& got, const HeadTruth& want, Tolerance tolerance) {
  expect_close(got.head, want.head, tolerance, "head");
  expect_close(got.z, want.z, tolerance, "z");
  expect_close(got.kl, want.kl, tolerance, "kl");
  expect_close(got.value, want.value, tolerance, "value");
  expect_close(got.dx, want.dx, tolerance, "dx");
  expect_close(got.dw, want.dw, tolerance, "dw");
  expect_close(got.db, want.db, tolerance, "db");
}

TEST(GaussianHead, IsTheLayerThenTheLatent) {
  for (const GaussianHeadShape& s : kGaussianHeadCases) {
    SCOPED_TRACE(name_of(s));
    const HeadInputs<double> in(s);
    for (const bool with_dz : {true, false}) {
      expect_all_close(run({}, s, in, 1.5, false, with_dz), head_truth(s, in, 1.5, with_dz), fp64_tolerance());
    }
  }
}

TEST(GaussianHead, FloatMatchesDouble) {
  for (const GaussianHeadShape& s : kGaussianHeadCases) {
    SCOPED_TRACE(name_of(s));
    const HeadInputs<float> in(s);
    const HeadTruth want = head_truth(s, {s, in}, 0.75);
    const Tolerance tolerance{4 * fp32_tolerance(s.C + s.N + s.D).relative, 1e-2};
    for (const bool timed : {false, true}) expect_all_close(run({}, s, in, 0.75, timed), want, tolerance);
  }
}

TEST(GaussianHead, ThreadsChangeNoBit) {
  for (const GaussianHeadShape& s : kGaussianHeadCases) {
    const HeadInputs<float> in(s);
    expect_same_bits_for_threads(
        [&](const Context& ctx) {
          const HeadTruth all = run(ctx, s, in, 1, true);
          std::vector<double> joined = all.z;
          for (const auto* part : {&all.kl, &all.value, &all.dx, &all.dw, &all.db}) {
            joined.insert(joined.end(), part->begin(), part->end());
          }
          return joined;
        },
        name_of(s));
  }
}

/// Nobody asks for a gradient: the value alone, and no scratch is touched.
TEST(GaussianHead, TheValueAlone) {
  const GaussianHeadShape s{17, 33, 7, 3};
  const HeadInputs<float> in(s);
  const HeadTruth want = head_truth(s, {s, in}, 1);
  const std::vector<float> head = converted<float>(want.head), kl = converted<float>(want.kl);
  float value = 0, reference = 0;
  cpu::gaussian_head_backward(Context{}, s, in.x.data(), in.w.data(), head.data(), head_noise(s), nullptr, Weight{1},
                              kl.data(), nullptr, {&value}, {}, {}, {});
  cpu::gaussian_head_backward<float>({}, s, in.x.data(), in.w.data(), head.data(), head_noise(s), nullptr, Weight{1},
                                     kl.data(), nullptr, {&reference}, {}, {}, {});
  EXPECT_NEAR(value, want.value[0], 1e-5 * want.value[0]);
  EXPECT_NEAR(reference, want.value[0], 1e-5 * want.value[0]);
}

TEST(GaussianHead, Refuses) {
  const auto call = [](const GaussianHeadShape& s) {
    cpu::gaussian_head_forward<float>({}, s, nullptr, nullptr, nullptr, head_noise(s), nullptr, nullptr, nullptr);
  };
  expect_error([&] { call({1, 2, -3}); }, Exit::kUsage, {"gaussian_head", "-3"});
  expect_error([&] { call({1, -2, 3}); }, Exit::kUsage, {"linear", "-2"});
  expect_error([&] { call({1, 2, 3, 0}); }, Exit::kUsage, {"gaussian_head", "draws"});
}

}  // namespace
}  // namespace hourglass::test
