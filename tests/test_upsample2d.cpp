// SPDX-License-Identifier: Apache-2.0
#include "kernels/upsample2d.h"
#include "tests/cases/upsample2d.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

using S = Upsample2dShape;

int64_t inputs(const S& s) { return int64_t{s.N} * s.H * s.W * s.C; }
int64_t outputs(const S& s) { return inputs(s) * s.factor_h * s.factor_w; }
std::string label(const S& s) { return describe("upsample2d", {s.N, s.H, s.W, s.C, s.factor_h, s.factor_w}); }

TEST(Upsample2d, ReferenceIsTheDefinition) {
  const S s{1, 1, 2, 2, 2, 3};
  const std::vector<double> x = {1, 2, 3, 4};
  Guarded<double> y(24), dx(4);
  cpu::upsample2d_forward<double>({}, s, x.data(), y.data());
  const std::vector<double> row = {1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4};
  std::vector<double> want = row;
  want.insert(want.end(), row.begin(), row.end());
  EXPECT_EQ(y.values(), want);
  std::vector<double> dy(24);
  for (size_t i = 0; i < dy.size(); ++i) dy[i] = static_cast<double>(i);
  cpu::upsample2d_backward<double>({}, s, dy.data(), {dx.data()});
  EXPECT_EQ(dx.values(), (std::vector<double>{48, 54, 84, 90}));
}

/// The two are adjoint: <up(x), dy> = <x, up^T(dy)>, exactly on integers.
TEST(Upsample2d, FormsAgreeToTheBitOnIntegersAndBackwardIsTheAdjoint) {
  for (const S& s : kUpsample2dCases) {
    SCOPED_TRACE(label(s));
    const auto x = random_integers<float>(inputs(s), 1), dy = random_integers<float>(outputs(s), 2);
    Guarded<float> want(outputs(s)), want_dx(inputs(s));
    cpu::upsample2d_forward<float>({}, s, x.data(), want.data());
    cpu::upsample2d_backward<float>({}, s, dy.data(), {want_dx.data()});
    EXPECT_EQ(weighted_sum(want, dy), weighted_sum(want_dx, x));
    for (int threads : {0, 1, 2, 4}) {
      const Context ctx = test_context(threads);
      Guarded<float> y(outputs(s));
      cpu::upsample2d_forward(ctx, s, x.data(), y.data());
      expect_same_bits(y, want, "y");
      expect_close(
          expect_set_and_add<float>(inputs(s), [&](Grad<float> g) { cpu::upsample2d_backward(ctx, s, dy.data(), g); }),
          want_dx, exact(), "dx");
    }
  }
}

TEST(Upsample2d, ReferencePassesTheGradientCheck) {
  const S s{2, 3, 2, 3, 2, 3};
  const auto x = random_values<double>(inputs(s), 1), dy = random_values<double>(outputs(s), 2);
  const auto f = [&](const std::vector<double>& at) {
    std::vector<double> y(dy.size());
    cpu::upsample2d_forward<double>({}, s, at.data(), y.data());
    return weighted_sum(y, dy);
  };
  gradcheck(f, x, expect_set_and_add<double>(inputs(s), [&](Grad<double> dx) {
              cpu::upsample2d_backward<double>({}, s, dy.data(), dx);
            }));
}

TEST(Upsample2d, Refusals) {
  const auto forward = [](const S& s) { cpu::upsample2d_forward({}, s, nullptr, nullptr); };
  expect_error([&] { forward({1, 2, -2, 1, 2, 2}); }, Exit::kUsage, {"upsample2d", "W = -2"});
  expect_error([&] { forward({1, 2, 2, 1, 0, 2}); }, Exit::kUsage, {"upsample2d", "0 x 2"});
  expect_error([&] { forward({1, 65536, 65536, 1, 1, 1}); }, Exit::kUsage, {"2^31"});
  expect_error(
      [&] {
        cpu::upsample2d_backward<float>({}, {1, 2, 2, 1, 2, 1 << 30}, nullptr, {});
      },
      Exit::kUsage, {"2^31"});
}

}  // namespace
}  // namespace hourglass::test
