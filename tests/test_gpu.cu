// SPDX-License-Identifier: Apache-2.0
// gpu.cuh and the CUDA intrinsics that kernels use, each against its definition. The file compiles for the device and
// for the emulator, and holds one to the other: a disagreement is a defect of the emulator.
#include <array>
#include <bit>

#include "kernels/base/gpu.cuh"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

using Gpu = CudaTest;

/// The values of `n` outputs that kernel(out, arguments...) writes on grid x block threads.
template <class T, class Kernel, class... Arguments>
std::vector<T> run(Kernel kernel, dim3 grid, dim3 block, size_t shared, int64_t n, Arguments... arguments) {
  return on_cuda([&](const Context& ctx) {
    DeviceArray<T> out(n);
    gpu::launch(kernel, grid, block, shared, gpu::stream(ctx), out.data(), arguments...);
    return out.values();
  });
}

// ---------------------------------------------------------------- warps

constexpr int kShuffles = 8;

__global__ void shuffle_kernel(int* out) {
  const int lane = gpu::lane();
  int* row = out + threadIdx.x * kShuffles;
  row[0] = __shfl_sync(gpu::kFullMask, lane * 3, 5);
  row[1] = __shfl_sync(gpu::kFullMask, lane, lane + 1, 8);
  row[2] = __shfl_up_sync(gpu::kFullMask, lane, 3);
  row[3] = __shfl_up_sync(gpu::kFullMask, lane, 3, 16);
  row[4] = __shfl_down_sync(gpu::kFullMask, lane, 5);
  row[5] = __shfl_down_sync(gpu::kFullMask, lane, 5, 8);
  row[6] = __shfl_xor_sync(gpu::kFullMask, lane, 9);
  row[7] = __shfl_xor_sync(gpu::kFullMask, lane, 3, 4);
}

TEST_F(Gpu, Shuffles) {
  const auto got = run<int>(shuffle_kernel, 1, 64, 0, 64 * kShuffles);
  for (int t = 0; t < 64; ++t) {
    const int l = t % 32;
    const std::array<int, kShuffles> want = {15,
                                             (l & ~7) + ((l + 1) & 7),
                                             l >= 3 ? l - 3 : l,
                                             l % 16 >= 3 ? l - 3 : l,
                                             l < 27 ? l + 5 : l,
                                             l % 8 < 3 ? l + 5 : l,
                                             l ^ 9,
                                             l ^ 3};
    for (int i = 0; i < kShuffles; ++i) EXPECT_EQ(got[t * kShuffles + i], want[i]) << "lane " << l << ", form " << i;
  }
}

constexpr int kVotes = 10;

__global__ void vote_kernel(unsigned* out) {
  const int lane = gpu::lane();
  unsigned* row = out + threadIdx.x * kVotes;
  row[0] = __ballot_sync(gpu::kFullMask, lane % 3 == 0);
  row[1] = static_cast<unsigned>(__any_sync(gpu::kFullMask, lane == 40));
  row[2] = static_cast<unsigned>(__all_sync(gpu::kFullMask, lane < 32));
  row[3] = __match_any_sync(gpu::kFullMask, lane / 5);
  row[4] = static_cast<unsigned>(__reduce_add_sync(gpu::kFullMask, lane - 10));
  row[5] = __reduce_max_sync(gpu::kFullMask, static_cast<unsigned>(lane * 7 % 32));
  row[6] = static_cast<unsigned>(__reduce_min_sync(gpu::kFullMask, lane - 3));
  row[7] = __reduce_xor_sync(gpu::kFullMask, 1u << lane);
  row[8] = lane < 12 ? static_cast<unsigned>(__reduce_add_sync(0xFFFu, lane)) : __ballot_sync(0xFFFFF000u, lane & 1);
  row[9] = static_cast<unsigned>(__popc(static_cast<unsigned>(lane * 77)) + 100 * __clz(lane) + 10000 * __ffs(lane));
}

