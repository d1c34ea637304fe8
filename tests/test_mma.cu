// SPDX-License-Identifier: Apache-2.0
// mma.cuh against its definition: whole matrices go through fragments and must come out as a plain product. Like
// test_gpu.cu it holds the device to the emulator.
#include <cmath>
#include <set>

#include "kernels/base/mma.cuh"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

using Mma = CudaTest;

std::vector<bf16> integers_bf16(int64_t n, uint64_t seed) { return converted<bf16>(random_integers<float>(n, seed)); }

// ---------------------------------------------------------------- matrix products

__global__ void multiply_bf16_kernel(float* d, const bf16* a, const bf16* b) {
  const int g = gpu::lane() / 4, t = gpu::lane() % 4;
  const auto pair = [](bf16 low, bf16 high) { return low.bits | static_cast<uint32_t>(high.bits) << 16; };
  uint32_t of_a[4], of_b[2];
  for (int i = 0; i < 4; ++i) {
    const bf16* p = a + (g + 8 * (i % 2)) * 16 + 2 * t + 8 * (i / 2);
    of_a[i] = pair(p[0], p[1]);
  }
  for (int i = 0; i < 2; ++i) {
    const bf16* p = b + (2 * t + 8 * i) * 8 + g;
    of_b[i] = pair(p[0], p[8]);
  }
  float sums[4];
  for (int i = 0; i < 4; ++i) sums[i] = static_cast<float>(gpu::lane() + i);
  gpu::mma_m16n8k16(sums, of_a, of_b);
  for (int i = 0; i < 4; ++i) d[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2] = sums[i];
}

__global__ void multiply_tf32_kernel(float* d, const float* a, const float* b) {
  const int g = gpu::lane() / 4, t = gpu::lane() % 4;
  uint32_t of_a[4], of_b[2];
  for (int i = 0; i < 4; ++i) of_a[i] = gpu::to_tf32(__float_as_uint(a[(g + 8 * (i % 2)) * 8 + t + 4 * (i / 2)]));
  for (int i = 0; i < 2; ++i) of_b[i] = gpu::to_tf32(__float_as_uint(b[(t + 4 * i) * 8 + g]));
  float sums[4];
  for (int i = 0; i < 4; ++i) sums[i] = static_cast<float>(gpu::lane() + i);
  gpu::mma_m16n8k8(sums, of_a, of_b);
  for (int i = 0; i < 4; ++i) d[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2] = sums[i];
}

/// A (16, depth) B (depth, 8) + what the kernels start from.
template <class T>
std::vector<double> product(const std::vector<T>& a, const std::vector<T>& b, int depth) {
  std::vector<double> d(16 * 8);
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      double sum = row % 8 * 4 + column / 2 + column % 2 + 2 * (row / 8);  // lane + i
      for (int k = 0; k < depth; ++k) {
        sum += static_cast<double>(a[static_cast<size_t>(row * depth + k)]) *
               static_cast<double>(b[static_cast<size_t>(k * 8 + column)]);
      }
      d[static_cast<size_t>(row * 8 + column)] = sum;
    }
  }
  return d;
}

template <class T, class Kernel>
std::vector<float> multiply(Kernel kernel, const std::vector<T>& a, const std::vector<T>& b) {
  return on_cuda([&](const Context& ctx) {
    const DeviceArray<T> device_a(a), device_b(b);
    DeviceArray<float> d(16 * 8);
    gpu::launch(kernel, 1, 32, 0, gpu::stream(ctx), d.data(), device_a.data(), device_b.data());
    return d.values();
  });
}

TEST_F(Mma, ProductsOfBf16) {
  const auto a = integers_bf16(16 * 16, 1), b = integers_bf16(16 * 8, 2);
  expect_close(multiply(multiply_bf16_kernel, a, b), product(a, b, 16), exact());
  const auto c = random_values<bf16>(16 * 16, 3), d = random_values<bf16>(16 * 8, 4);
  expect_close(multiply(multiply_bf16_kernel, c, d), product(c, d, 16), fp32_tolerance(16));
}

TEST_F(Mma, ProductsOfTf32) {
  const auto a = random_integers<float>(16 * 8, 1), b = random_integers<float>(8 * 8, 2);
  expect_close(multiply(multiply_tf32_kernel, a, b), product(a, b, 8), exact());
}

