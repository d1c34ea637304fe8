// SPDX-License-Identifier: Apache-2.0
// The promises that every loss over rows keeps, checked once for each of them. `Op` names a loss by static functions:
// forward<T>, backward<T>, loss<T> (the reference), their overloads without <T> (the timed form), and the data's range.
#pragma once

#include <vector>

#include "kernels/base/row_loss.h"
#include "tests/harness.h"

namespace hourglass::test {

template <class T>
struct RowLossInputs {
  int64_t size;
  std::vector<T> y, x, dloss;
  explicit RowLossInputs(RowLossShape s)
      : size(int64_t{s.N} * s.D),
        y(random_values<T>(size, 1, -4, 4)),
        x(random_values<T>(size / s.draws, 2, 0, 1)),
        dloss(random_values<T>(s.N, 3)) {}
};

inline std::string describe(const std::string& name, RowLossShape s) { return describe(name, {s.N, s.D, s.draws}); }

template <class Op>
void check_row_loss_gradient(RowLossShape s) {
  if (int64_t{s.N} * s.D > 150) return;  // the difference of two larger sums is mostly rounding
  const RowLossInputs<double> in(s);
  const auto f = [&](const std::vector<double>& y) {
    std::vector<double> loss(static_cast<size_t>(s.N));
    Op::template forward<double>({}, s, y.data(), in.x.data(), loss.data());
    return weighted_sum(loss, in.dloss);
  };
  gradcheck(f, in.y, expect_set_and_add<double>(in.size, [&](Grad<double> dy) {
              Op::template backward<double>({}, s, in.y.data(), in.x.data(), in.dloss.data(), dy);
            }));
}

/// The float reference and the timed form against the double reference, through all three entries.
template <class Op>
void check_row_loss_float(RowLossShape s) {
  const RowLossInputs<double> in(s);
  const RowLossInputs<float> in32(s);
  std::vector<double> loss(static_cast<size_t>(s.N)), dy(static_cast<size_t>(in.size));
  Op::template forward<double>({}, s, in.y.data(), in.x.data(), loss.data());
  Op::template backward<double>({}, s, in.y.data(), in.x.data(), in.dloss.data(), {dy.data()});

  Guarded<float> reference(s.N), timed(s.N);
  Op::template forward<float>({}, s, in32.y.data(), in32.x.data(), reference.data());
  Op::forward({}, s, in32.y.data(), in32.x.data(), timed.data());
  expect_close(reference, loss, fp32_tolerance(s.D), "reference loss");
  expect_close(timed, loss, fp32_tolerance(s.D), "loss");

  expect_close(expect_set_and_add<float>(in.size,
                                         [&](Grad<float> g) {
                                           Op::template backward<float>({}, s, in32.y.data(), in32.x.data(),
                                                                        in32.dloss.data(), g);
                                         }),
               dy, fp32_tolerance(1), "reference dy");
  expect_close(
      expect_set_and_add<float>(
          in.size, [&](Grad<float> g) { Op::backward({}, s, in32.y.data(), in32.x.data(), in32.dloss.data(), g); }),
      dy, fp32_tolerance(1), "dy");
}

/// The fused form equals the per-sample one: value = mean, gradient = backward of dloss = w / N.
template <class Op>
void check_row_loss_fused(RowLossShape s) {
  if (s.N == 0) return;
  const RowLossInputs<double> in(s);
  const RowLossInputs<float> in32(s);
  const double scheduled = 0.5;
  const Weight weight{3, &scheduled};
  std::vector<double> loss(static_cast<size_t>(s.N)), dy(static_cast<size_t>(in.size));
  const std::vector<double> dloss(static_cast<size_t>(s.N), 1.5 / s.N);
  Op::template forward<double>({}, s, in.y.data(), in.x.data(), loss.data());
  Op::template backward<double>({}, s, in.y.data(), in.x.data(), dloss.data(), {dy.data()});
  double mean = 0;
  for (double each : loss) mean += each / s.N;
  const std::vector<double> means = {mean};

  const auto check = [&](auto run, auto zero, Tolerance of_value, Tolerance of_gradient) {
    using T = decltype(zero);
    std::vector<T> value = expect_set_and_add<T>(
        1, [&](Grad<T> v) { run(v, Grad<T>{}); }, of_value);
    expect_close(value, means, of_value, "value alone");
    Guarded<T> beside(1);
    const auto gradient = expect_set_and_add<T>(
        in.size, [&](Grad<T> g) { run({beside.data()}, g); }, fp32_tolerance(1));
    expect_close(gradient, dy, of_gradient, "fused gradient");
    expect_close(beside, means, of_value, "value beside the gradient");
    expect_same_bits(expect_set_and_add<T>(
                         in.size, [&](Grad<T> g) { run({}, g); }, fp32_tolerance(1)),
                     gradient, "gradient alone");
  };
  check(
      [&](Grad<double> v, Grad<double> g) { Op::template loss<double>({}, s, in.y.data(), in.x.data(), weight, v, g); },
      0.0, fp64_tolerance(), fp64_tolerance());
  check([&](Grad<float> v,
            Grad<float> g) { Op::template loss<float>({}, s, in32.y.data(), in32.x.data(), weight, v, g); },
        0.0f, fp32_tolerance(s.D), fp32_tolerance(1));
  check([&](Grad<float> v, Grad<float> g) { Op::loss({}, s, in32.y.data(), in32.x.data(), weight, v, g); }, 0.0f,
        fp32_tolerance(s.D), fp32_tolerance(1));
}

template <class Op>
void check_row_loss_threads(RowLossShape s) {
  if (s.N == 0) return;
  const RowLossInputs<float> in(s);
  const size_t size = static_cast<size_t>(in.size), N = static_cast<size_t>(s.N);
  expect_same_bits_for_threads([&](const Context& ctx) {
    std::vector<float> out(1 + N + 2 * size);
    Op::forward(ctx, s, in.y.data(), in.x.data(), out.data() + 1);
    Op::loss(ctx, s, in.y.data(), in.x.data(), {2}, {out.data()}, {out.data() + 1 + N});
    Op::backward(ctx, s, in.y.data(), in.x.data(), in.dloss.data(), {out.data() + 1 + N + size});
    return out;
  });
}

template <class Op>
void check_row_loss_errors(const char* name) {
  float y = 0, x = 0, out = 0;
  expect_error([&] { Op::forward({}, {5, 1, 2}, &y, &x, &out); }, Exit::kUsage, {name, "N = 5", "draws = 2"});
  expect_error([&] { Op::template backward<float>({}, {5, -1}, &y, &x, &out, {}); }, Exit::kUsage, {name, "D = -1"});
  expect_error([&] { Op::loss({}, {0, 3}, &y, &x, {}, {&out}, {}); }, Exit::kUsage, {name, "at least one", "N = 0"});
  expect_error([&] { Op::template loss<float>({}, {0, 3}, &y, &x, {}, {&out}, {}); }, Exit::kUsage, {name, "N = 0"});
}

template <class Op>
void check_row_loss(const char* name, const std::vector<RowLossShape>& cases) {
  for (const RowLossShape& s : cases) {
    SCOPED_TRACE(describe(name, s));
    check_row_loss_gradient<Op>(s);
    check_row_loss_float<Op>(s);
    check_row_loss_fused<Op>(s);
    check_row_loss_threads<Op>(s);
  }
  check_row_loss_errors<Op>(name);
}

}  // namespace hourglass::test
