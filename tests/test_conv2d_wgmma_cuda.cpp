// SPDX-License-Identifier: Apache-2.0
// The forward convolution by wgmma beside what test_conv2d_cuda.cpp asks of every technique: boxes at the edges of
// images, the portable kernel's results, matrix products, and when it is chosen. On a device of compute capability 9
// the same tests hold silicon to it.
#include <cstdlib>

#include "kernels/gemm.h"
#include "tests/conv2d_cuda_checks.h"

namespace hourglass {
namespace {

using namespace test;

class Conv2dWgmma : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (!IsSkipped() && !gpu::has_wgmma()) GTEST_SKIP() << "no wgmma on this device";
  }
};

using Product = Conv2dProduct;
constexpr Conv2dTechnique kWgmma = Conv2dTechnique::kWgmma;
constexpr gpu::TileSize kTiles[] = {gpu::TileSize::kSmall, gpu::TileSize::kMedium, gpu::TileSize::kLarge};

const std::vector<Conv2dShape> kCases = {
    conv2d_case(1, 9, 7, 64, 64, 3, 1, 1),     // odd extents, a halo around the image
    conv2d_case(2, 9, 11, 72, 24, 5, 2, 2),    // two blocks of channels; the ring goes round many times
    conv2d_case(3, 5, 5, 72, 40, 3, 1, 1),     // boxes over several images
    conv2d_case(2, 8, 8, 8, 16, 4, 2, 1),      // 8 channels of 64
    conv2d_case(130, 2, 2, 24, 8, 2),          // one pixel an image
    conv2d_case(1, 12, 12, 16, 300, 1),        // several tiles of columns, the last one ragged
    conv2d_case(1, 48, 50, 8, 136, 1),         // more than a band of boxes
    conv2d_case(1, 20, 20, 8, 12, 3, 1, 1),    // several boxes with halos
    conv2d_case(1, 7, 6, 16, 5, 3, 1, 1),      // columns without vectors
    conv2d_case(1, 13, 12, 8, 8, 3, 2, 3, 3),  // dilation and stride
    conv2d_case(1, 33, 30, 8, 8, 3, 8, 1),     // the longest steps
    conv2d_case(1, 6, 6, 16, 40, 7, 1, 3),     // a window larger than the image
    conv2d_exact_case(2, 8, 8, 8, 4, 4, 8, 3, 3, 1, 1, -2, -2),      // cropped
    conv2d_exact_case(1, 4, 5, 8, 9, 8, 8, 2, 2, 1, 1, 0, 0),        // outputs far below and right
    conv2d_exact_case(1, 8, 9, 8, 3, 4, 6, 2, 3, 3, 2, 1, 2, 2, 1),  // all of it different down and across
};

std::string name_of(const Conv2dShape& s, gpu::TileSize tile) {
  return conv2d_name(s) + ", tiles of " + std::to_string(wgmma_columns(tile));
}

std::vector<bf16> whole(int64_t n, uint64_t seed) { return converted<bf16>(random_integers<float>(n, seed)); }
std::vector<bf16> numbers(int64_t n, uint64_t seed) { return random_values<bf16>(n, seed); }

TEST(Conv2dBox, CoversEveryPixelOnce) {
  Random random(1);
  for (int i = 0; i < 300; ++i) {
    const auto extent = [&random](int most) { return static_cast<int>(random.integer(1, most)); };
    Conv2dShape s = conv2d_case(extent(40), 1, 1, 8 * extent(20), extent(600), 1);
    s.P = extent(20), s.Q = extent(60), s.stride_h = extent(8), s.stride_w = extent(8);
    const PixelBox box = pixel_box(s);
    EXPECT_EQ(box.n * box.p * box.q, kBoxPixels);
    EXPECT_LE(std::max(box.q * s.stride_w, box.p * s.stride_h), 256) << "a box of the copy engine";
    const Conv2dBoxCut cut(s, 128);
    std::vector<int> seen(static_cast<size_t>(s.N * s.P * s.Q * cut.across));
    for (int block = 0; block < cut.blocks(); ++block) {
      const Conv2dBoxCut::Place at = cut.place(block);
      for (int row = 0; row < kBoxPixels; ++row) {
        const int q = at.q + row % cut.q, p = at.p + row / cut.q % cut.p, n = at.n + row / cut.q / cut.p;
        if (q < s.Q && p < s.P && n < s.N)
          ++seen[static_cast<size_t>(((n * s.P + p) * s.Q + q) * cut.across + at.column)];
      }
    }
    ASSERT_EQ(std::count(seen.begin(), seen.end(), 1), static_cast<std::ptrdiff_t>(seen.size())) << conv2d_name(s);
  }
}

