// SPDX-License-Identifier: Apache-2.0
// How a card executes what kernels rely on: lanes that are gone, lanes that part and meet, blocks that hand their work
// on, and arithmetic. Like test_gpu.cu it holds the device to the emulator (docs/emulator.md, "What a card settles").
#include <array>
#include <cmath>

#include "kernels/base/last_block.cuh"
#include "kernels/base/math.h"
#include "kernels/base/philox.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

using Execution = CudaTest;

// ---------------------------------------------------------------- lanes

/// Lanes 0 to 19 of the second warp go on, and name themselves; the first warp goes as a whole.
__global__ void exited_lanes_kernel(int* out) {
  const int lane = gpu::lane();
  if (gpu::warp() == 0 || lane >= 20) return;
  constexpr unsigned kHere = 0xFFFFFu;
  out[4 * lane] = __shfl_xor_sync(kHere, lane, 1);
  out[4 * lane + 1] = __shfl_down_sync(kHere, lane, 2, 4);
  out[4 * lane + 2] = static_cast<int>(__ballot_sync(kHere, lane % 2));
  out[4 * lane + 3] = __reduce_add_sync(kHere, lane);
}

TEST_F(Execution, LanesThatAreGoneAreNotWaitedFor) {
  const auto got = on_cuda([](const Context& ctx) {
    DeviceArray<int> out(80);
    gpu::launch(exited_lanes_kernel, 1, 64, 0, gpu::stream(ctx), out.data());
    return out.values();
  });
  for (int lane = 0; lane < 20; ++lane) {
    const std::array<int, 4> want = {lane ^ 1, lane % 4 < 2 ? lane + 2 : lane, 0xAAAAA, 190};
    for (int i = 0; i < 4; ++i) EXPECT_EQ(got[4 * lane + i], want[i]) << "lane " << lane << ", form " << i;
  }
}

/// Each side of a branch shuffles within itself, for another number of rounds; then all of them meet, and each reads
/// what a lane of the other side wrote to shared memory.
__global__ void parting_lanes_kernel(int* out) {
  __shared__ int shared[64];
  const int lane = gpu::lane(), t = static_cast<int>(threadIdx.x);
  int sum = lane;
  if (lane % 3 == 0) {  // 0x49249249
    for (int i = 0; i < 5; ++i) sum += __shfl_sync(0x49249249u, sum, 3 * i);
  } else {
    for (int i = 0; i < 2; ++i) sum += __shfl_sync(0xB6DB6DB6u, sum, 1 + i);
  }
  shared[t] = sum;
  __syncthreads();
  out[t] = shared[t / 32 * 32 + (lane + 1) % 32] + __shfl_xor_sync(gpu::kFullMask, sum, 16);
}

TEST_F(Execution, LanesPartAndMeet) {
  const auto got = on_cuda([](const Context& ctx) {
    DeviceArray<int> out(64);
    gpu::launch(parting_lanes_kernel, 1, 64, 0, gpu::stream(ctx), out.data());
    return out.values();
  });
  std::array<int, 32> sums;
  for (int lane = 0; lane < 32; ++lane) sums[lane] = lane;
  for (int i = 0; i < 5; ++i) {
    const auto before = sums;
    for (int lane = 0; lane < 32; lane += 3) sums[lane] += before[3 * i];
  }
  for (int i = 0; i < 2; ++i) {
    const auto before = sums;
    for (int lane = 0; lane < 32; ++lane) sums[lane] += lane % 3 ? before[1 + i] : 0;
  }
  for (int t = 0; t < 64; ++t) EXPECT_EQ(got[t], sums[(t + 1) % 32] + sums[t % 32 ^ 16]) << t;
}

// ---------------------------------------------------------------- blocks

constexpr int kThreads = 64;

/// Each block writes a row; the last one adds up what all of them wrote, in their order, and changes it for the next
/// launch.
__global__ void last_block_kernel(int* rows, unsigned* ticket, int64_t* sums, int launch) {
  const unsigned i = blockIdx.x * kThreads + threadIdx.x;
  rows[i] = rows[i] * 3 % 1000 + launch;
  if (!gpu::is_last_block(ticket)) return;
  int64_t sum = 0;
  for (unsigned block = 0; block < gridDim.x; ++block) {
    sum += __ldcg(rows + block * kThreads + threadIdx.x) * (block + 1);
    rows[block * kThreads + threadIdx.x] ^= 1;
  }
  sums[launch * kThreads + static_cast<int>(threadIdx.x)] = sum;
}

TEST_F(Execution, TheLastBlockSeesWhatAllBlocksWrote) {
  constexpr int kBlocks = 150, kLaunches = 8;
  const auto got = on_cuda([](const Context& ctx) {
    DeviceArray<int> rows(std::vector<int>(kBlocks * kThreads, 7));
    DeviceArray<int64_t> sums(kLaunches * kThreads);
    for (int launch = 0; launch < kLaunches; ++launch) {
      gpu::launch(last_block_kernel, kBlocks, kThreads, 0, gpu::stream(ctx), rows.data(), gpu::tickets(ctx),
                  sums.data(), launch);
    }
    return sums.values();
  });
  int value = 7;
  for (int launch = 0; launch < kLaunches; ++launch) {
    value = value * 3 % 1000 + launch;
    for (int t = 0; t < kThreads; ++t) {
      EXPECT_EQ(got[launch * kThreads + t], int64_t{value} * kBlocks * (kBlocks + 1) / 2) << launch << ", thread " << t;
    }
    value ^= 1;
  }
}

