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

constexpr Conv2dProduct kProducts[] = {Conv2dProduct::kForward, Conv2dProduct::kBackwardInput,
                                       Conv2dProduct::kBackwardWeight};

/// Relative L2. cuDNN's fastest algorithm may be Winograd's, which rounds sums and differences of its operands; a wrong
/// tap or pixel is an error of about 1.
Tolerance cudnn_tolerance(Conv2dLane lane) { return {lane == Conv2dLane::kFp32 ? 3e-5 : 1.5e-2}; }

template <class T>
struct Operands {
  explicit Operands(const Conv2dOperands<T>& o) : x(o.x), w(o.w), y(o.y), bias(o.bias) {}
  DeviceArray<T> x, w, y, bias;

  const T* in(Conv2dProduct product) const { return product == Conv2dProduct::kBackwardInput ? y.data() : x.data(); }
  const T* other(Conv2dProduct product) const {
    return product == Conv2dProduct::kBackwardWeight ? y.data() : w.data();
  }
};

template <class T>
std::vector<float> by_cudnn(const Context& ctx, Conv2dProduct product, const Conv2dShape& s,
                            const Conv2dOperands<T>& o) {
  const Operands<T> device(o);
  DeviceArray<T> out(output_size(product, s));
  const bench::CudnnConv2d<T> cudnn(ctx, product, s, device.in(product), device.other(product), out.data());
  if (o.bias.empty()) {
    cudnn.run(device.in(product), device.other(product), out.data());
  } else {
    cudnn.run_bias_relu(device.x.data(), device.w.data(), device.bias.data(), out.data());
  }
  return converted<float>(out.values());
}

/// Whether cuDNN has the product of this shape; if so, each technique is held to it.
template <class T>
bool compare(Conv2dProduct product, const Conv2dShape& s, Conv2dLane lane, const Conv2dOperands<T>& o) {
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
void compare_all(Conv2dProduct product, Conv2dLane lane, bool bias_relu = false) {
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

TEST_F(Conv2dCudnn, Float) {
  for (Conv2dProduct product : kProducts) compare_all<float>(product, Conv2dLane::kFp32);
}
TEST_F(Conv2dCudnn, Tf32) {
  for (Conv2dProduct product : kProducts) compare_all<float>(product, Conv2dLane::kTf32);
}
TEST_F(Conv2dCudnn, Bf16) {
  for (Conv2dProduct product : kProducts) compare_all<bf16>(product, Conv2dLane::kBf16);
}
TEST_F(Conv2dCudnn, BiasAndRelu) { compare_all<float>(Conv2dProduct::kForward, Conv2dLane::kFp32, true); }

#else

TEST_F(Conv2dCudnn, NotBuilt) {}

#endif

}  // namespace
}  // namespace hourglass::test
