// SPDX-License-Identifier: Apache-2.0
// hopper.cuh against its definition: boxes of tensors through the copy engine and its swizzle, products of a warpgroup,
// and a ring of stages. Like test_mma.cu it holds the device, where that is of compute capability 9, to the emulator.
#include "kernels/base/hopper.cuh"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

class Hopper : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (!IsSkipped() && !gpu::has_wgmma()) GTEST_SKIP() << "no wgmma and no bulk tensor copies on this device";
  }
};

std::vector<bf16> integers_bf16(int64_t n, uint64_t seed) { return converted<bf16>(random_integers<float>(n, seed)); }

int64_t count_of(const gpu::TensorBox& t) {
  int64_t n = 1;
  for (int i = 0; i < t.rank; ++i) n *= t.box[i];
  return n;
}

// ---------------------------------------------------------------- boxes

struct Corner {
  int at[gpu::TensorBox::kMostRank] = {};
};

/// What a copy leaves in shared memory, byte by byte. Launched with more shared memory than the box: what lies behind
/// it stays.
template <int kRank>
__global__ void copy_box_kernel(const __grid_constant__ gpu::TensorMap map, Corner c, int elements, bf16* out) {
#if defined(HOURGLASS_HAS_WGMMA)
  unsigned char* const box = gpu::swizzle_aligned_shared();
  auto* const barrier = reinterpret_cast<gpu::Barrier*>(box + (static_cast<unsigned>(elements) * 2 + 7) / 8 * 8);
  if (threadIdx.x == 0) {
    gpu::prefetch_map(&map);
    gpu::init_barrier(barrier, 1);
    gpu::publish_barriers();
    gpu::arrive_expecting(barrier, static_cast<unsigned>(elements) * 2);
    if constexpr (kRank == 2) gpu::copy_box(box, &map, barrier, c.at[0], c.at[1]);
    if constexpr (kRank == 3) gpu::copy_box(box, &map, barrier, c.at[0], c.at[1], c.at[2]);
    if constexpr (kRank == 4) gpu::copy_box(box, &map, barrier, c.at[0], c.at[1], c.at[2], c.at[3]);
    if constexpr (kRank == 5) gpu::copy_box(box, &map, barrier, c.at[0], c.at[1], c.at[2], c.at[3], c.at[4]);
  }
  __syncthreads();
  gpu::wait_barrier(barrier, 0);
  for (int i = static_cast<int>(threadIdx.x); i < elements; i += static_cast<int>(blockDim.x)) {
    out[i] = reinterpret_cast<const bf16*>(box)[i];
  }
#endif
}

/// The element at box coordinates `index`, zero outside of the tensor.
float element(const gpu::TensorBox& t, const std::vector<bf16>& data, const Corner& corner, const int* index) {
  int64_t offset = 0;
  for (int i = 0; i < t.rank; ++i) {
    const int64_t at = corner.at[i] + int64_t{index[i]} * t.steps[i];
    if (at < 0 || at >= t.extents[i]) return 0;
    offset += at * (i == 0 ? 1 : t.strides[i]);
  }
  return static_cast<float>(data[static_cast<size_t>(offset)]);
}

template <int kRank>
void expect_box(const gpu::TensorBox& t, const Corner& corner) {
  const int64_t n = count_of(t);
  int64_t size = t.strides[t.rank - 1] * t.extents[t.rank - 1];
  const auto data = integers_bf16(size, 3);
  const auto got = on_cuda([&](const Context& ctx) {
    const DeviceArray<bf16> device(data);
    DeviceArray<bf16> out(n);
    gpu::launch(copy_box_kernel<kRank>, 1, 64, gpu::kSwizzleSlack + static_cast<size_t>(n) * 2 + 16, gpu::stream(ctx),
                gpu::make_tensor_map(device.data(), t), corner, static_cast<int>(n), out.data());
    return converted<float>(out.values());
  });
  for (int64_t i = 0; i < n; ++i) {
    int index[5] = {};
    int64_t rest = i;
    for (int d = 0; d < t.rank; ++d) index[d] = static_cast<int>(rest % t.box[d]), rest /= t.box[d];
    const int64_t row = i / t.box[0], unit = index[0] / 8;  // rows of 64 elements: the swizzle of the definition
    const int64_t place = row * 64 + (unit ^ row % 8) * 8 + index[0] % 8;
    ASSERT_EQ(got[static_cast<size_t>(place)], element(t, data, corner, index)) << "element " << i;
  }
}

TEST_F(Hopper, BoxesArriveSwizzled) {
  expect_box<2>({2, {64, 32}, {1, 64}, {64, 16}, {1, 1}}, {{0, 8}});
  expect_box<3>({3, {72, 5, 9}, {1, 72, 360}, {64, 1, 8}, {1, 1, 1}}, {{0, 2, 1}});
  expect_box<4>({4, {64, 7, 6, 3}, {1, 64, 448, 2688}, {64, 4, 2, 2}, {1, 1, 1, 1}}, {{0, 1, 3, 1}});
  expect_box<5>({5, {64, 3, 2, 3, 2}, {1, 64, 192, 384, 1152}, {64, 2, 2, 2, 1}, {1, 1, 1, 1, 1}}, {{0, 1, 0, 1, 1}});
}