/// Those that test_gpu.cu leaves out: numbers with a sign, and exchanges, whose old values are all there once.
__global__ void exchange_kernel(int* out, unsigned* seen) {
  const int t = static_cast<int>(threadIdx.x);
  atomicMin(out, 50 - t);
  atomicMax(out + 1, t - 200);
  const unsigned before = atomicExch(reinterpret_cast<unsigned*>(out + 2), static_cast<unsigned>(t));
  if (before < 100) atomicAdd(seen + before, 1u);
}

TEST_F(Execution, SignedAndExchangingAtomics) {
  const auto [got, seen] = on_cuda([](const Context& ctx) {
    DeviceArray<int> out({1000, -1000, -1});
    DeviceArray<unsigned> seen(std::vector<unsigned>(100));
    gpu::launch(exchange_kernel, 1, 100, 0, gpu::stream(ctx), out.data(), seen.data());
    std::vector<int> values = out.values();
    std::vector<unsigned> counts = seen.values();
    counts.at(static_cast<size_t>(values.at(2))) += 1;  // the last one to come stayed
    values.pop_back();
    return std::tuple(values, counts);
  });
  EXPECT_EQ(got, (std::vector<int>{-49, -101}));
  EXPECT_EQ(seen, std::vector<unsigned>(100, 1));
}

// ---------------------------------------------------------------- arithmetic

__global__ void philox_kernel(uint32_t* out) {
  const PhiloxWords words[3] = {philox(0, 0, 0, 0, 0, 0), philox(~0u, ~0u, ~0u, ~0u, ~0u, ~0u),
                                philox(0xa4093822u, 0x299f31d0u, 0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u)};
  for (int i = 0; i < 12; ++i) out[i] = words[i / 4].w[i % 4];
}

TEST_F(Execution, PhiloxHasItsKnownAnswers) {
  const auto got = on_cuda([](const Context& ctx) {
    DeviceArray<uint32_t> out(12);
    gpu::launch(philox_kernel, 1, 1, 0, gpu::stream(ctx), out.data());
    return out.values();
  });
  EXPECT_EQ(got, (std::vector<uint32_t>{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u, 0x408f276du, 0x41c83b0eu,
                                        0xa20bc7c6u, 0x6d5451fdu, 0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}));
}

__global__ void arithmetic_kernel(int n, const float* x, float* out) {
  const int i = static_cast<int>(gpu::global_thread());
  if (i >= n) return;
  out[4 * i] = x[i] / x[(i + 1) % n];
  out[4 * i + 1] = math::sqrt(x[i]);
  out[4 * i + 2] = x[i] * 0.5f;
  out[4 * i + 3] = x[i] - x[(i + 1) % n];
}

/// Rounded to nearest, numbers below the smallest normal one included: the compiler was asked for no less.
TEST_F(Execution, FloatsAreThoseOfTheHost) {
  std::vector<float> x = random_values<float>(200, 3, 0, 50);
  for (const float special : {1e-38f, 2e-39f, 1e-45f, 3e38f, 0.0f, -0.0f, 1e-40f}) x.push_back(special);
  const auto n = static_cast<int>(x.size());
  const auto got = on_cuda([&](const Context& ctx) {
    const DeviceArray<float> device_x(x);
    DeviceArray<float> out(4 * n);
    gpu::launch(arithmetic_kernel, gpu::ceil_div(n, 64), 64, 0, gpu::stream(ctx), n, device_x.data(), out.data());
    return out.values();
  });
  for (int i = 0; i < n; ++i) {
    const float next = x[(i + 1) % n];
    const std::array<float, 4> want = {x[i] / next, std::sqrt(x[i]), x[i] * 0.5f, x[i] - next};
    for (int k = 0; k < 4; ++k) {
      if (std::isnan(want[k]) && std::isnan(got[4 * i + k])) continue;
      EXPECT_EQ(std::bit_cast<uint32_t>(got[4 * i + k]), std::bit_cast<uint32_t>(want[k])) << x[i] << ", form " << k;
    }
  }
}

template <class T>
HOURGLASS_HD T function(int which, T x) {
  T sine, cosine;
  math::sincospi(x, &sine, &cosine);
  switch (which) {
    case 0:
      return math::exp(x);
    case 1:
      return math::log_positive(x < T(0) ? -x : x);
    case 2:
      return math::log1p_exp(x);
    case 3:
      return math::sigmoid(x);
    case 4:
      return math::tanh(x);
    case 5:
      return math::erf(x);
    case 6:
      return sine;
    default:
      return cosine;
  }
}
constexpr int kFunctions = 8;

__global__ void function_kernel(int n, const float* x, float* out) {
  const int i = static_cast<int>(gpu::global_thread());
  if (i >= n) return;
  for (int which = 0; which < kFunctions; ++which) out[kFunctions * i + which] = function(which, x[i]);
}

/// nvcc may fuse a product and a sum: other bits than the host's, and no worse.
TEST_F(Execution, ElementwiseMathsKeepsItsAccuracy) {
  const std::vector<float> x = random_values<float>(1000, 5, -9, 9);
  const auto n = static_cast<int>(x.size());
  const auto got = on_cuda([&](const Context& ctx) {
    const DeviceArray<float> device_x(x);
    DeviceArray<float> out(kFunctions * n);
    gpu::launch(function_kernel, gpu::ceil_div(n, 128), 128, 0, gpu::stream(ctx), n, device_x.data(), out.data());
    return out.values();
  });
  for (int which = 0; which < kFunctions; ++which) {
    for (int i = 0; i < n; ++i) {
      const double want = function<double>(which, x[i]);
      const double limit = 2.5 * 0x1p-23 * std::abs(want) + 1e-44;  // two units in the last place
      EXPECT_LE(std::abs(static_cast<double>(got[kFunctions * i + which]) - want), limit) << which << " of " << x[i];
    }
  }
}

}  // namespace
}  // namespace hourglass::test
