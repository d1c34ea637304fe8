// SPDX-License-Identifier: Apache-2.0
#include "kernels/row_reduce.h"
#include "tests/cases/row_reduce.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

using C = Context;
using S = RowReduceShape;

template <class T>
struct Op {
  const char* name;
  void (*forward)(const C&, S, const T* x, T* y);
  void (*backward)(const C&, S, const T* x, const T* y, const T* dy, Grad<T> dx);
  void (*want_forward)(const C&, S, const double* x, double* y);
  void (*want_backward)(const C&, S, const double* x, const double* y, const double* dy, Grad<double> dx);
};

template <class T>
std::vector<Op<T>> ops() {
  using P = const T*;
  using Q = const double*;
  using G = Grad<T>;
  using D = Grad<double>;
  return {
      {"row_sum", cuda::row_sum_forward<T>,
       [](const C& c, S s, P, P, P dy, G dx) { cuda::row_sum_backward(c, s, dy, dx); }, cpu::row_sum_forward<double>,
       [](const C& c, S s, Q, Q, Q dy, D dx) { cpu::row_sum_backward(c, s, dy, dx); }},
      {"row_mean", cuda::row_mean_forward<T>,
       [](const C& c, S s, P, P, P dy, G dx) { cuda::row_mean_backward(c, s, dy, dx); }, cpu::row_mean_forward<double>,
       [](const C& c, S s, Q, Q, Q dy, D dx) { cpu::row_mean_backward(c, s, dy, dx); }},
      {"row_norm", cuda::row_norm_forward<T>, cuda::row_norm_backward<T>, cpu::row_norm_forward<double>,
       cpu::row_norm_backward<double>},
      {"row_log_sum_exp", cuda::row_log_sum_exp_forward<T>, cuda::row_log_sum_exp_backward<T>,
       cpu::row_log_sum_exp_forward<double>, cpu::row_log_sum_exp_backward<double>}};
}

/// The backward is compared at the y that the device rounded.
template <class T>
void check_op(const Op<T>& op, S s, int offset) {
  const int64_t n = int64_t{s.N} * s.D;
  const auto x = random_values<T>(n, 1, -0.5, 1), dy = random_values<T>(s.N, 2);  // sums do not cancel
  const auto x64 = converted<double>(x), dy64 = converted<double>(dy);
  const DeviceArray<T> device_x(x, offset), device_dy(dy);
  const auto y = on_cuda([&](const C& ctx) {
    DeviceArray<T> out(s.N);
    op.forward(ctx, s, device_x.data(), out.data());
    return out.values();
  });
  std::vector<double> want(y.size()), dx(x.size());
  op.want_forward({}, s, x64.data(), want.data());
  expect_close(y, want, cuda_tolerance<T>(s.D), "y");
  const auto y64 = converted<double>(y);
  op.want_backward({}, s, x64.data(), y64.data(), dy64.data(), {dx.data()});
  const DeviceArray<T> device_y(y);
  const auto got = expect_set_and_add_on_cuda<T>(n, [&](const C& ctx, Grad<T> grad) {
    op.backward(ctx, s, device_x.data(), device_y.data(), device_dy.data(), grad);
  });
  expect_close(got, dx, cuda_tolerance<T>(1), "dx");
}

/// Also rows of a block, rows of several blocks, and rows of nothing.
std::vector<S> cases() {
  auto all = kRowReduceCases;
  for (const S& s : {S{3, 1500}, S{2, 5001}, S{1, 70000}, S{3, 0}}) all.push_back(s);
  return all;
}

template <class T>
void check_all() {
  for (const Op<T>& op : ops<T>()) {
    for (const S& s : cases()) {
      const std::string name = op.name;
      if (s.D == 0 && (name == "row_mean" || name == "row_log_sum_exp")) continue;  // an error, and -inf: see below
      for (const int offset : {0, 1}) {
        if (offset && s.N > 1000) continue;
        SCOPED_TRACE(describe(op.name, {s.N, s.D, offset}));
        check_op(op, s, offset);
      }
    }
  }
}