TEST_F(Hopper, WhatLiesOutsideIsZero) {
  expect_box<2>({2, {72, 20}, {1, 72}, {64, 16}, {1, 1}}, {{64, 12}});  // past the end in both
  expect_box<2>({2, {8, 20}, {1, 8}, {64, 16}, {1, 1}}, {{0, -5}});     // before the first, 8 of 64 columns
  expect_box<4>({4, {64, 5, 4, 2}, {1, 64, 320, 1280}, {64, 8, 4, 1}, {1, 1, 1, 1}}, {{0, -1, -2, 1}});  // a halo
  expect_box<4>({4, {64, 5, 4, 2}, {1, 64, 320, 1280}, {64, 2, 2, 2}, {1, 1, 1, 1}}, {{0, 7, -9, 1}});   // all of it
}

TEST_F(Hopper, StepsSkipElements) {
  expect_box<4>({4, {64, 9, 8, 2}, {1, 64, 576, 4608}, {64, 4, 4, 1}, {1, 2, 2, 1}}, {{0, 0, 0, 1}});
  expect_box<4>({4, {64, 9, 8, 2}, {1, 64, 576, 4608}, {64, 4, 4, 1}, {1, 2, 2, 1}}, {{0, -1, -1, 0}});
  expect_box<4>({4, {64, 9, 8, 2}, {1, 64, 576, 4608}, {64, 8, 2, 1}, {1, 3, 5, 1}}, {{0, -2, 4, 0}});
}

TEST_F(Hopper, TheDriverRefusesBadMaps) {
  const DeviceArray<bf16> data(64 * 64);
  const auto refused = [&](const gpu::TensorBox& box) {
    expect_error([&] { static_cast<void>(gpu::make_tensor_map(data.data(), box)); }, Exit::kDeviceFault,
                 {"cuTensorMapEncodeTiled"});
#if defined(HOURGLASS_CUDA_EMULATED)
    EXPECT_EQ(simt::take_reports().size(), 1u);
#endif
  };
  refused({2, {60, 8}, {1, 60}, {64, 8}, {1, 1}});     // a stride of 120 bytes
  refused({2, {256, 8}, {1, 256}, {128, 8}, {1, 1}});  // a box wider than the swizzle
  refused({2, {64, 8}, {1, 64}, {64, 257}, {1, 1}});   // a box too high
  refused({2, {64, 8}, {1, 64}, {64, 8}, {1, 9}});     // a step too large
  refused({2, {64, 0}, {1, 64}, {64, 8}, {1, 1}});     // nothing there
}

// ---------------------------------------------------------------- products

/// D (128, N) = what the sums begin with + A (128, 64) B (N, 64)^T by two warpgroups; A and B each by one copy or more.
template <int kColumns>
__global__ void __launch_bounds__(256, 1) warpgroup_product_kernel(const __grid_constant__ gpu::TensorMap a,
                                                                   const __grid_constant__ gpu::TensorMap b, float* d) {
#if defined(HOURGLASS_HAS_WGMMA)
  unsigned char* const of_a = gpu::swizzle_aligned_shared();
  unsigned char* const of_b = of_a + 128 * 128;
  auto* const barrier = reinterpret_cast<gpu::Barrier*>(of_b + kColumns * 128);
  if (threadIdx.x == 0) {
    gpu::init_barrier(barrier, 1);
    gpu::publish_barriers();
    gpu::arrive_expecting(barrier, (128 + kColumns) * 128);
    gpu::copy_box(of_a, &a, barrier, 0, 0);
    for (int i = 0; i < kColumns / 64; ++i) gpu::copy_box(of_b + i * 64 * 128, &b, barrier, 0, 64 * i);
  }
  __syncthreads();
  const int warp = gpu::warp(), g = gpu::lane() / 4, t = gpu::lane() % 4;
  float sums[kColumns / 2];
#pragma unroll
  for (int i = 0; i < kColumns / 2; ++i) sums[i] = static_cast<float>(i % 3 + g);
  const uint64_t rows = gpu::matrix_descriptor(of_a + warp / 4 * 64 * 128), columns = gpu::matrix_descriptor(of_b);
  gpu::wait_barrier(barrier, 0);
  gpu::wgmma_fence(sums);
#pragma unroll
  for (int step = 0; step < 4; ++step) {
    gpu::wgmma_k16(sums, rows + 2 * static_cast<unsigned>(step), columns + 2 * static_cast<unsigned>(step));
    if (step % 2) gpu::wgmma_commit();
  }
  gpu::wgmma_wait<1>(sums);
  gpu::wgmma_wait<0>(sums);
#pragma unroll
  for (int i = 0; i < kColumns / 2; ++i) {
    const int row = warp * 16 + g + 8 * (i / 2 % 2), column = 8 * (i / 4) + 2 * t + i % 2;
    d[row * kColumns + column] = sums[i];
  }
#endif
}