TEST(Conv2dBox, WastesNothingOnTheModelsLayers) {
  for (const NamedConv2dShape& named : kConv2dSweep) {
    const Conv2dShape& s = named.shape;
    if (named.transposed || !conv2d_wgmma_accepts(s)) continue;
    EXPECT_EQ(pixel_box(s).boxes(s) * kBoxPixels, int64_t{s.N} * s.P * s.Q) << named.name;
  }
}

TEST(Conv2dBox, TakesWhatTheCopyEngineTakes) {
  EXPECT_TRUE(conv2d_wgmma_accepts(conv2d_case(1, 9, 9, 8, 3, 3, 8, 1)));
  EXPECT_FALSE(conv2d_wgmma_accepts(conv2d_case(1, 9, 9, 12, 3, 3, 1, 1))) << "pixels of 24 bytes";
  EXPECT_FALSE(conv2d_wgmma_accepts(conv2d_case(1, 29, 29, 8, 3, 3, 9, 1))) << "steps of 9";
  EXPECT_FALSE(conv2d_wgmma_accepts(conv2d_case(2, 4, 4, 0, 3, 3))) << "an empty sum";
  EXPECT_FALSE(conv2d_accepts(kWgmma, Product::kBackwardInput, conv2d_case(1, 9, 9, 8, 8, 3), Conv2dLane::kBf16));
  EXPECT_FALSE(conv2d_accepts(kWgmma, Product::kForward, conv2d_case(1, 9, 9, 8, 8, 3), Conv2dLane::kTf32));
}

/// Whole numbers: every order of summation gives the same bits, so it is the portable kernel's result.
TEST_F(Conv2dWgmma, GivesWhatThePortableKernelGives) {
  for (const Conv2dShape& s : kCases) {
    auto o = conv2d_operands<bf16>(Product::kForward, s, true, whole);
    o.activation = Activation::kRelu;
    const auto want = conv2d_once({Conv2dTechnique::kTensorCores}, cuda_context(), Product::kForward, s, o);
    expect_close(want, stored<bf16>(conv2d_reference(Product::kForward, s, o)), exact(), conv2d_name(s));
    for (gpu::TileSize tile : kTiles) {
      const auto got = on_cuda(
          [&](const Context& ctx) {
            return conv2d_once({kWgmma, tile}, ctx, Product::kForward, s, o);
          },
          name_of(s, tile));
      expect_close(got, want, exact(), name_of(s, tile));
    }
  }
}

TEST_F(Conv2dWgmma, MatchesDouble) {
  for (const Conv2dShape& s : kCases) {
    const auto o = conv2d_operands<bf16>(Product::kForward, s, false, numbers);
    const auto want = conv2d_reference(Product::kForward, s, o);
    for (gpu::TileSize tile : kTiles) {
      const auto got = conv2d_once({kWgmma, tile}, cuda_context(), Product::kForward, s, o);
      expect_close(got, want, cuda_tolerance<bf16>(terms(Product::kForward, s)), name_of(s, tile));
    }
  }
  test::detail::expect_no_reports("products");
}

/// A NaN beyond the channels, pixels and filters that a sum needs must not reach it.
TEST_F(Conv2dWgmma, ReadsNothingBeyondItsOperands) {
  const Conv2dShape s = conv2d_case(2, 5, 6, 24, 8, 3, 1, 1);
  auto o = conv2d_operands<bf16>(Product::kForward, s, false, whole);
  const auto want = stored<bf16>(conv2d_reference(Product::kForward, s, o));
  o.x.resize(o.x.size() + 4096, bf16(std::nanf("")));
  o.w.resize(o.w.size() + 4096, bf16(std::nanf("")));
  expect_close(conv2d_once({kWgmma}, cuda_context(), Product::kForward, s, o), want, exact(), conv2d_name(s));
}

// ---------------------------------------------------------------- when it is chosen