using RowReduceCuda = CudaTest;

TEST_F(RowReduceCuda, FloatMatchesTheReference) { check_all<float>(); }
TEST_F(RowReduceCuda, Bf16MatchesTheReference) { check_all<bf16>(); }

TEST_F(RowReduceCuda, InfinitiesAndZeros) {
  const float inf = std::numeric_limits<float>::infinity();
  const S s{4, 3};
  const DeviceArray<float> x(std::vector<float>{-inf, -inf, -inf, -inf, 0, -inf, 1e-42f, 0, 0, 0, 0, 0});
  const DeviceArray<float> dy(std::vector<float>{1, 1, 1, 1});
  DeviceArray<float> lse(4), dx(12), norm(4), dnorm(12);
  cuda::row_log_sum_exp_forward(cuda_context(), s, x.data(), lse.data());
  cuda::row_log_sum_exp_backward(cuda_context(), s, x.data(), lse.data(), dy.data(), Grad<float>{dx.data()});
  cuda::row_norm_forward(cuda_context(), s, x.data(), norm.data());
  cuda::row_norm_backward(cuda_context(), s, x.data(), norm.data(), dy.data(), Grad<float>{dnorm.data()});
  EXPECT_EQ(lse.values()[0], -inf);
  EXPECT_EQ(lse.values()[1], 0);
  cuda::row_log_sum_exp_forward<float>(cuda_context(), {4, 0}, nullptr, lse.data());
  expect_same_bits(lse.values(), std::vector<float>(4, -inf), "of no columns");
  const auto gradient = dx.values(), of_norm = dnorm.values();
  expect_same_bits(std::vector<float>(gradient.begin(), gradient.begin() + 6), std::vector<float>{0, 0, 0, 0, 1, 0});
  expect_close(std::vector<float>(of_norm.begin() + 6, of_norm.end()), std::vector<float>{1, 0, 0, 0, 0, 0},
               fp32_tolerance(1), "unit vector of a subnormal norm, and of none");
}

TEST_F(RowReduceCuda, LogSumExpTakesChunks) {
  for (const S& s : {S{128, 50}, S{3, 17}, S{5, 1}}) {
    SCOPED_TRACE(describe("log_sum_exp_update", {s.N, s.D}));
    auto first = random_values<float>(int64_t{s.N} * s.D, 1, -90, 90);
    const auto second = random_values<float>(int64_t{s.N} * s.D, 2, -90, 90);
    for (int d = 0; d < s.D; ++d) first[static_cast<size_t>(d)] = -std::numeric_limits<float>::infinity();
    const std::vector<double> lowest(static_cast<size_t>(s.N), -std::numeric_limits<double>::infinity()),
        none(static_cast<size_t>(s.N));
    auto max = lowest, sum = none;
    for (const auto* chunk : {&std::as_const(first), &second})
      cpu::log_sum_exp_update({}, s, chunk->data(), max.data(), sum.data());
    const DeviceArray<float> device_first(first), device_second(second);
    const auto got = on_cuda([&](const C& ctx) {
      DeviceArray<double> device_max(lowest), device_sum(none);
      for (const auto* chunk : {&device_first, &device_second}) {
        cuda::log_sum_exp_update(ctx, s, chunk->data(), device_max.data(), device_sum.data());
      }
      return std::tuple(device_max.values(), device_sum.values());
    });
    expect_same_bits(std::get<0>(got), max);
    expect_close(std::get<1>(got), sum, Tolerance{1e-13});
  }
}

TEST_F(RowReduceCuda, TheMeanNeedsAColumn) {
  const auto run = [] { cuda::row_mean_forward<float>(cuda_context(), {2, 0}, nullptr, nullptr); };
  expect_error(run, Exit::kUsage, {"row_mean", "D = 0"});
}

}  // namespace
}  // namespace hourglass::test
