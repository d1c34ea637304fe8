// SPDX-License-Identifier: Apache-2.0
#include <numeric>

#include "kernels/base/philox.h"
#include "kernels/corrupt.h"
#include "tests/cases/corrupt.h"
#include "tests/harness.h"

namespace hourglass::test {
namespace {

const int64_t kStep = 7;

Noise noise_of(const int32_t* rows = nullptr) {
  Noise noise;
  noise.seed = 5;
  noise.stream = stream_id("train/corrupt");
  noise.step = &kStep;
  noise.rows = rows;
  noise.first_row = 40;
  return noise;
}

TEST(Corrupt, ReferenceIsTheDefinition) {
  const int N = 3, D = 50;
  const auto x = random_values<double>(N * D, 1, 0, 1);
  const Noise noise = noise_of();
  for (const Corruption& c : kCorruptions) {
    Guarded<double> y(N * D);
    cpu::corrupt<double>({}, {N, D, c}, x.data(), noise, y.data());
    for (int i = 0; i < N * D; ++i) {
      const double u = uniform<double>(noise, i / D, i % D), at = x[static_cast<size_t>(i)];
      const double noisy = std::min(1.0, std::max(0.0, at + 0.5 * normal<double>(noise, i / D, i % D)));
      const double want = c.kind == CorruptionKind::kGaussian ? noisy
                          : c.kind == CorruptionKind::kMask   ? (u < 0.25 ? 0 : at)
                          : u < 0.05                          ? 0
                          : u < 0.1                           ? 1
                                                              : at;
      EXPECT_EQ(y[i], want) << i;
    }
  }
}

/// Replaced elements are the same ones in every form and lane; Gaussian noise is near.
TEST(Corrupt, FloatFormsMatchDouble) {
  std::vector<int32_t> rows(16);
  std::iota(rows.begin(), rows.end(), 100);
  for (const auto& e : kCorruptExtents) {
    for (const Corruption& c : kCorruptions) {
      for (const Noise& noise : {noise_of(), noise_of(rows.data())}) {
        SCOPED_TRACE(describe("corrupt", {e.N, e.D, static_cast<int>(c.kind)}));
        const CorruptShape s{e.N, e.D, c};
        const int64_t n = int64_t{e.N} * e.D;
        const auto x = random_values<float>(n, 1, 0, 1);
        Guarded<double> want(n);
        cpu::corrupt<double>({}, s, converted<double>(x).data(), noise, want.data());
        const Tolerance tolerance = c.kind == CorruptionKind::kGaussian ? Tolerance{2e-6, 1} : exact();
        Guarded<float> reference(n);
        cpu::corrupt<float>({}, s, x.data(), noise, reference.data());
        expect_close(reference, want, tolerance, "reference");
        Guarded<float> in_place(x);
        cpu::corrupt(test_context(2), s, in_place.data(), noise, in_place.data());
        expect_close(in_place, want, tolerance, "in place");
        expect_same_bits_for_threads([&](const Context& ctx) {
          std::vector<float> y(static_cast<size_t>(n));
          cpu::corrupt(ctx, s, x.data(), noise, y.data());
          expect_same_bits(y, in_place, "beside");
          return y;
        });
      }
    }
  }
}

TEST(Corrupt, HitsAboutAsManyElementsAsAsked) {
  const int N = 100, D = 1000;
  const std::vector<float> x(N * D, 0.5f);
  std::vector<float> y(N * D);
  const auto share = [&](float value) { return static_cast<double>(std::count(y.begin(), y.end(), value)) / (N * D); };
  cpu::corrupt({}, {N, D, {CorruptionKind::kMask, 0.25}}, x.data(), noise_of(), y.data());
  EXPECT_NEAR(share(0), 0.25, 0.007);  // five standard deviations
  cpu::corrupt({}, {N, D, {CorruptionKind::kSaltPepper, 0.1}}, x.data(), noise_of(), y.data());
  EXPECT_NEAR(share(0), 0.05, 0.0035);
  EXPECT_NEAR(share(1), 0.05, 0.0035);
  cpu::corrupt({}, {N, D, {CorruptionKind::kMask, 1}}, x.data(), noise_of(), y.data());
  EXPECT_EQ(share(0), 1);
  cpu::corrupt({}, {N, D, {CorruptionKind::kSaltPepper, 0}}, x.data(), noise_of(), y.data());
  EXPECT_EQ(y, x);
}

TEST(Corrupt, Refusals) {
  const auto run = [](const CorruptShape& s) { cpu::corrupt({}, s, nullptr, noise_of(), nullptr); };
  expect_error([&] { run({-1, 3, {}}); }, Exit::kUsage, {"corrupt", "N = -1"});
  expect_error([&] { run({1, 3, {CorruptionKind::kMask, 1.5}}); }, Exit::kUsage, {"probability", "1.5"});
  expect_error([&] { run({1, 3, {CorruptionKind::kGaussian, -0.5}}); }, Exit::kUsage, {"standard deviation", "-0.5"});
  expect_error([&] { run({1, 3, {CorruptionKind::kGaussian, NAN}}); }, Exit::kUsage, {"standard deviation"});
  Noise noise = noise_of();
  noise.draws = 2;
  expect_error([&] { cpu::corrupt<double>({}, {1, 3, {}}, nullptr, noise, nullptr); }, Exit::kUsage, {"one draw", "2"});
}

}  // namespace
}  // namespace hourglass::test
