// SPDX-License-Identifier: Apache-2.0
// The CUDA convolutions: every technique on every shape that it accepts, in every lane.
#include <cmath>
#include <limits>

#include "tests/conv2d_cuda_checks.h"

namespace hourglass {
namespace {

using namespace test;

using Conv2dCuda = CudaTest;
using Product = Conv2dProduct;
using Lane = Conv2dLane;

template <class T>
std::vector<T> integers(int64_t n, uint64_t seed) {
  return converted<T>(random_integers<float>(n, seed));
}

/// dw is float in every lane.
template <class T>
std::vector<float> stored_output(Product product, const std::vector<double>& values) {
  return product == Product::kBackwardWeight ? stored<float>(values) : stored<T>(values);
}

/// Whole numbers: every order of summation gives the same bits, under every schedule.
template <class T>
void expect_exact(Product product, Lane lane) {
  for_each_conv2d_case([&](const Conv2dShape& s, bool large) {
    auto o = conv2d_operands<T>(product, s, product != Product::kBackwardWeight, integers<T>);
    if (product != Product::kBackwardWeight) o.activation = Activation::kRelu;
    const auto want = stored_output<T>(product, conv2d_reference(product, s, o));
    for (const Conv2dPlan plan : conv2d_plans(product, s, lane, large)) {
      const std::string label = conv2d_label(s, plan);
      const auto got =
          on_cuda([&](const Context& ctx) { return conv2d_once(plan, with_math(ctx, lane), product, s, o); }, label);
      expect_close(got, want, exact(), label);
    }
  });
}

TEST_F(Conv2dCuda, WholeNumbersForward) { expect_exact<float>(Product::kForward, Lane::kFp32); }
TEST_F(Conv2dCuda, WholeNumbersForwardTf32) { expect_exact<float>(Product::kForward, Lane::kTf32); }
TEST_F(Conv2dCuda, WholeNumbersForwardBf16) { expect_exact<bf16>(Product::kForward, Lane::kBf16); }
TEST_F(Conv2dCuda, WholeNumbersBackwardInput) { expect_exact<float>(Product::kBackwardInput, Lane::kFp32); }
TEST_F(Conv2dCuda, WholeNumbersBackwardInputTf32) { expect_exact<float>(Product::kBackwardInput, Lane::kTf32); }
TEST_F(Conv2dCuda, WholeNumbersBackwardInputBf16) { expect_exact<bf16>(Product::kBackwardInput, Lane::kBf16); }
TEST_F(Conv2dCuda, WholeNumbersBackwardWeight) { expect_exact<float>(Product::kBackwardWeight, Lane::kFp32); }
TEST_F(Conv2dCuda, WholeNumbersBackwardWeightTf32) { expect_exact<float>(Product::kBackwardWeight, Lane::kTf32); }
TEST_F(Conv2dCuda, WholeNumbersBackwardWeightBf16) { expect_exact<bf16>(Product::kBackwardWeight, Lane::kBf16); }

constexpr Product kProducts[] = {Product::kForward, Product::kBackwardInput, Product::kBackwardWeight};

template <class T>
std::vector<T> numbers(int64_t n, uint64_t seed) {
  return random_values<T>(n, seed);
}
/// What a tf32 product makes of a float: its products are then exact, and the tolerance is that of the sum.
std::vector<float> tf32_numbers(int64_t n, uint64_t seed) {
  auto values = random_values<float>(n, seed);
  for (float& v : values) v = rounded_to_tf32(v);
  return values;
}

template <class T, class Draw>
void expect_near(Lane lane, Draw draw) {
  for (Product product : kProducts) {
    for_each_conv2d_case([&](const Conv2dShape& s, bool large) {
      const auto o = conv2d_operands<T>(product, s, false, draw);
      const auto want = conv2d_reference(product, s, o);
      const int64_t K = terms(product, s);
      for (const Conv2dPlan plan : conv2d_plans(product, s, lane, large)) {
        const Tolerance of_floats =
            plan.technique == Conv2dTechnique::kTensorCores ? tensor_core_tolerance(K) : cuda_tolerance<float>(K);
        const bool rounds = std::is_same_v<T, bf16> && product != Product::kBackwardWeight;
        const Tolerance tolerance = rounds ? cuda_tolerance<T>(K) : of_floats;
        const auto got = conv2d_once(plan, with_math(cuda_context(), lane), product, s, o);
        expect_close(got, want, tolerance, conv2d_label(s, plan));
      }
    });
  }
  test::detail::expect_no_reports("products");
}

TEST_F(Conv2dCuda, FloatMatchesDouble) { expect_near<float>(Lane::kFp32, numbers<float>); }
TEST_F(Conv2dCuda, Tf32MatchesDouble) { expect_near<float>(Lane::kTf32, tf32_numbers); }
TEST_F(Conv2dCuda, Bf16MatchesDouble) { expect_near<bf16>(Lane::kBf16, numbers<bf16>); }

TEST_F(Conv2dCuda, Tf32RoundsItsOperands) {
  // To nearest: on average nothing is lost. Cutting off would take 2^-12 of every product, all with one sign.
  const Conv2dShape s = conv2d_case(1, 8, 8, 64, 8, 3, 1, 1);
  Conv2dOperands<float> o = conv2d_operands<float>(Product::kForward, s, false, numbers<float>);
  for (float& v : o.x) v = 1 + std::abs(v);
  for (float& v : o.w) v = 1 + std::abs(v);
  const auto got =
      conv2d_once({Conv2dTechnique::kTensorCores}, with_math(cuda_context(), Lane::kTf32), Product::kForward, s, o);
  expect_close(got, conv2d_reference(Product::kForward, s, o), {6e-5}, "tf32");
}

/// Shapes that reach every kernel, with and without vector access.
const std::vector<Conv2dShape> kFewCases = {conv2d_case(1, 7, 6, 16, 24, 3, 1, 1), conv2d_case(1, 9, 8, 5, 7, 3, 2, 1),
                                            conv2d_case(2, 6, 7, 2, 20, 4, 2, 1), conv2d_case(1, 8, 7, 12, 3, 3, 1, 1)};

TEST_F(Conv2dCuda, EpiloguesWithEveryActivation) {
  for (Product product : {Product::kForward, Product::kBackwardInput}) {
    for (const Conv2dShape& s : kFewCases) {
      auto o = conv2d_operands<float>(product, s, true, tf32_numbers);
      for (Activation a : kActivations) {
        if (a == Activation::kGelu) continue;
        o.activation = a;
        const auto want = conv2d_reference(product, s, o);
        for (Lane lane : {Lane::kFp32, Lane::kTf32}) {
          for (const Conv2dPlan plan : conv2d_plans(product, s, lane, true)) {
            const auto got = conv2d_once(plan, with_math(cuda_context(), lane), product, s, o);
            expect_close(got, want, fp32_tolerance(terms(product, s), 1),
                         conv2d_label(s, plan) + ", " + activation_name(a));
          }
        }
      }
    }
  }
}

/// kAdd adds to what is there, and odd addresses are as good as aligned ones.
template <class T>
void expect_adds(Lane lane) {
  for (Product product : kProducts) {
    for (const Conv2dShape& s : kFewCases) {
      const auto o = conv2d_operands<T>(product, s, product != Product::kBackwardWeight, integers<T>);
      auto sum = conv2d_reference(product, s, o);
      const auto before = random_integers<float>(output_size(product, s), 9);
      const auto set = stored_output<T>(product, sum);
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += before[i];
      const auto added = stored_output<T>(product, sum);
      for (const Conv2dPlan plan : conv2d_plans(product, s, lane, true)) {
        const Context ctx = with_math(cuda_context(), lane);
        expect_close(conv2d_once(plan, ctx, product, s, o, before), added, exact(), conv2d_label(s, plan) + ", kAdd");
        expect_close(conv2d_once(plan, ctx, product, s, o, before, 1), added, exact(),
                     conv2d_label(s, plan) + ", kAdd, at odd addresses");
        expect_close(conv2d_once(plan, ctx, product, s, o, {}, 3), set, exact(),
                     conv2d_label(s, plan) + ", at odd addresses");
      }
    }
  }
}

TEST_F(Conv2dCuda, AddsAtAnyAddress) {
  expect_adds<float>(Lane::kFp32);
  expect_adds<float>(Lane::kTf32);
  expect_adds<bf16>(Lane::kBf16);
}

TEST_F(Conv2dCuda, NotANumberPropagates) {
  // Zeros in w must not hide a NaN of x; pixels whose window does not hold it stay numbers.
  for (const Conv2dShape& s : kFewCases) {
    auto o = conv2d_operands<float>(Product::kForward, s, false, integers<float>);
    std::fill(o.w.begin(), o.w.end(), 0.0f);
    o.x.back() = std::numeric_limits<float>::quiet_NaN();
    for (Lane lane : {Lane::kFp32, Lane::kTf32}) {
      for (const Conv2dPlan plan : conv2d_plans(Product::kForward, s, lane)) {
        const auto y = conv2d_once(plan, with_math(cuda_context(), lane), Product::kForward, s, o);
        EXPECT_TRUE(std::isnan(y.back())) << conv2d_label(s, plan);
        EXPECT_EQ(y.front(), 0) << conv2d_label(s, plan);
      }
    }
  }
}

TEST_F(Conv2dCuda, ThePublicProductsChoose) {
  // The functions of conv2d.h are the planned technique, bit by bit.
  const Conv2dShape s = conv2d_case(1, 9, 8, 8, 12, 3, 2, 1);
  const auto o = conv2d_operands<float>(Product::kForward, s, false, numbers<float>);
  const Context ctx = cuda_context();
  const DeviceArray<float> x(o.x), w(o.w), dy(o.y);
  DeviceArray<float> y(y_size(s)), dx(x_size(s)), dw(w_size(s));
  DeviceArray<float> scratch(
      static_cast<int64_t>(cuda::conv2d_backward_weight_scratch_bytes<float>(s) / sizeof(float)));
  cuda::conv2d_forward<float>(ctx, s, x.data(), w.data(), {}, {y.data()});
  cuda::conv2d_backward_input<float>(ctx, s, dy.data(), w.data(), {}, {dx.data()});
  cuda::conv2d_backward_weight<float>(ctx, s, x.data(), dy.data(), scratch.data(), {dw.data()});
  const auto planned = [&](Product product) {
    return conv2d_once(conv2d_plan(product, s, Lane::kFp32), ctx, product, s, o);
  };
  expect_same_bits(y.values(), planned(Product::kForward), "forward");
  expect_same_bits(dx.values(), planned(Product::kBackwardInput), "backward_input");
  expect_same_bits(dw.values(), planned(Product::kBackwardWeight), "backward_weight");
  cuda::conv2d_forward<float>(ctx, s, x.data(), w.data(), {}, {});  // not wanted: nothing is launched
  cuda::conv2d_backward_input<float>(ctx, s, dy.data(), w.data(), {}, {});
  cuda::conv2d_backward_weight<float>(ctx, s, x.data(), dy.data(), nullptr, {});
  cuda_synchronize();
}

TEST_F(Conv2dCuda, Refuses) {
  Conv2dShape s = conv2d_case(1, 4, 4, 3, 2, 3);
  s.stride_h = 0;
  expect_error([&] { cuda::conv2d_forward<float>(cuda_context(), s, nullptr, nullptr, {}, {}); }, Exit::kUsage,
               {"conv2d_forward", "stride_h >= 1", "0"});
  expect_error([&] { cuda::conv2d_backward_input<float>(cuda_context(), s, nullptr, nullptr, {}, {}); }, Exit::kUsage,
               {"conv2d_backward_input", "stride_h >= 1", "0"});
  s = conv2d_case(1 << 20, 1 << 10, 1 << 10, 1, 8, 1);
  expect_error([&] { cuda::conv2d_forward<float>(cuda_context(), s, nullptr, nullptr, {}, {}); }, Exit::kUsage,
               {"conv2d_forward", "N * H * W = 1048576 * 1024 * 1024", "2^31"});
  s = conv2d_case(1, 4, 4, 8, 8, 3);
  float y = 0;
  expect_error(
      [&] {
        cuda::conv2d_forward_by<float>({Conv2dTechnique::kTensorCores}, cuda_context(), s, nullptr, nullptr, {}, {&y});
      },
      Exit::kInternal, {"tensor cores"});
}

}  // namespace
}  // namespace hourglass