/// Sums on tensor cores cut off where floats would round (tests/simt/tensor_core_sum.h), no earlier than supposed
/// there: of terms below the last bit of the largest, one more bit counts.
TEST_F(Mma, SumsAreCutOffBehindOneMoreBit) {
  std::vector<bf16> a(16 * 16), b(16 * 8);
  a[0] = bf16(1.0f);
  for (int k = 1; k < 16; ++k) a[k] = bf16(0x1p-24f);
  for (int k = 0; k < 16; ++k) b[k * 8] = bf16(1.0f);
  const double exact = 1 + 15 * 0x1p-24, got = multiply(multiply_bf16_kernel, a, b)[0];  // lane 0 begins at 0
  EXPECT_GE(got, 1 + 7 * 0x1p-24 - 0x1p-24) << "of the first eight at least";
  EXPECT_LE(got, exact + 0x1p-23);
  const auto positive = random_values<bf16>(16 * 16, 9, 0, 1), others = random_values<bf16>(16 * 8, 10, 0, 1);
  const auto sums = multiply(multiply_bf16_kernel, positive, others);
  const auto want = product(positive, others, 16);
  for (size_t i = 0; i < want.size(); ++i) {
    // Two steps, each with nine terms that lose a bit at most, and one cut of the result.
    EXPECT_LE(std::abs(sums[i] - want[i]), 2 * (9 * 0x1p-24 + 0x1p-23) * want[i]) << i;
  }
}

TEST_F(Mma, WhatIsNotFiniteStaysSo) {
  std::vector<bf16> a(16 * 16, bf16(1.0f)), b(16 * 8, bf16(1.0f));
  a[2 * 16 + 5] = bf16(NAN);
  a[3 * 16 + 9] = bf16(INFINITY);
  a[4 * 16] = bf16(INFINITY);
  a[4 * 16 + 15] = bf16(-INFINITY);
  a[5 * 16] = bf16(3e38f);
  a[5 * 16 + 1] = bf16(3e38f);
  const auto d = multiply(multiply_bf16_kernel, a, b);
  std::vector<float> c(16 * 8, 1.0f), e(8 * 8, 1.0f);
  c[2 * 8 + 5] = NAN;
  c[3 * 8 + 1] = INFINITY;
  const auto f = multiply(multiply_tf32_kernel, c, e);
  for (int column = 0; column < 8; ++column) {
    EXPECT_TRUE(std::isfinite(d[8 + column]) && std::isfinite(f[8 + column]));
    EXPECT_TRUE(std::isnan(d[16 + column]) && std::isnan(f[16 + column])) << column;
    EXPECT_EQ(d[24 + column], INFINITY);
    EXPECT_EQ(f[24 + column], INFINITY);
    EXPECT_TRUE(std::isnan(d[32 + column])) << "infinity minus infinity";
    EXPECT_EQ(d[40 + column], INFINITY) << "beyond the largest float";
  }
}

__global__ void round_kernel(uint32_t* out, const uint32_t* in) { out[threadIdx.x] = gpu::to_tf32(in[threadIdx.x]); }

TEST_F(Mma, RoundingToTf32) {
  const std::vector<uint32_t> in = {0x3F800FFFu, 0x3F801000u, 0x3F803000u, 0xBF801000u, 0x7F800000u,
                                    0xFF800000u, 0x7F7FFFFFu, 0x00000000u, 0x80000000u, 0x7F800001u};
  const std::vector<uint32_t> want = {0x3F800000u, 0x3F802000u, 0x3F804000u, 0xBF802000u, 0x7F800000u,
                                      0xFF800000u, 0x7F800000u, 0x00000000u, 0x80000000u, 0x7FFFFFFFu};
  const auto got = on_cuda([&](const Context& ctx) {
    const DeviceArray<uint32_t> device_in(in);
    DeviceArray<uint32_t> out(static_cast<int64_t>(in.size()));
    gpu::launch(round_kernel, 1, static_cast<unsigned>(in.size()), 0, gpu::stream(ctx), out.data(), device_in.data());
    return out.values();
  });
  for (size_t i = 0; i < in.size(); ++i) {
    EXPECT_EQ(got[i] & 0xFFFFE000u, want[i] & 0xFFFFE000u) << std::hex << in[i];
  }
}

