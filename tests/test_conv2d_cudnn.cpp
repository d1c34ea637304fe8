// SPDX-License-Identifier: Apache-2.0
// The CUDA convolutions beside cuDNN, on a GPU: every technique on every shape that cuDNN takes too, in every lane.
// What only cuDNN can tell is whether both mean the same convolution; that ours is exact the double reference says
// (test_conv2d_cuda.cpp). Skipped where there is no GPU, and in builds without cuDNN.
#include "tests/conv2d_cuda_checks.h"
#if defined(HOURGLASS_HAS_CUDNN)
#include "benchmarks/cudnn_conv2d.h"
#endif

namespace hourglass::test {
namespace {

class Conv2dCudnn : public CudaTest {
 protected:
  void SetUp() override {
#if defined(HOURGLASS_HAS_CUDNN)
    CudaTest::SetUp();
#elif defined(HOURGLASS_CUDA_EMULATED)
    GTEST_SKIP() << "cuDNN needs a GPU: this build emulates one";
#else
    GTEST_SKIP() << "built without cuDNN";
#endif
  }
};

#if defined(HOURGLASS_HAS_CUDNN)

using Product = Conv2dProduct;
using Lane = Conv2dLane;

/// Relative L2. cuDNN's fastest algorithm may be Winograd's, which rounds sums and differences of its operands; a wrong
/// tap or pixel is an error of about 1.
Tolerance cudnn_tolerance(Lane lane) { return {lane == Lane::kFp32 ? 3e-5 : 1.5e-2}; }

template <class T>
struct Operands {
  explicit Operands(const Conv2dOperands<T>& o) : x(o.x), w(o.w), y(o.y), bias(o.bias) {}
  DeviceArray<T> x, w, y, bias;

  const T* in(Product product) const { return product == Product::kBackwardInput ? y.data() : x.data(); }
  const T* other(Product product) const { return product == Product::kBackwardWeight ? y.data() : w.data(); }
};

template <class T>
std::vector<float> by_cudnn(const Context& ctx, Product product, const Conv2dShape& s, const Conv2dOperands<T>& o) {
  const Operands<T> device(o);
  DeviceArray<T> out(output_size(product, s));
  const bench::CudnnConv2d<T> cudnn(ctx, product, s, device.in(product), device.other(product), out.data(), 0);
  if (o.bias.empty()) {
    cudnn.run(device.in(product), device.other(product), out.data());
  } else {
    cudnn.run_bias_relu(device.x.data(), device.w.data(), device.bias.data(), out.data());
  }
  return converted<float>(out.values());
}

/// Whether cuDNN has the product of this shape; if so, each technique is held to it.
template <class T>
bool compare(Product product, const Conv2dShape& s, Lane lane, const Conv2dOperands<T>& o) {
  const Context ctx = with_math(cuda_context(), lane);
  std::vector<float> result;
  try {
    result = by_cudnn(ctx, product, s, o);
  } catch (const Error& error) {
    if (error.exit() != Exit::kUsage) throw;
    return false;
  }
  const std::vector<double> want = converted<double>(result);
  for (const Conv2dPlan plan : conv2d_plans(product, s, lane, true)) {
    expect_close(conv2d_once(plan, ctx, product, s, o), want, cudnn_tolerance(lane), conv2d_label(s, plan));
  }
  return true;
}

/// Every shape; at least one must have been cuDNN's too. `bias_relu`: forward with both.
template <class T>
void compare_all(Product product, Lane lane, bool bias_relu = false) {
  int compared = 0;
  std::string left_out;
  for_each_conv2d_case([&](const Conv2dShape& s, bool) {
    if (output_size(product, s) == 0 || terms(product, s) == 0 || w_size(s) == 0) return;
    auto o = conv2d_operands<T>(product, s, false, [](int64_t n, uint64_t seed) { return random_values<T>(n, seed); });
    if (bias_relu) {
      o.bias = random_values<T>(s.K, 4);
      o.activation = Activation::kRelu;
    }
    if (compare(product, s, lane, o)) {
      ++compared;
    } else {
      left_out += conv2d_name(s) + " ";
    }
  });
  EXPECT_GT(compared, 0) << "cuDNN refused " << left_out;
  testing::Test::RecordProperty("left_out", left_out);
}

TEST_F(Conv2dCudnn, Forward) { compare_all<float>(Product::kForward, Lane::kFp32); }
TEST_F(Conv2dCudnn, BackwardInput) { compare_all<float>(Product::kBackwardInput, Lane::kFp32); }
TEST_F(Conv2dCudnn, BackwardWeight) { compare_all<float>(Product::kBackwardWeight, Lane::kFp32); }
TEST_F(Conv2dCudnn, ForwardTf32) { compare_all<float>(Product::kForward, Lane::kTf32); }
TEST_F(Conv2dCudnn, BackwardInputTf32) { compare_all<float>(Product::kBackwardInput, Lane::kTf32); }
TEST_F(Conv2dCudnn, BackwardWeightTf32) { compare_all<float>(Product::kBackwardWeight, Lane::kTf32); }
TEST_F(Conv2dCudnn, ForwardBf16) { compare_all<bf16>(Product::kForward, Lane::kBf16); }
TEST_F(Conv2dCudnn, BackwardInputBf16) { compare_all<bf16>(Product::kBackwardInput, Lane::kBf16); }
TEST_F(Conv2dCudnn, BackwardWeightBf16) { compare_all<bf16>(Product::kBackwardWeight, Lane::kBf16); }
TEST_F(Conv2dCudnn, BiasAndRelu) { compare_all<float>(Product::kForward, Lane::kFp32, true); }

#else

TEST_F(Conv2dCudnn, NotBuilt) {}

#endif

}  // namespace
}  // namespace hourglass::test
