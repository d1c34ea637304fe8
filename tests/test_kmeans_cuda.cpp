// SPDX-License-Identifier: Apache-2.0
#include "kernels/kmeans.h"
#include "tests/cases/kmeans.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

using KMeansCuda = CudaTest;

/// Small integers: distances are exact in float, so that the device draws the rows that the reference draws.
TEST_F(KMeansCuda, DrawsTheRowsOfTheReference) {
  for (KMeansShape s : kKMeansCases) {
    if (s.N > 1000) s = {600, 12, 5};
    SCOPED_TRACE(describe("kmeans", {s.N, s.D, s.K}));
    const auto x = random_integers<float>(int64_t{s.N} * s.D, 1, -9, 9);
    const Noise noise{3, stream_id("test/k-means")};
    std::vector<double> nearest(s.N), want(int64_t{s.K} * s.D);
    const auto wide = converted<double>(x);
    for (int k = 0; k < s.K; ++k) cpu::kmeans_seed<double>({}, s, k, wide.data(), noise, nearest.data(), want.data());
    const DeviceArray<float> device_x(x);
    const auto got = on_cuda([&](const Context& ctx) {
      DeviceArray<float> device_nearest(s.N), codebook(int64_t{s.K} * s.D);
      for (int k = 0; k < s.K; ++k) {
        cuda::kmeans_seed(ctx, s, k, device_x.data(), noise, device_nearest.data(), codebook.data());
      }
      return codebook.values();
    });
    expect_close(got, want, exact());
  }
}

TEST_F(KMeansCuda, CentresMoveToTheMeanOfTheirRowsOrStay) {
  const KMeansShape s{3, 2, 2};
  const DeviceArray<float> counts(std::vector<float>{2, 0}), sums(std::vector<float>{4, 6, 0, 0});
  const auto got = on_cuda([&](const Context& ctx) {
    DeviceArray<float> codebook(std::vector<float>{9, 9, 5, 7});
    cuda::kmeans_update(ctx, s, counts.data(), sums.data(), codebook.data());
    return codebook.values();
  });
  EXPECT_EQ(got, (std::vector<float>{2, 3, 5, 7}));
}

TEST_F(KMeansCuda, RowsThatAreAllEqual) {
  const KMeansShape s{40, 2, 3};
  const DeviceArray<float> x(std::vector<float>(80, 3.0f));
  const auto got = on_cuda([&](const Context& ctx) {
    DeviceArray<float> nearest(s.N), codebook(6);
    for (int k = 0; k < 3; ++k) cuda::kmeans_seed(ctx, s, k, x.data(), {1, 2}, nearest.data(), codebook.data());
    return codebook.values();
  });
  EXPECT_EQ(got, std::vector<float>(6, 3.0f));
}

}  // namespace
}  // namespace hourglass::test