// ---------------------------------------------------------------- operands from shared memory

/// Four matrices whose rows lie apart and out of order; element (matrix, row, column) is 64 matrix + 8 row + column.
__global__ void load_kernel(uint32_t* out, bool transposed) {
  __shared__ __align__(16) uint16_t rows[32][24];
  const int lane = gpu::lane(), place = lane * 5 % 32;
  for (int column = 0; column < 8; ++column) rows[place][column] = static_cast<uint16_t>(8 * lane + column);
  __syncwarp();
  uint32_t words[4];
  if (transposed) {
    gpu::ldmatrix_x4_trans(words, rows[place]);
  } else {
    gpu::ldmatrix_x4(words, rows[place]);
  }
  for (int i = 0; i < 4; ++i) out[4 * lane + i] = words[i];
}

TEST_F(Mma, LoadsMatrices) {
  for (bool transposed : {false, true}) {
    const auto got = on_cuda([&](const Context& ctx) {
      DeviceArray<uint32_t> out(4 * 32);
      gpu::launch(load_kernel, 1, 32, 0, gpu::stream(ctx), out.data(), transposed);
      return out.values();
    });
    for (unsigned lane = 0; lane < 32; ++lane) {
      for (unsigned i = 0; i < 4; ++i) {
        const unsigned g = lane / 4, t = lane % 4;
        const unsigned low = transposed ? 8 * (2 * t) + g : 8 * g + 2 * t;
        const unsigned high = transposed ? low + 8 : low + 1;
        EXPECT_EQ(got[4 * lane + i], (64 * i + low) | (64 * i + high) << 16) << lane << ", word " << i;
      }
    }
  }
}

/// A product through the loads that kernels use: A (16, 16) by rows, B (16, 8) by rows (transposed) or by columns.
__global__ void multiply_loaded_kernel(float* d, const bf16* a, const bf16* b, bool b_by_columns) {
  __shared__ __align__(16) bf16 of_a[16][16];
  __shared__ __align__(16) bf16 of_b[16][8];  // by columns: 8 columns of 16
  const int lane = gpu::lane();
  for (int i = lane; i < 256; i += 32) of_a[i / 16][i % 16] = a[i];
  for (int i = lane; i < 128; i += 32) {
    if (b_by_columns) {
      (&of_b[0][0])[i % 8 * 16 + i / 8] = b[i];
    } else {
      of_b[i / 8][i % 8] = b[i];
    }
  }
  __syncwarp();
  uint32_t words_a[4], words_b[4];
  gpu::ldmatrix_x4(words_a, &of_a[lane % 16][lane / 16 * 8]);
  const int half = lane / 8 % 2;  // two matrices are enough; lanes 16 to 31 give the same rows again
  if (b_by_columns) {
    gpu::ldmatrix_x4(words_b, &of_b[0][0] + lane % 8 * 16 + 8 * half);
  } else {
    gpu::ldmatrix_x4_trans(words_b, of_b[8 * half + lane % 8]);
  }
  float sums[4];
  for (int i = 0; i < 4; ++i) sums[i] = static_cast<float>(lane + i);
  const uint32_t pair[2] = {words_b[0], words_b[1]};
  gpu::mma_m16n8k16(sums, words_a, pair);
  for (int i = 0; i < 4; ++i) d[(lane / 4 + 8 * (i / 2)) * 8 + 2 * (lane % 4) + i % 2] = sums[i];
}

TEST_F(Mma, LoadedOperandsMultiply) {
  const auto a = integers_bf16(16 * 16, 5), b = integers_bf16(16 * 8, 6);
  for (bool by_columns : {false, true}) {
    const auto got = on_cuda([&](const Context& ctx) {
      const DeviceArray<bf16> device_a(a), device_b(b);
      DeviceArray<float> d(16 * 8);
      gpu::launch(multiply_loaded_kernel, 1, 32, 0, gpu::stream(ctx), d.data(), device_a.data(), device_b.data(),
                  by_columns);
      return d.values();
    });
    expect_close(got, product(a, b, 16), exact());
  }
}

// ---------------------------------------------------------------- copies

