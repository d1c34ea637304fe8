// SPDX-License-Identifier: Apache-2.0
// The geometry of gathers, and the choice of techniques: host code, held to the definition.
#include <map>
#include <set>

#include "tests/conv2d_cuda_checks.h"

namespace hourglass {
namespace {

using namespace test;

TEST(Divisor, Divides) {
  Random random(1);
  for (int i = 0; i < 20000; ++i) {
    const int d = static_cast<int>(random.integer(1, (int64_t{1} << random.integer(1, 31)) - 1));
    const int n = static_cast<int>(random.integer(0, (int64_t{1} << random.integer(1, 31)) - 1));
    const Divisor divisor(d);
    int rest = -1;
    ASSERT_EQ(divisor.divide(n, &rest), n / d) << n << " / " << d;
    ASSERT_EQ(rest, n % d) << n << " / " << d;
  }
  for (int d : {1, 2, 3, 7, INT_MAX - 1, INT_MAX}) {
    for (int n : {0, 1, d - 1, d, INT_MAX - 1, INT_MAX}) ASSERT_EQ(Divisor(d).divide(n), n / d) << n << " / " << d;
  }
}

/// (output, input) -> element of the window, for every pair along an axis that a product connects.
using Links = std::map<std::pair<int, int>, int>;

TEST(GatherAxis, ConnectsWhatTheDefinitionConnects) {
  Random random(2);
  for (int i = 0; i < 3000; ++i) {
    const int H = static_cast<int>(random.integer(1, 9)), P = static_cast<int>(random.integer(1, 9));
    const int R = static_cast<int>(random.integer(1, 6)), stride = static_cast<int>(random.integer(1, 6));
    const int pad = static_cast<int>(random.integer(-3, 7)), dilation = static_cast<int>(random.integer(1, 6));
    Links want, forward, backward;
    for (int p = 0; p < P; ++p) {
      for (int r = 0; r < R; ++r) {
        const int h = p * stride - pad + r * dilation;
        if (h >= 0 && h < H) want[{p, h}] = r;
      }
    }
    const GatherAxis f = forward_axis(P, R, H, stride, pad, dilation);
    for (int p = 0; p < f.outputs; ++p) {
      for (int t = 0; t < f.taps; ++t) {
        const int h = f.input(p, t);
        if (h >= 0 && h < f.inputs) forward[{f.output(p), h}] = f.tap(t);
      }
    }
    std::set<int> seen;
    for (int phase = 0; phase < std::min(stride, H); ++phase) {
      const GatherAxis b = backward_axis(H, R, P, stride, pad, dilation, phase);
      for (int j = 0; j < b.outputs; ++j) {
        EXPECT_TRUE(b.output(j) < H && seen.insert(b.output(j)).second) << "one phase an output";
        for (int t = 0; t < b.taps; ++t) {
          EXPECT_LT(b.tap(t), R);
          const int p = b.input(j, t);
          if (p >= 0 && p < b.inputs) backward[{p, b.output(j)}] = b.tap(t);
        }
      }
    }
    EXPECT_EQ(static_cast<int>(seen.size()), H);
    ASSERT_EQ(forward, want) << H << " " << P << " " << R << " " << stride << " " << pad << " " << dilation;
    ASSERT_EQ(backward, want) << H << " " << P << " " << R << " " << stride << " " << pad << " " << dilation;
  }
}

TEST(Conv2dGather, PhasesMultiplyNoInsertedZero) {
  // 4 x 4, stride 2: four phases of 2 x 2 taps; 3 x 3: of 1, 2, 2 and 4; 5 x 5: 4, 6, 6 and 9.
  const auto taps = [](int window) {
    std::multiset<int> counts;
    for (const Conv2dGather& g : backward_gathers(conv2d_case(1, 16, 16, 8, 8, window, 2, 1)))
      counts.insert(g.h.taps * g.w.taps);
    return counts;
  };
  EXPECT_EQ(taps(4), (std::multiset<int>{4, 4, 4, 4}));
  EXPECT_EQ(taps(3), (std::multiset<int>{1, 2, 2, 4}));
  EXPECT_EQ(taps(5), (std::multiset<int>{4, 6, 6, 9}));
}

TEST(Conv2dPlan, FollowsTheShape) {
  const auto technique = [](Conv2dProduct product, const Conv2dShape& s, Conv2dLane lane) {
    return conv2d_plan(product, s, lane).technique;
  };
  const Conv2dShape first = conv2d_case(128, 28, 28, 1, 32, 4, 2, 1),
                    second = conv2d_case(128, 14, 14, 32, 64, 4, 2, 1);
  for (Conv2dProduct product :
       {Conv2dProduct::kForward, Conv2dProduct::kBackwardInput, Conv2dProduct::kBackwardWeight}) {
    for (Conv2dLane lane : {Conv2dLane::kFp32, Conv2dLane::kTf32, Conv2dLane::kBf16})
      EXPECT_EQ(technique(product, first, lane), Conv2dTechnique::kDirect);
    EXPECT_EQ(technique(product, second, Conv2dLane::kFp32), Conv2dTechnique::kCudaCores);
    EXPECT_EQ(technique(product, second, Conv2dLane::kTf32), Conv2dTechnique::kTensorCores);
    EXPECT_EQ(technique(product, second, Conv2dLane::kBf16), Conv2dTechnique::kTensorCores);
  }
  const Conv2dShape wide = conv2d_case(16, 64, 64, 256, 256, 3, 1, 1);
  EXPECT_EQ(conv2d_plan(Conv2dProduct::kForward, wide, Conv2dLane::kBf16).tile, gpu::TileSize::kLarge);
  EXPECT_EQ(conv2d_plan(Conv2dProduct::kBackwardWeight, wide, Conv2dLane::kBf16).tile, gpu::TileSize::kLarge);
  for (Conv2dProduct product : {Conv2dProduct::kForward, Conv2dProduct::kBackwardWeight})
    EXPECT_EQ(conv2d_plan(product, second, Conv2dLane::kBf16).tile, gpu::TileSize::kMedium) << "64 filters";
}

TEST(Conv2dSlices, CoverThePixelsOnce) {
  for (const auto& named : kConv2dSweep) {
    const Conv2dShape& s = named.shape;
    const Conv2dSlices slices(s);
    const int64_t pixels = int64_t{s.N} * s.P * s.Q;
    EXPECT_GE(int64_t{slices.count} * slices.each, pixels) << named.name;
    EXPECT_LT(int64_t{slices.count - 1} * slices.each, pixels) << named.name << ": a slice without pixels";
    EXPECT_LE(int64_t{slices.count} * w_size(s) * 4, int64_t{64} << 20) << named.name << ": scratch";
  }
}

TEST(Conv2dCases, ReachEveryTechnique) {
  std::set<std::pair<Conv2dProduct, Conv2dTechnique>> reached;
  bool sliced = false;
  for_each_conv2d_case([&](const Conv2dShape& s, bool) {
    sliced |= Conv2dSlices(s).count > 2;
    for (Conv2dProduct product :
         {Conv2dProduct::kForward, Conv2dProduct::kBackwardInput, Conv2dProduct::kBackwardWeight})
      for (const Conv2dPlan plan : conv2d_plans(product, s, Conv2dLane::kBf16))
        reached.insert({product, plan.technique});
  });
  const size_t forward_by_wgmma = gpu::has_wgmma();
  EXPECT_EQ(reached.size(), 6 + forward_by_wgmma) << "bf16: direct and tensor cores in three products";
  EXPECT_TRUE(sliced);
}

}  // namespace
}  // namespace hourglass
