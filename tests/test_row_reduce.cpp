// SPDX-License-Identifier: Apache-2.0
#include "kernels/row_reduce.h"
#include "tests/cases/row_reduce.h"
#include "tests/harness.h"

namespace hourglass {
namespace {

using namespace test;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// One op of the family with one signature.
template <class T>
struct Op {
  const char* name;
  void (*forward)(const Context&, RowReduceShape, const T* x, T* y);
  void (*backward)(const Context&, RowReduceShape, const T* x, const T* y, const T* dy, Grad<T> dx);
};

template <class T>
std::vector<Op<T>> ops() {
  using C = Context;
  using S = RowReduceShape;
  return {
      {"row_sum", cpu::row_sum_forward<T>,
       [](const C& c, S s, const T*, const T*, const T* dy, Grad<T> dx) { cpu::row_sum_backward<T>(c, s, dy, dx); }},
      {"row_mean", cpu::row_mean_forward<T>,
       [](const C& c, S s, const T*, const T*, const T* dy, Grad<T> dx) { cpu::row_mean_backward<T>(c, s, dy, dx); }},
      {"row_norm", cpu::row_norm_forward<T>, cpu::row_norm_backward<T>},
      {"row_log_sum_exp", cpu::row_log_sum_exp_forward<T>, cpu::row_log_sum_exp_backward<T>}};
}

template <class T>
std::vector<T> forward(const Op<T>& op, const RowReduceShape& s, const std::vector<T>& x) {
  Guarded<T> y(s.N);
  op.forward({}, s, x.data(), y.data());
  return y.values();
}

TEST(RowReduce, ReferenceIsTheDefinition) {
  const std::vector<double> x = {3, 4, -1, 1};
  const std::vector<std::vector<double>> want = {
      {7, 0}, {3.5, 0}, {5, 1.4142135623730951}, {4.3132616875182228, 1.1269280110429725}};
  const auto all = ops<double>();
  for (size_t i = 0; i < all.size(); ++i) {
    expect_close(forward(all[i], {2, 2}, x), want[i], Tolerance{1e-15}, all[i].name);
  }
}

TEST(RowReduce, ReferencePassesTheGradientCheck) {
  const RowReduceShape s{4, 7};
  const auto x = random_values<double>(28, 1, -2, 2), dy = random_values<double>(4, 2);
  for (const auto& op : ops<double>()) {
    SCOPED_TRACE(op.name);
    const auto y = forward(op, s, x);
    Guarded<double> dx(28);
    op.backward({}, s, x.data(), y.data(), dy.data(), {dx.data()});
    gradcheck([&](const auto& at) { return weighted_sum(forward(op, s, at), dy); }, x, dx, op.name);
  }
}

TEST(RowReduce, FloatMatchesDouble) {
  const auto narrow = ops<float>();
  const auto wide = ops<double>();
  for (const RowReduceShape& s : kRowReduceCases) {
    const int64_t size = int64_t{s.N} * s.D;
    const auto x = random_values<float>(size, 1, -2, 2), dy = random_values<float>(s.N, 2);
    const auto wide_x = converted<double>(x), wide_dy = converted<double>(dy);
    for (size_t i = 0; i < narrow.size(); ++i) {
      SCOPED_TRACE(describe(narrow[i].name, {s.N, s.D}));
      const auto y = forward(narrow[i], s, x);
      const auto want = forward(wide[i], s, wide_x);
      expect_close(y, want, fp32_tolerance(s.D, 1), "y");
      Guarded<float> dx(size);
      Guarded<double> want_dx(size);
      narrow[i].backward({}, s, x.data(), y.data(), dy.data(), {dx.data()});
      wide[i].backward({}, s, wide_x.data(), want.data(), wide_dy.data(), {want_dx.data()});
      expect_close(dx, want_dx, fp32_tolerance(s.D), "dx");
    }
  }
}

TEST(RowReduce, IntegersAreExact) {
  const RowReduceShape s{5, 784};
  const auto x = random_integers<float>(5 * 784, 1);
  const auto want = forward(ops<double>()[0], s, converted<double>(x));
  expect_close(forward(ops<float>()[0], s, x), want, exact());
}

TEST(RowReduce, SetsAddsAndSkipsWithTheSameBitsOnAnyNumberOfThreads) {
  const RowReduceShape s{128, 50};
  const auto x = random_values<float>(128 * 50, 1), dy = random_values<float>(128, 2);
  for (const auto& op : ops<float>()) {
    SCOPED_TRACE(op.name);
    const auto y = forward(op, s, x);
    expect_set_and_add<float>(128 * 50, [&](Grad<float> dx) { op.backward({}, s, x.data(), y.data(), dy.data(), dx); });
    expect_same_bits_for_threads([&](const Context& ctx) {
      Guarded<float> again(s.N), dx(128 * 50);
      op.forward(ctx, s, x.data(), again.data());
      op.backward(ctx, s, x.data(), y.data(), dy.data(), {dx.data()});
      auto both = again.values();
      both.insert(both.end(), dx.begin(), dx.end());
      return both;
    });
  }
}

TEST(RowReduce, ExtremesStayFinite) {
  const auto all = ops<float>();
  const std::vector<float> x = {1e30f, -1e30f, 1e4f, 1e4f, -1e4f, -1e4f};
  const auto norm = forward(all[2], {3, 2}, x), lse = forward(all[3], {3, 2}, x);
  expect_close(norm, std::vector<double>{1.4142135623730951e30, 14142.135623730951, 14142.135623730951},
               fp32_tolerance(2));
  expect_close(lse, std::vector<double>{1e30, 1e4 + 0.693147, -1e4 + 0.693147}, fp32_tolerance(2));
  EXPECT_FLOAT_EQ(lse[2], -9999.3068f);
}

TEST(RowReduce, NormOfZerosHasGradientZero) {
  const std::vector<double> x = {0, 0}, y = {0}, dy = {3};
  Guarded<double> dx(2);
  cpu::row_norm_backward<double>({}, {1, 2}, x.data(), y.data(), dy.data(), {dx.data()});
  EXPECT_EQ(dx.values(), (std::vector<double>{0, 0}));
}

TEST(RowReduce, LogSumExpOfMinusInfinities) {
  const std::vector<double> x = {-kInfinity, -kInfinity, -kInfinity, 2}, dy = {1, 1};
  const auto op = ops<double>()[3];
  const auto y = forward(op, {2, 2}, x);
  EXPECT_EQ(y, (std::vector<double>{-kInfinity, 2}));
  Guarded<double> dx(4);
  op.backward({}, {2, 2}, x.data(), y.data(), dy.data(), {dx.data()});
  EXPECT_EQ(dx.values(), (std::vector<double>{0, 0, 0, 1}));
}

TEST(RowReduce, NotANumberIsNotHidden) {
  const std::vector<double> x = {1, std::nan(""), 2};
  for (const auto& op : ops<double>()) EXPECT_TRUE(std::isnan(forward(op, {1, 3}, x)[0])) << op.name;
  double max = -kInfinity, sum = 0;
  cpu::log_sum_exp_update<double>({}, {1, 3}, x.data(), &max, &sum);
  EXPECT_TRUE(std::isnan(max + std::log(sum)));
}

TEST(RowReduce, NoColumns) {
  const auto all = ops<double>();
  EXPECT_EQ(forward(all[0], {2, 0}, {}), (std::vector<double>{0, 0}));
  EXPECT_EQ(forward(all[2], {2, 0}, {}), (std::vector<double>{0, 0}));
  EXPECT_EQ(forward(all[3], {2, 0}, {}), (std::vector<double>{-kInfinity, -kInfinity}));
  expect_error([&] { forward(all[1], {2, 0}, {}); }, Exit::kUsage, {"row_mean", "D = 0"});
}

TEST(RowReduce, StreamingLogSumExpEqualsTheWholeForAnyChunk) {
  const int N = 3, K = 60;
  auto x = random_values<double>(N * K, 1, -700, 900);
  x[0] = -kInfinity;
  const auto want = forward(ops<double>()[3], {N, K}, x);
  for (int chunk : {1, 7, 60}) {
    std::vector<double> max(N, -kInfinity), sum(N, 0.0), got(N);
    for (int k = 0; k < K; k += chunk) {
      const int width = std::min(chunk, K - k);
      std::vector<double> values;
      for (int n = 0; n < N; ++n) values.insert(values.end(), x.begin() + n * K + k, x.begin() + n * K + k + width);
      cpu::log_sum_exp_update<double>({}, {N, width}, values.data(), max.data(), sum.data());
    }
    for (size_t n = 0; n < N; ++n) got[n] = max[n] + std::log(sum[n]);
    expect_close(got, want, fp64_tolerance(), describe("chunk", {chunk}));
  }
}

TEST(RowReduce, RefusesNegativeExtents) {
  for (const auto& op : ops<double>()) {
    expect_error([&] { op.forward({}, {-1, 2}, nullptr, nullptr); }, Exit::kUsage, {op.name, "N = -1"});
    expect_error([&] { op.backward({}, {1, -2}, nullptr, nullptr, nullptr, {}); }, Exit::kUsage, {op.name, "D = -2"});
  }
  expect_error(
      [] {
        cpu::log_sum_exp_update<double>({}, {-1, 2}, nullptr, nullptr, nullptr);
      },
      Exit::kUsage, {"log_sum_exp_update", "N = -1"});
}

}  // namespace
}  // namespace hourglass
