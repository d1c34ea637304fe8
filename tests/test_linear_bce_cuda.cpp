// SPDX-License-Identifier: Apache-2.0
#include "kernels/linear_bce.h"
#include "tests/cases/linear_bce.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

using LinearBceCuda = CudaTest;

template <class T>
struct Inputs {
  explicit Inputs(const LinearBceShape& s)
      : x(random_values<T>(int64_t{s.N} * s.C, 1)),
        w(random_values<T>(int64_t{s.C} * s.K, 2)),
        b(random_values<T>(s.K, 3)),
        target(random_values<T>(int64_t{s.N} / s.draws * s.K, 4)) {
    for (T& t : target) t = static_cast<T>(std::abs(static_cast<float>(t)) / 8);
  }
  std::vector<T> x, w, b, target;
};

/// The double reference on the same inputs: the gradient of the logits, and the value.
template <class T>
std::pair<std::vector<double>, std::vector<double>> truth(const LinearBceShape& s, const Inputs<T>& in, double weight) {
  std::vector<double> dlogits(static_cast<size_t>(s.N) * static_cast<size_t>(s.K)), value(1);
  cpu::linear_bce_loss<double>({}, s, converted<double>(in.x).data(), converted<double>(in.w).data(),
                               in.b.empty() ? nullptr : converted<double>(in.b).data(),
                               converted<double>(in.target).data(), Weight{weight}, nullptr, {value.data()},
                               dlogits.data());
  return {dlogits, value};
}

/// `seen`: the inputs as the products see them.
template <class T>
void expect_matches_double(const LinearBceShape& s, const Inputs<T>& in, const Inputs<T>& seen, int offset = 0,
                           Math math = Math::kFp32) {
  SCOPED_TRACE(describe("linear_bce", {s.N, s.C, s.K, s.draws}) + (s.transposed_weight ? " transposed" : ""));
  const auto [dlogits, value] = on_cuda([&](const Context& ctx) {
    const DeviceArray<T> x(in.x, offset), w(in.w, offset), b(in.b, offset), target(in.target, offset);
    const DeviceArray<double> scheduled(std::vector<double>{3});
    DeviceArray<T> gradient(int64_t{s.N} * s.K, offset);
    DeviceArray<float> mean(1);
    Context chosen = ctx;
    chosen.math = math;
    cuda::linear_bce_loss<T>(chosen, s, x.data(), w.data(), in.b.empty() ? nullptr : b.data(), target.data(),
                             Weight{0.5, scheduled.data()}, nullptr, Grad<float>{mean.data()}, gradient.data());
    return std::tuple(gradient.values(), mean.values());
  });
  const auto [want_dlogits, want_value] = truth(s, seen, 1.5);
  expect_close(dlogits, want_dlogits, cuda_tolerance<T>(s.C + 1, 1.5 / s.N), "dlogits");
  expect_close(value, want_value, cuda_tolerance<float>(s.C + s.K + 1), "value");
}

template <class T>
void expect_matches_double(const LinearBceShape& s, const Inputs<T>& in, int offset = 0) {
  expect_matches_double(s, in, in, offset);
}

std::vector<LinearBceShape> own_cases() {
  return affordable(kLinearBceCases, kMostProducts, [](const LinearBceShape& s) { return int64_t{s.N} * s.C * s.K; });
}

TEST_F(LinearBceCuda, MatchesDouble) {
  for (const LinearBceShape& s : own_cases()) {
    Inputs<float> in(s);
    expect_matches_double(s, in);
    in.b.clear();
    expect_matches_double(s, in, 1);  // neither aligned nor with a bias
  }
}

TEST_F(LinearBceCuda, Bf16MatchesDouble) {
  for (const LinearBceShape& s : own_cases()) expect_matches_double(s, Inputs<bf16>(s));
}

TEST_F(LinearBceCuda, Tf32RoundsTheOperandsAlone) {
  const LinearBceShape s{36, 68, 100};
  const Inputs<float> in(s);
  Inputs<float> rounded = in;
  rounded.x = rounded_to_tf32(in.x), rounded.w = rounded_to_tf32(in.w);
  expect_matches_double(s, in, rounded, 0, Math::kTf32);
}

/// More tiles than tickets, medium and large ones.
TEST_F(LinearBceCuda, LargerTilesMatchDouble) {
  for (const LinearBceShape& s : {LinearBceShape{1024, 8, 700, 2}, {1540, 12, 1496}}) {
    expect_matches_double(s, Inputs<float>(s));
  }
}

TEST_F(LinearBceCuda, TheValueAddsAndIsSkippedWhenNull) {
  for (const LinearBceShape& s : {LinearBceShape{12, 17, 65, 4, true}, {36, 1028, 20}}) {
    const Inputs<float> in(s);
    const DeviceArray<float> x(in.x), w(in.w), b(in.b), target(in.target);
    DeviceArray<float> dlogits(int64_t{s.N} * s.K);
    expect_set_and_add_on_cuda<float>(1, [&](const Context& ctx, Grad<float> value) {
      cuda::linear_bce_loss<float>(ctx, s, x.data(), w.data(), b.data(), target.data(), {}, nullptr, value,
                                   dlogits.data());
    });
  }
}

#if defined(HOURGLASS_CUDA_EMULATED)
TEST_F(LinearBceCuda, IsOneLaunch) {
  const LinearBceShape s{128, 40, 84};
  const Inputs<float> in(s);
  const DeviceArray<float> x(in.x), w(in.w), b(in.b), target(in.target);
  DeviceArray<float> dlogits(int64_t{s.N} * s.K), value(1);
  cuda_synchronize();
  const int64_t before = simt::counters().launches;
  cuda::linear_bce_loss<float>(cuda_context(), s, x.data(), w.data(), b.data(), target.data(), {}, nullptr,
                               {value.data()}, dlogits.data());
  cuda_synchronize();
  EXPECT_EQ(simt::counters().launches - before, 1);
}
#endif

}  // namespace
}  // namespace hourglass::test
