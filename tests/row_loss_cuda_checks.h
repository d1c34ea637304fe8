// SPDX-License-Identifier: Apache-2.0
// The CUDA form of a loss over rows against the double reference of the same inputs. `Op` names the loss by static
// functions: reference_forward, reference_backward (cpu, double); forward<T>, backward<T>, loss<T> (cuda).
#pragma once

#include <vector>

#include "kernels/base/row_loss.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {

template <class Op, class T>
class RowLossOnCuda {
 public:
  /// `offset`: elements by which y and x lie beside their alignment.
  RowLossOnCuda(RowLossShape s, int offset)
      : s_(s),
        size_(int64_t{s.N} * s.D),
        offset_(offset),
        y_(random_values<T>(size_, 1, -4, 4)),
        x_(random_values<T>(size_ / s.draws, 2, 0, 1)),
        dloss_(random_values<float>(s.N, 3)) {}

  void check() const {
    const DeviceArray<T> y(y_, offset_), x(x_, offset_);
    const DeviceArray<float> dloss(dloss_);
    const auto loss = on_cuda([&](const Context& ctx) {
      DeviceArray<float> out(s_.N);
      Op::template forward<T>(ctx, s_, y.data(), x.data(), out.data());
      return out.values();
    });
    const std::vector<double> want = forward();
    expect_close(loss, want, cuda_tolerance<float>(s_.D), "loss");
    expect_close(expect_set_and_add_on_cuda<T>(
                     size_,
                     [&](const Context& ctx, Grad<T> dy) {
                       Op::template backward<T>(ctx, s_, y.data(), x.data(), dloss.data(), dy);
                     },
                     cuda_tolerance<T>(1), "dy"),
                 backward(converted<double>(dloss_)), cuda_tolerance<T>(1), "dy");
    if (s_.N > 0) check_loss(y, x, want);
  }

 private:
  std::vector<double> forward() const {
    std::vector<double> loss(static_cast<size_t>(s_.N));
    Op::reference_forward(s_, converted<double>(y_).data(), converted<double>(x_).data(), loss.data());
    return loss;
  }
  std::vector<double> backward(const std::vector<double>& dloss) const {
    std::vector<double> dy(static_cast<size_t>(size_));
    Op::reference_backward(s_, converted<double>(y_).data(), converted<double>(x_).data(), dloss.data(), {dy.data()});
    return dy;
  }

  /// value = mean and dy = w / N times the slope, together and apart, with a weight that lies on the device.
  void check_loss(const DeviceArray<T>& y, const DeviceArray<T>& x, const std::vector<double>& loss) const {
    double mean = 0;
    for (double each : loss) mean += each / s_.N;
    const DeviceArray<double> scheduled(std::vector<double>{0.5});
    const Weight weight{3, scheduled.data()};
    const auto run = [&](const Context& ctx, Grad<float> value, Grad<T> dy) {
      Op::template loss<T>(ctx, s_, y.data(), x.data(), weight, value, dy);
    };
    const auto [value, dy] = on_cuda([&](const Context& ctx) {
      DeviceArray<float> a(1);
      DeviceArray<T> b(size_);
      run(ctx, {a.data()}, {b.data()});
      return std::tuple(a.values(), b.values());
    });
    expect_close(value, std::vector<double>{mean}, cuda_tolerance<float>(s_.D), "value");
    const std::vector<double> scale(static_cast<size_t>(s_.N), 1.5 / s_.N);
    expect_close(dy, backward(scale), cuda_tolerance<T>(1), "fused dy");
    if (size_ > 100000) return;
    const auto value_alone = expect_set_and_add_on_cuda<float>(
        1, [&](const Context& ctx, Grad<float> v) { run(ctx, v, {}); }, cuda_tolerance<float>(1), "value");
    expect_same_bits(value_alone, value, "value alone");
    const auto dy_alone = expect_set_and_add_on_cuda<T>(
        size_, [&](const Context& ctx, Grad<T> g) { run(ctx, {}, g); }, cuda_tolerance<T>(1), "fused dy");
    expect_same_bits(converted<float>(dy_alone), converted<float>(dy), "dy alone");
  }

  RowLossShape s_;
  int64_t size_;
  int offset_;
  std::vector<T> y_, x_;
  std::vector<float> dloss_;
};

template <class Op>
void check_row_loss_on_cuda(const char* name, std::vector<RowLossShape> cases) {
  cases = affordable(cases, kMostElements, [](const RowLossShape& s) { return int64_t{s.N} * s.D; });
  cases.push_back({3, 3000, 3});  // rows cut into segments
  for (const RowLossShape& s : cases) {
    SCOPED_TRACE(describe(name, {s.N, s.D, s.draws}));
    RowLossOnCuda<Op, float>(s, 0).check();
    if (int64_t{s.N} * s.D > 100000) continue;
    RowLossOnCuda<Op, float>(s, 1).check();
    RowLossOnCuda<Op, bf16>(s, 0).check();
    RowLossOnCuda<Op, bf16>(s, 3).check();
  }
  const Context ctx = cuda_context();
  DeviceArray<float> out(1);
  expect_error(
      [&] {
        Op::template forward<float>(ctx, {5, 1, 2}, out.data(), out.data(), out.data());
      },
      Exit::kUsage, {name, "N = 5", "draws = 2"});
  expect_error(
      [&] {
        Op::template loss<bf16>(ctx, {0, 3}, nullptr, nullptr, {}, {out.data()}, {});
      },
      Exit::kUsage, {name, "at least one", "N = 0"});
  const std::vector<float> empty = on_cuda([&](const Context& context) {
    DeviceArray<float> loss(3);
    Op::template forward<float>(context, {3, 0}, nullptr, nullptr, loss.data());
    return loss.values();
  });
  expect_close(empty, std::vector<float>(3, 0.0f), exact(), "rows of no columns");
}

}  // namespace hourglass::test