template <int kColumns>
std::vector<float> warpgroup_product(const std::vector<bf16>& a, const std::vector<bf16>& b) {
  return on_cuda([&](const Context& ctx) {
    const DeviceArray<bf16> device_a(a), device_b(b);
    DeviceArray<float> d(128 * kColumns);
    const gpu::TensorMap of_a = gpu::make_tensor_map(device_a.data(), {2, {64, 128}, {1, 64}, {64, 128}, {1, 1}});
    const gpu::TensorMap of_b = gpu::make_tensor_map(device_b.data(), {2, {64, kColumns}, {1, 64}, {64, 64}, {1, 1}});
    gpu::launch(warpgroup_product_kernel<kColumns>, 1, 256, gpu::kSwizzleSlack + (128 + kColumns) * 128 + 8,
                gpu::stream(ctx), of_a, of_b, d.data());
    return d.values();
  });
}

template <int kColumns>
void expect_product() {
  const auto want = [](const std::vector<bf16>& a, const std::vector<bf16>& b) {
    std::vector<double> d;
    for (int row = 0; row < 128; ++row) {
      for (int column = 0; column < kColumns; ++column) {
        const int i = column / 8 * 4 + row / 8 % 2 * 2 + column % 2;
        double sum = i % 3 + row % 8;
        for (int k = 0; k < 64; ++k) {
          sum += static_cast<double>(a[static_cast<size_t>(row * 64 + k)]) *
                 static_cast<double>(b[static_cast<size_t>(column * 64 + k)]);
        }
        d.push_back(sum);
      }
    }
    return d;
  };
  const auto a = integers_bf16(128 * 64, 1), b = integers_bf16(kColumns * 64, 2);
  expect_close(warpgroup_product<kColumns>(a, b), want(a, b), exact());
  const auto c = random_values<bf16>(128 * 64, 3), d = random_values<bf16>(kColumns * 64, 4);
  expect_close(warpgroup_product<kColumns>(c, d), want(c, d), fp32_tolerance(64));
}

TEST_F(Hopper, WarpgroupsMultiply) {
  expect_product<64>();
  expect_product<128>();
  expect_product<256>();
}

// ---------------------------------------------------------------- a ring of stages

constexpr int kRingStages = 2, kRingBoxes = 7, kRingBox = 64 * 16;

/// One warp fetches boxes through two stages, another one hands them on: a box may come only when its stage is read.
__global__ void ring_kernel(const __grid_constant__ gpu::TensorMap map, bf16* out) {
#if defined(HOURGLASS_HAS_WGMMA)
  unsigned char* const stages = gpu::swizzle_aligned_shared();
  auto* const full = reinterpret_cast<gpu::Barrier*>(stages + kRingStages * kRingBox * 2);
  gpu::Barrier* const empty = full + kRingStages;
  if (threadIdx.x == 0) {
    for (int i = 0; i < kRingStages; ++i) gpu::init_barrier(full + i, 1), gpu::init_barrier(empty + i, 32);
    gpu::publish_barriers();
  }
  __syncthreads();
  for (int i = 0; i < kRingBoxes; ++i) {
    const int stage = i % kRingStages;
    const unsigned parity = static_cast<unsigned>(i / kRingStages) % 2;
    if (threadIdx.x == 0) {
      gpu::wait_barrier(empty + stage, parity ^ 1);
      gpu::arrive_expecting(full + stage, kRingBox * 2);
      gpu::copy_box(stages + stage * kRingBox * 2, &map, full + stage, 0, 16 * i);
    } else if (threadIdx.x >= 32) {
      gpu::wait_barrier(full + stage, parity);
      const auto* const box = reinterpret_cast<const bf16*>(stages + stage * kRingBox * 2);
      for (int j = gpu::lane(); j < kRingBox; j += 32) out[i * kRingBox + j] = box[j];
      gpu::arrive(empty + stage);
    }
  }
  __syncthreads();
#endif
}

TEST_F(Hopper, AStageIsRefilledWhenItIsRead) {
  const auto data = integers_bf16(kRingBoxes * kRingBox, 5);
  const auto got = on_cuda([&](const Context& ctx) {
    const DeviceArray<bf16> device(data);
    DeviceArray<bf16> out(kRingBoxes * kRingBox);
    gpu::launch(ring_kernel, 1, 64, gpu::kSwizzleSlack + kRingStages * kRingBox * 2 + 4 * 8, gpu::stream(ctx),
                gpu::make_tensor_map(device.data(), {2, {64, 16 * kRingBoxes}, {1, 64}, {64, 16}, {1, 1}}), out.data());
    return converted<float>(out.values());
  });
  for (size_t i = 0; i < got.size(); ++i) {
    const size_t row = i / 64, place = row * 64 + (i % 64 / 8 ^ row % 8) * 8 + i % 8;
    ASSERT_EQ(got[place], static_cast<float>(data[i])) << i;
  }
}

}  // namespace
}  // namespace hourglass::test