class Asked {
 public:
  explicit Asked(const char* value) { setenv("HOURGLASS_WGMMA", value, 1); }
  ~Asked() { unsetenv("HOURGLASS_WGMMA"); }
  Asked(const Asked&) = delete;
  Asked& operator=(const Asked&) = delete;
};

TEST_F(Conv2dWgmma, IsChosenWhenItIsAskedFor) {
  EXPECT_FALSE(cuda::wgmma_chosen());
  {
    const Asked asked("0");
    EXPECT_FALSE(cuda::wgmma_chosen());
  }
  const Asked asked("1");
  EXPECT_TRUE(cuda::wgmma_chosen());
  const auto technique = [](const Conv2dShape& s, Conv2dLane lane = Conv2dLane::kBf16) {
    return conv2d_plan_with_wgmma(Product::kForward, s, lane).technique;
  };
  EXPECT_EQ(technique(conv2d_case(128, 16, 16, 256, 256, 4, 2, 1)), kWgmma);
  EXPECT_EQ(technique(conv2d_case(128, 16, 16, 256, 256, 4, 2, 1), Conv2dLane::kTf32), Conv2dTechnique::kTensorCores);
  EXPECT_EQ(technique(conv2d_case(128, 28, 28, 1, 32, 3, 1, 1)), Conv2dTechnique::kDirect);
  EXPECT_EQ(technique(conv2d_case(128, 28, 28, 8, 32, 3, 1, 1)), Conv2dTechnique::kTensorCores) << "64 channels for 8";
  EXPECT_EQ(technique(conv2d_case(65, 8, 16, 64, 64, 3, 1, 1)), Conv2dTechnique::kTensorCores) << "65 blocks";
}

TEST_F(Conv2dWgmma, ServesTheOperationsOnceChosen) {
  const Conv2dShape s = conv2d_case(66, 8, 16, 64, 64, 1);
  const auto o = conv2d_operands<bf16>(Product::kForward, s, false, whole);
  const auto forward = [&] {
    const DeviceArray<bf16> x(o.x), w(o.w);
    DeviceArray<bf16> y(y_size(s));
    cuda::conv2d_forward<bf16>(cuda_context(), s, x.data(), w.data(), {}, {y.data()});
    return converted<float>(y.values());
  };
  const auto want = stored<bf16>(conv2d_reference(Product::kForward, s, o));
  expect_close(forward(), want, exact(), "without");
  const Asked asked("1");
#if defined(HOURGLASS_CUDA_EMULATED)
  simt::record_launches(true);
#endif
  expect_close(forward(), want, exact(), "with wgmma");
#if defined(HOURGLASS_CUDA_EMULATED)
  const auto launches = simt::take_launches();
  simt::record_launches(false);
  ASSERT_EQ(launches.size(), 1u);
  EXPECT_NE(launches[0].kernel.find("conv2d_wgmma_kernel"), std::string::npos) << launches[0].kernel;
#endif
}

TEST_F(Conv2dWgmma, MultipliesMatrices) {
  const Asked asked("1");
  for (const GemmShape& s : {GemmShape{8400, 60, 64, false, true}, GemmShape{200, 100, 328, false, true},
                             GemmShape{65, 260, 72, false, true}, GemmShape{129, 61, 200, false, true}}) {
    const auto a = whole(int64_t{s.M} * s.K, 1), b = whole(int64_t{s.N} * s.K, 2);
    std::vector<double> want(static_cast<size_t>(s.M) * static_cast<size_t>(s.N));
    cpu::gemm<double>({}, s, converted<double>(a).data(), converted<double>(b).data(), Grad<double>{want.data()});
    const std::string name = describe("gemm", {s.M, s.N, s.K});
    for (const bool by_name : {false, true}) {
      const auto got = on_cuda(
          [&](const Context& ctx) {
            const DeviceArray<bf16> device_a(a), device_b(b);
            DeviceArray<bf16> c(int64_t{s.M} * s.N);
            if (by_name) {
              cuda::conv2d_forward_by<bf16>({kWgmma}, ctx, conv2d_of_gemm(s), device_a.data(), device_b.data(), {},
                                            {c.data()});
            } else {
              cuda::gemm<bf16>(ctx, s, device_a.data(), device_b.data(), {c.data()});
            }
            return converted<float>(c.values());
          },
          name);
      expect_close(got, stored<bf16>(want), exact(), name);
    }
  }
}

}  // namespace
}  // namespace hourglass
