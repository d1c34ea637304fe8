// SPDX-License-Identifier: Apache-2.0
#include "kernels/elementwise.h"
#include "tests/cases/elementwise.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

constexpr double kFactor = -0.375;

using S = ElementwiseShape;
using C = Context;

/// One op on the device in T and its reference in double. scale takes a alone.
template <class T>
struct Op {
  const char* name;
  void (*forward)(const C&, S, const T* a, const T* b, T* y);
  void (*backward)(const C&, S, const T* a, const T* b, const T* dy, Grad<T> da, Grad<T> db);
  void (*want_forward)(const C&, S, const double* a, const double* b, double* y);
  void (*want_backward)(const C&, S, const double* a, const double* b, const double* dy, Grad<double> da,
                        Grad<double> db);
};

template <class T>
std::vector<Op<T>> ops() {
  using G = Grad<T>;
  using D = Grad<double>;
  using P = const T*;
  using Q = const double*;
  return {
      {"add", cuda::add_forward<T>,
       [](const C& c, S s, P, P, P dy, G da, G db) { cuda::add_backward(c, s, dy, da, db); }, cpu::add_forward<double>,
       [](const C& c, S s, Q, Q, Q dy, D da, D db) { cpu::add_backward(c, s, dy, da, db); }},
      {"sub", cuda::sub_forward<T>,
       [](const C& c, S s, P, P, P dy, G da, G db) { cuda::sub_backward(c, s, dy, da, db); }, cpu::sub_forward<double>,
       [](const C& c, S s, Q, Q, Q dy, D da, D db) { cpu::sub_backward(c, s, dy, da, db); }},
      {"mul", cuda::mul_forward<T>, cuda::mul_backward<T>, cpu::mul_forward<double>, cpu::mul_backward<double>},
      {"scale", [](const C& c, S s, P a, P, T* y) { cuda::scale_forward(c, s, a, kFactor, y); },
       [](const C& c, S s, P, P, P dy, G da, G) { cuda::scale_backward(c, s, dy, kFactor, da); },
       [](const C& c, S s, Q a, Q, double* y) { cpu::scale_forward(c, s, a, kFactor, y); },
       [](const C& c, S s, Q, Q, Q dy, D da, D) { cpu::scale_backward(c, s, dy, kFactor, da); }}};
}

template <class T>
void check_op(const Op<T>& op, S s, int offset) {
  const auto a = random_values<T>(s.n, 1), b = random_values<T>(s.n, 2), dy = random_values<T>(s.n, 3);
  const auto in_double = [](const std::vector<T>& v) { return converted<double>(v); };
  std::vector<double> y(a.size()), da(a.size()), db(a.size());
  op.want_forward({}, s, in_double(a).data(), in_double(b).data(), y.data());
  op.want_backward({}, s, in_double(a).data(), in_double(b).data(), in_double(dy).data(), {da.data()}, {db.data()});

  const DeviceArray<T> device_a(a, offset), device_b(b, offset), device_dy(dy, offset);
  const auto got = on_cuda([&](const C& ctx) {
    DeviceArray<T> out(s.n, offset);
    op.forward(ctx, s, device_a.data(), device_b.data(), out.data());
    return out.values();
  });
  const Tolerance tolerance = cuda_tolerance<T>(1);
  expect_close(got, y, tolerance, "y");
  const auto run = [&](const C& ctx, Grad<T> first, Grad<T> second) {
    op.backward(ctx, s, device_a.data(), device_b.data(), device_dy.data(), first, second);
  };
  const bool binary = std::string(op.name) != "scale";
  expect_close(expect_set_and_add_on_cuda<T>(s.n, [&](const C& ctx, Grad<T> g) { run(ctx, g, {}); }), da, tolerance,
               "da");
  if (!binary) return;
  expect_close(expect_set_and_add_on_cuda<T>(s.n, [&](const C& ctx, Grad<T> g) { run(ctx, {}, g); }), db, tolerance,
               "db");
  const auto both = on_cuda([&](const C& ctx) {
    DeviceArray<T> first(s.n, offset), second(s.n, offset);
    run(ctx, {first.data()}, {second.data()});
    return std::tuple(first.values(), second.values());
  });
  expect_close(std::get<0>(both), da, tolerance, "da of both");
  expect_close(std::get<1>(both), db, tolerance, "db of both");
}

using ElementwiseCuda = CudaTest;

template <class T>
void check_all() {
  for (const Op<T>& op : ops<T>()) {
    for (const S& s : kElementwiseCases) {
      for (const int offset : {0, 1}) {
        if (offset && s.n > 1000) continue;
        SCOPED_TRACE(describe(op.name, {s.n, offset}));
        check_op(op, s, offset);
      }
    }
  }
}
TEST_F(ElementwiseCuda, FloatMatchesTheReference) { check_all<float>(); }
TEST_F(ElementwiseCuda, Bf16MatchesTheReference) { check_all<bf16>(); }

/// More quads than the largest grid has threads.
TEST_F(ElementwiseCuda, ThreadsLoopOverLargeArrays) {
  const S s{4 * 132 * 8 * 1024 + 4097};
  const auto x = random_values<float>(s.n, 5);
  const DeviceArray<float> device_x(x);
  DeviceArray<float> y(s.n);
  cuda::scale_forward(cuda_context(), s, device_x.data(), 2, y.data());
  expect_close(
      y.values(),
      [&] {
        std::vector<double> want(x.begin(), x.end());
        for (double& value : want) value *= 2;
        return want;
      }(),
      exact());
}

}  // namespace
}  // namespace hourglass::test