/// Three groups of one copy each, the last outside; each thread hands on what its neighbour copied.
__global__ void copy_kernel(float* out, const float* in) {
  __shared__ __align__(16) float buffers[3][64][4];
  const unsigned t = threadIdx.x, next = (t + 1) % 64;
  for (unsigned i = 0; i < 3; ++i) {
    gpu::cp_async16(buffers[i][t], i < 2 ? in + 4 * (64 * i + t) : nullptr, i < 2);
    gpu::cp_async_commit();
  }
  gpu::cp_async_wait<2>();
  __syncthreads();
  for (int j = 0; j < 4; ++j) out[4 * t + j] = buffers[0][next][j];
  gpu::cp_async_wait<0>();
  __syncthreads();
  for (unsigned i = 1; i < 3; ++i) {
    for (int j = 0; j < 4; ++j) out[4 * (64 * i + t) + j] = buffers[i][next][j];
  }
}

TEST_F(Mma, CopiesArriveInGroups) {
  const auto in = random_values<float>(2 * 256, 8);
  const auto got = on_cuda([&](const Context& ctx) {
    const DeviceArray<float> device_in(in);
    DeviceArray<float> out(3 * 256);
    gpu::launch(copy_kernel, 1, 64, 0, gpu::stream(ctx), out.data(), device_in.data());
    return out.values();
  });
  for (size_t i = 0; i < 512; ++i) EXPECT_EQ(got[i], in[i / 256 * 256 + (i % 256 + 4) % 256]);
  for (size_t i = 512; i < 768; ++i) EXPECT_EQ(got[i], 0);
}

// ---------------------------------------------------------------- what the emulator must notice

#if defined(HOURGLASS_CUDA_EMULATED)
template <bool kWait, bool kBarrier>
__global__ void hand_on_kernel(int* out) {
  __shared__ __align__(16) int shared[64][4];
  for (int i = 0; i < 4; ++i) out[4 * threadIdx.x + i] = 5;
  gpu::cp_async16(shared[threadIdx.x], out + 4 * threadIdx.x, true);
  gpu::cp_async_commit();
  if (kWait) gpu::cp_async_wait<0>();
  if (kBarrier) __syncthreads();
  const int value = shared[(threadIdx.x + 1) % 64][0];
  gpu::cp_async_wait<0>();
  __syncthreads();
  out[4 * threadIdx.x] = value;
}
__global__ void never_waits_kernel(int*) {
  __shared__ __align__(16) int shared[64][4];
  gpu::cp_async16(shared[threadIdx.x], nullptr, false);
}
__global__ void some_lanes_multiply_kernel(int*) {
  if (gpu::lane() == 3) return;
  float d[4] = {};
  const uint32_t a[4] = {}, b[2] = {};
  gpu::mma_m16n8k16(d, a, b);
}

struct Outcomes {
  std::set<std::vector<int>> results;
  std::set<std::string> reports;
};
Outcomes outcomes_of(void (*kernel)(int*)) {
  Outcomes outcomes;
  for (const simt::Config& schedule : simt::all_schedules()) {
    const simt::ScopedConfig scope(schedule);
    DeviceArray<int> out(256);
    gpu::launch(kernel, 1, 64, 0, gpu::stream(cuda_context()), out.data());
    outcomes.results.insert(out.values());
    for (const simt::Report& report : simt::take_reports()) outcomes.reports.insert(report.kind);
  }
  return outcomes;
}

TEST_F(Mma, CopiesNeedAWaitAndABarrier) {
  EXPECT_EQ(outcomes_of(hand_on_kernel<true, true>).results.size(), 1u);
  EXPECT_GT(outcomes_of(hand_on_kernel<false, true>).results.size(), 1u);
  EXPECT_GT(outcomes_of(hand_on_kernel<true, false>).results.size(), 1u);
  EXPECT_EQ(outcomes_of(never_waits_kernel).reports, (std::set<std::string>{"async-copy"}));
}

TEST_F(Mma, AWarpMultipliesAsAWhole) {
  EXPECT_EQ(outcomes_of(some_lanes_multiply_kernel).reports, (std::set<std::string>{"warp-matrix"}));
}
#endif

}  // namespace
}  // namespace hourglass::test