TEST_F(Gpu, VotesMatchesAndReductions) {
  const auto got = run<unsigned>(vote_kernel, 1, 64, 0, 64 * kVotes);
  for (unsigned t = 0; t < 64; ++t) {
    const unsigned l = t % 32;
    unsigned same = 0;
    for (unsigned k = 0; k < 32; ++k) same |= (k / 5 == l / 5 ? 1u : 0u) << k;
    const auto bits = static_cast<unsigned>(std::popcount(l * 77) + 100 * std::countl_zero(l) +
                                            10000 * (l ? std::countr_zero(l) + 1 : 0));
    const std::array<unsigned, kVotes> want = {
        0x49249249u, 0, 1, same, 496 - 320, 31, ~0u - 2, ~0u, l < 12 ? 66u : 0xAAAAA000u, bits};
    for (int i = 0; i < kVotes; ++i) EXPECT_EQ(got[t * kVotes + i], want[i]) << "lane " << l << ", form " << i;
  }
}

__global__ void wide_shuffle_kernel(double* out, int64_t* integers) {
  out[threadIdx.x] = gpu::warp_sum(1.0 + threadIdx.x);
  integers[threadIdx.x] = gpu::warp_max((int64_t{1} << 40) + threadIdx.x);
}

TEST_F(Gpu, EightByteValuesTravel) {
  DeviceArray<int64_t> integers(32);
  const auto sums = run<double>(wide_shuffle_kernel, 1, 32, 0, 32, integers.data());
  for (double sum : sums) EXPECT_EQ(sum, 528.0);
  for (int64_t most : integers.values()) EXPECT_EQ(most, (int64_t{1} << 40) + 31);
}

// ---------------------------------------------------------------- blocks

__global__ void barrier_vote_kernel(int* out) {
  const int t = static_cast<int>(threadIdx.x);
  out[3 * t] = __syncthreads_count(t % 3 == 0);
  out[3 * t + 1] = __syncthreads_and(t < 1000) + 2 * __syncthreads_and(t != 77);
  out[3 * t + 2] = __syncthreads_or(t == 77) + 2 * __syncthreads_or(t == 1000);
}

TEST_F(Gpu, BarriersVote) {
  const auto got = run<int>(barrier_vote_kernel, 1, 100, 0, 300);
  for (int t = 0; t < 100; ++t) {
    EXPECT_EQ(got[3 * t], 34);
    EXPECT_EQ(got[3 * t + 1], 1);
    EXPECT_EQ(got[3 * t + 2], 1);
  }
}

template <int kThreads>
__global__ void block_reduce_kernel(float* out) {
  const float x = 1.0f / static_cast<float>(threadIdx.x + 1);
  float* row = out + threadIdx.x * 4;
  row[0] = gpu::block_sum<float, kThreads>(x);
  row[1] = gpu::block_sum<float, kThreads>(1.0f);  // at once again: its scratch is free
  row[2] = gpu::block_max<float, kThreads>(threadIdx.x == 17 ? 3.0f : x);
  row[3] = gpu::block_max<float, kThreads>(threadIdx.x == 18 ? __int_as_float(0x7FC00000) : x);
}

template <int kThreads>
void check_block_reductions() {
  const auto got = run<float>(block_reduce_kernel<kThreads>, 1, kThreads, 0, 4 * kThreads);
  double sum = 0;
  for (int t = 0; t < kThreads; ++t) sum += 1.0f / static_cast<float>(t + 1);
  for (int t = 0; t < kThreads; ++t) {
    EXPECT_NEAR(got[4 * t], sum, 1e-6 * sum);
    EXPECT_EQ(got[4 * t], got[0]) << "every thread gets the same bits";
    EXPECT_EQ(got[4 * t + 1], kThreads);
    EXPECT_EQ(got[4 * t + 2], 3.0f);
    EXPECT_TRUE(std::isnan(got[4 * t + 3])) << "a NaN wins";
  }
}

TEST_F(Gpu, BlockReductions) {
  check_block_reductions<32>();
  check_block_reductions<96>();
  check_block_reductions<256>();
  check_block_reductions<1024>();
}

__global__ void lowest_index_kernel(int64_t* out) {
  const int64_t mine = threadIdx.x % 7 == 5 ? int64_t{threadIdx.x} + (int64_t{1} << 33) : INT64_MAX;
  const int64_t least = gpu::block_min<int64_t, 128>(mine);
  if (threadIdx.x == 0) out[blockIdx.x] = least;
}

TEST_F(Gpu, BlockMinimumOfWideIntegers) {
  for (int64_t least : run<int64_t>(lowest_index_kernel, 3, 128, 0, 3)) EXPECT_EQ(least, (int64_t{1} << 33) + 5);
}

__global__ void reverse_kernel(int* out) {
  int* shared = gpu::dynamic_shared<int>();
  shared[threadIdx.x * 64] = static_cast<int>(threadIdx.x);
  __syncthreads();
  out[threadIdx.x] = shared[(blockDim.x - 1 - threadIdx.x) * 64];
}

TEST_F(Gpu, DynamicSharedMemoryBeyondTheDefault) {
  const auto got = run<int>(reverse_kernel, 1, 256, 256 * 64 * sizeof(int), 256);
  for (int t = 0; t < 256; ++t) EXPECT_EQ(got[t], 255 - t);
}

/// The same, with a static array that the default of 48 KiB has to hold too.
__global__ void reverse_twice_kernel(int* out, int pitch) {
  __shared__ int fixed[256];
  int* shared = gpu::dynamic_shared<int>();
  fixed[threadIdx.x] = static_cast<int>(threadIdx.x);
  shared[threadIdx.x * pitch] = static_cast<int>(threadIdx.x);
  __syncthreads();
  const unsigned t = blockDim.x - 1 - threadIdx.x;
  out[threadIdx.x] = shared[t * pitch] + fixed[t];
}

TEST_F(Gpu, DynamicSharedMemoryBesideStaticArrays) {
  for (int pitch : {48, 32, 47, 64, 33}) {  // 48 KiB of ints; also less than a launch before had
    const auto got = run<int>(reverse_twice_kernel, 1, 256, 256 * size_t(pitch) * sizeof(int), 256, pitch);
    for (int t = 0; t < 256; ++t) EXPECT_EQ(got[t], 2 * (255 - t)) << pitch;
  }
}

__global__ void atomics_kernel(unsigned* out) {
  const unsigned t = threadIdx.x;
  atomicAdd(&out[0], t);
  atomicMax(&out[1], t << 25);
  atomicMin(&out[2], (t + 28) << 25);
  atomicOr(&out[3], 1u << (t & 31));
  atomicInc(&out[4], 6u);
  atomicAdd(reinterpret_cast<unsigned long long*>(&out[6]), 1ull << 33);
  if (t == 3) out[8] = atomicCAS(&out[9], 0u, 42u);
}

TEST_F(Gpu, Atomics) {
  const auto got = on_cuda([&](const Context& ctx) {
    DeviceArray<unsigned> out({0, 0, ~0u, 0, 0, 0, 0, 0, 0, 0});
    gpu::launch(atomics_kernel, 1, 100, 0, gpu::stream(ctx), out.data());
    return out.values();
  });
  EXPECT_EQ(got[0], 4950u);
  EXPECT_EQ(got[1], 99u << 25);  // more than any signed number
  EXPECT_EQ(got[2], 28u << 25);
  EXPECT_EQ(got[3], ~0u);
  EXPECT_EQ(got[4], 100u % 7);
  EXPECT_EQ(got[7], 200u);  // the upper word of 100 << 33
  EXPECT_EQ(got[8], 0u);
  EXPECT_EQ(got[9], 42u);
}

struct Extents {
  float scale;
  int offset[3];
  double weight;
};

__global__ void geometry_kernel(float* out, Extents s, bf16 half, Grad<float> grad, const int* none) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned i = block * blockDim.x * blockDim.y * blockDim.z + thread;
  out[i] = static_cast<float>(i) * s.scale + static_cast<float>(s.offset[2]) + static_cast<float>(s.weight) + half +
           (grad ? 1000.0f : 0.0f) + (none ? 1000.0f : 0.0f);
}

TEST_F(Gpu, ParametersAndThreeDimensions) {
  const auto got = run<float>(geometry_kernel, dim3(2, 3, 2), dim3(2, 3, 4), 0, 288, Extents{2, {0, 0, 5}, 0.25},
                              bf16(0.5f), Grad<float>{}, nullptr);
  for (int i = 0; i < 288; ++i) EXPECT_EQ(got[i], 2 * static_cast<float>(i) + 5.75f);
}

// ---------------------------------------------------------------- vectors and bf16

template <class T>
__global__ void scale4_kernel(T* out, const T* x, int n, Write mode, bool whole) {
  const int64_t i = 4 * gpu::global_thread();
  if (i >= n) return;
  gpu::Vec4 v = gpu::load4(x + i);
  for (int k = 0; k < 4; ++k) v[k] *= 3;
  if (whole) return gpu::store4_whole(out + i, v);
  gpu::write4(out + i, v, mode);
}

template <class T>
void check_vectors() {
  const std::vector<T> x = random_values<T>(400, 3), before = random_values<T>(400, 4);
  using Way = std::pair<Write, bool>;  // mode, and by store4_whole
  for (const auto& [mode, whole] : {Way(Write::kSet, false), Way(Write::kAdd, false), Way(Write::kSet, true)}) {
    const auto got = on_cuda([&, mode = mode, whole = whole](const Context& ctx) {
      const DeviceArray<T> device_x(x);
      DeviceArray<T> out(before);
      EXPECT_TRUE(gpu::can_load4(400, device_x.data(), out.data()));
      EXPECT_FALSE(gpu::can_load4(400, device_x.data() + 1));
      EXPECT_FALSE(gpu::can_load4(398, device_x.data()));
      gpu::launch(scale4_kernel<T>, gpu::ceil_div(100, 64), 64, 0, gpu::stream(ctx), out.data(), device_x.data(), 400,
                  mode, whole);
      return out.values();
    });
    for (size_t i = 0; i < x.size(); ++i) {
      T want = before[i];
      write(want, 3 * static_cast<float>(x[i]), mode);
      EXPECT_EQ(static_cast<float>(got[i]), static_cast<float>(want));
    }
  }
}

TEST_F(Gpu, VectorLoadsAndStores) {
  check_vectors<float>();
  check_vectors<bf16>();
}

__global__ void round_kernel(uint16_t* out, const float* x) {
  out[threadIdx.x] = gpu::from_float<bf16>(x[threadIdx.x]).bits;
}

TEST_F(Gpu, ConversionToBf16IsTheHostsConversion) {
  std::vector<float> x = random_values<float>(250, 6, -1e4, 1e4);
  for (uint32_t bits : {0x3F808000u, 0x3F818000u, 0x7F7FFFFFu, 0x7F800001u, 0xFF800000u, 0x00000001u}) {
    x.push_back(std::bit_cast<float>(bits));
  }
  const DeviceArray<float> device_x(x);
  const auto got = run<uint16_t>(round_kernel, 1, 256, 0, 256, device_x.data());
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(got[i], bf16(x[i]).bits) << x[i];
}

// ---------------------------------------------------------------- launches that are refused

__global__ void nothing_kernel() {}

TEST_F(Gpu, RefusedLaunchesNameTheKernel) {
  const cudaStream_t stream = gpu::stream(cuda_context());
  expect_error([&] { gpu::launch(nothing_kernel, 0, 32, 0, stream); }, Exit::kDeviceFault,
               {"nothing_kernel", "grid 0x1x1"});
  expect_error([&] { gpu::launch(nothing_kernel, 1, 1025, 0, stream); }, Exit::kDeviceFault,
               {"nothing_kernel", "block 1025x1x1"});
  expect_error([&] { gpu::launch(nothing_kernel, 1, 32, 1 << 20, stream); }, Exit::kDeviceFault,
               {"nothing_kernel", "1048576 bytes of shared memory"});
  expect_error([&] { gpu::ceil_div(int64_t{1} << 40, 256); }, Exit::kUsage, {"too many for a grid"});
  gpu::launch(nothing_kernel, 1, 32, 0, stream);
  cuda_synchronize();
}

TEST_F(Gpu, ChecksNameCallAndError) {
  expect_error([] { CUDA_CHECK(cudaSetDevice(4096)); }, Exit::kDevice,
               {"test_gpu.cu", "cudaSetDevice(4096)", "cudaErrorInvalidDevice"});
  EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "an error that was thrown is not reported again";
}

}  // namespace
}  // namespace hourglass::test
