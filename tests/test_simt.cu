// SPDX-License-Identifier: Apache-2.0
// The emulator finds what it is for: each kernel here plants one fault, and a test demands that a report, a difference
// between schedules, or a sanitizer notices it. Faults of the runtime's callers: test_simt_runtime.cu.
#include <gtest/gtest-spi.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "kernels/base/gpu.cuh"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

constexpr int kThreads = 64;

class Simt : public CudaTest {
 protected:
  void TearDown() override { static_cast<void>(simt::take_reports()); }
  static cudaStream_t stream() { return gpu::stream(cuda_context()); }

  /// Runs kernel(out) on `blocks` blocks under every schedule and returns the different results.
  template <class T>
  static std::set<std::vector<unsigned char>> outcomes(void (*kernel)(T*), int64_t n, unsigned blocks = 1) {
    std::set<std::vector<unsigned char>> results;
    for (const simt::Config& schedule : simt::all_schedules()) {
      const simt::ScopedConfig scope(schedule);
      T* out = nullptr;
      CUDA_CHECK(cudaMalloc(&out, static_cast<size_t>(n) * sizeof(T)));
      gpu::launch(kernel, blocks, kThreads, 0, stream(), out);
      cuda_synchronize();
      std::vector<unsigned char> bytes(static_cast<size_t>(n) * sizeof(T));
      CUDA_CHECK(cudaMemcpy(bytes.data(), out, bytes.size(), cudaMemcpyDeviceToHost));
      CUDA_CHECK(cudaFree(out));
      results.insert(bytes);
    }
    return results;
  }

  /// The launch must fail as a whole, with one report of this kind that names the place, and the device must work
  /// after.
  static void expect_fault(void (*kernel)(int*), const std::string& kind, const std::string& part) {
    for (const simt::Config& schedule : simt::all_schedules()) {
      const simt::ScopedConfig scope(schedule);
      SCOPED_TRACE(kind + " with " + simt::describe(schedule));
      int* out = nullptr;
      CUDA_CHECK(cudaMalloc(&out, kThreads * sizeof(int)));
      static_cast<void>(launch_quietly(kernel, out));
      EXPECT_EQ(cudaStreamSynchronize(stream()), cudaErrorLaunchFailure);
      EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure) << "the fault stays";
      const std::vector<simt::Report> reports = simt::take_reports();
      ASSERT_EQ(reports.size(), 1u);
      EXPECT_EQ(reports[0].kind, kind);
      EXPECT_NE(reports[0].text.find(part), std::string::npos) << reports[0].text;
      EXPECT_NE(reports[0].text.find("test_simt.cu:"), std::string::npos) << reports[0].text;
      EXPECT_EQ(cudaStreamSynchronize(stream()), cudaSuccess) << "taking the reports heals the device";
      CUDA_CHECK(cudaFree(out));
    }
  }
  static cudaError_t launch_quietly(void (*kernel)(int*), int* out) {
    cudaLaunchConfig_t config;
    config.gridDim = 1;
    config.blockDim = kThreads;
    config.stream = stream();
    return cudaLaunchKernelEx(&config, kernel, out);
  }

  /// Every schedule's reports, without duplicates.
  static std::set<std::string> kinds(const std::function<void()>& f) {
    std::set<std::string> found;
    for (const simt::Config& schedule : simt::all_schedules()) {
      const simt::ScopedConfig scope(schedule);
      f();
      for (const simt::Report& report : simt::take_reports()) found.insert(report.kind);
    }
    return found;
  }
};

// ---------------------------------------------------------------- missing barriers: schedules differ

__global__ void no_barrier_kernel(int* out) {
  __shared__ int shared[kThreads];
  shared[threadIdx.x] = static_cast<int>(threadIdx.x);
  out[threadIdx.x] = shared[kThreads - 1 - threadIdx.x];
}
__global__ void barrier_kernel(int* out) {
  __shared__ int shared[kThreads];
  shared[threadIdx.x] = static_cast<int>(threadIdx.x);
  __syncthreads();
  out[threadIdx.x] = shared[kThreads - 1 - threadIdx.x];
}
__global__ void no_second_barrier_kernel(int* out) {
  __shared__ int shared[kThreads];
  int sum = 0;
  for (int i = 0; i < 3; ++i) {
    shared[threadIdx.x] = i * static_cast<int>(threadIdx.x);
    __syncthreads();
    sum += shared[(threadIdx.x + 1) % kThreads];
  }
  out[threadIdx.x] = sum;
}
__global__ void no_syncwarp_kernel(int* out) {
  __shared__ int shared[kThreads];
  shared[threadIdx.x] = static_cast<int>(threadIdx.x);
  out[threadIdx.x] = shared[threadIdx.x ^ 1u];
}
__global__ void blocks_talk_kernel(int* out) {
  if (threadIdx.x != 0) return;
  out[blockIdx.x] = blockIdx.x == 0 ? 7 : out[0] + 1;
}

TEST_F(Simt, MissingBarriersShow) {
  EXPECT_EQ(outcomes<int>(barrier_kernel, kThreads).size(), 1u) << "a correct kernel does not depend on the schedule";
  EXPECT_GT(outcomes<int>(no_barrier_kernel, kThreads).size(), 1u);
  EXPECT_GT(outcomes<int>(no_second_barrier_kernel, kThreads).size(), 1u);
  EXPECT_GT(outcomes<int>(no_syncwarp_kernel, kThreads).size(), 1u);
  EXPECT_GT(outcomes<int>(blocks_talk_kernel, 3, 3).size(), 1u) << "blocks of one launch have no order";
}

// ---------------------------------------------------------------- uninitialised memory: poison

__global__ void uninitialised_shared_kernel(int* out) {
  __shared__ int shared[kThreads + 1];
  shared[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = shared[threadIdx.x + 1];
}
__global__ void uninitialised_dynamic_kernel(int* out) { out[threadIdx.x] = gpu::dynamic_shared<int>()[0]; }
__global__ void stale_shared_kernel(int* out) {  // what an earlier block left is not to be relied on
  __shared__ int shared[kThreads];
  out[blockIdx.x * kThreads + threadIdx.x] = shared[threadIdx.x];
  shared[threadIdx.x] = 5;
}
__global__ void dropped_tail_kernel(int* out) {
  if (threadIdx.x < kThreads / 4 * 4 - 4) out[threadIdx.x] = 1;
}

TEST_F(Simt, UninitialisedMemoryShows) {
  EXPECT_GT(outcomes<int>(uninitialised_shared_kernel, kThreads).size(), 1u);
  EXPECT_GT(outcomes<int>(stale_shared_kernel, 2 * kThreads, 2).size(), 1u);
  EXPECT_GT(outcomes<int>(dropped_tail_kernel, kThreads).size(), 1u);
  std::set<int> seen;
  for (const simt::Config& schedule : simt::all_schedules()) {
    const simt::ScopedConfig scope(schedule);
    DeviceArray<int> out(kThreads);
    gpu::launch(uninitialised_dynamic_kernel, 1, kThreads, 16, stream(), out.data());
    seen.insert(out.values()[0]);
  }
  EXPECT_EQ(seen, (std::set<int>{-1, 0, 0x7B7B7B7B}));
}

TEST_F(Simt, TheHarnessNoticesADroppedTail) {
  const auto got = on_cuda([](const Context& ctx) {
    DeviceArray<int> out(kThreads);
    gpu::launch(dropped_tail_kernel, 1, kThreads, 0, gpu::stream(ctx), out.data());
    return out.values();
  });
  EXPECT_NE(got.back(), 1);
  EXPECT_EQ(got.front(), 1);
}

// ---------------------------------------------------------------- divergence: reports

__global__ void branch_barrier_kernel(int* out) {
  if (threadIdx.x < 40) __syncthreads();
  out[threadIdx.x] = 1;
}
__global__ void early_return_kernel(int* out) {
  if (threadIdx.x >= 40) return;
  __syncthreads();
  out[threadIdx.x] = 1;
}
__global__ void two_barriers_kernel(int* out) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  out[threadIdx.x] = 1;
}
__global__ void mask_without_caller_kernel(int* out) {
  out[threadIdx.x] = __shfl_xor_sync(0x0000FFFFu, static_cast<int>(threadIdx.x), 1);
}
__global__ void divergent_shuffle_kernel(int* out) {
  if (threadIdx.x % 2) {
    out[threadIdx.x] = __shfl_sync(gpu::kFullMask, 1, 0);
  } else {
    out[threadIdx.x] = __shfl_sync(gpu::kFullMask, 2, 0);
  }
}
__global__ void half_a_warp_kernel(int* out) {
  if (threadIdx.x % 32 < 16) __syncwarp();
  __syncthreads();
  out[threadIdx.x] = 1;
}
__global__ void trap_kernel(int* out) {
  if (out) __trap();
}

TEST_F(Simt, DivergenceIsReported) {
  expect_fault(branch_barrier_kernel, "barrier-divergence", "branch_barrier_kernel");
  expect_fault(early_return_kernel, "barrier-divergence", "exited");
  expect_fault(two_barriers_kernel, "barrier-divergence", "while others of its block wait at");
  expect_fault(mask_without_caller_kernel, "warp-mask", "does not name it");
  expect_fault(divergent_shuffle_kernel, "warp-divergence", "different collectives");
  expect_fault(half_a_warp_kernel, "deadlock", "wait in the warp collective");
  expect_fault(trap_kernel, "trap", "__trap()");
}

__global__ void inactive_source_kernel(int* out) {
  if (threadIdx.x % 32 == 31) return;
  out[threadIdx.x] = __shfl_down_sync(0x7FFFFFFFu, static_cast<int>(threadIdx.x), 1);
}

TEST_F(Simt, AShuffleFromAnInactiveLaneIsReported) {
  EXPECT_EQ(kinds([] { outcomes<int>(inactive_source_kernel, kThreads); }), std::set<std::string>{"shuffle-source"});
}

__global__ void spin_kernel(int* out) {
  while (*static_cast<volatile int*>(out + blockIdx.x) != 3) __nanosleep(20);
}

TEST_F(Simt, AnEndlessWaitIsReported) {
  DeviceArray<int> flags(2);
  gpu::launch(spin_kernel, 2, 32, 0, stream(), flags.data());
  EXPECT_EQ(cudaStreamSynchronize(stream()), cudaErrorLaunchFailure);
  const auto reports = simt::take_reports();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].kind, "livelock");
}

// ---------------------------------------------------------------- out of bounds: guard words, sanitizers

__global__ void write_past_end_kernel(float* out, int n) {
  if (static_cast<int>(threadIdx.x) <= n) out[threadIdx.x] = 1;
}

#if defined(HOURGLASS_SANITIZED)
__global__ void read_past_end_kernel(float* out, const float* x, int n) { out[threadIdx.x] = x[threadIdx.x + n - 31]; }
__global__ void dynamic_past_end_kernel(float* out) {
  gpu::dynamic_shared<float>()[threadIdx.x] = 1;
  out[threadIdx.x] = 1;
}
__global__ void shared_past_end_kernel(float* out, int width) {
  __shared__ float shared[2][32];
  shared[0][static_cast<int>(threadIdx.x) + width] = 1;
  __syncthreads();
  out[threadIdx.x] = shared[1][threadIdx.x];
}
__global__ void misaligned_kernel(float* out) { gpu::store4(out + 1 + 4 * threadIdx.x, gpu::Vec4{}); }

TEST_F(Simt, SanitizersFindAccessesOutOfBounds) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  DeviceArray<float> out(50), x(100);
  EXPECT_DEATH(gpu::launch(write_past_end_kernel, 1, kThreads, 0, stream(), out.data(), 50), "AddressSanitizer");
  EXPECT_DEATH(gpu::launch(read_past_end_kernel, 1, 32, 0, stream(), out.data(), x.data(), 100), "AddressSanitizer");
  EXPECT_DEATH(gpu::launch(dynamic_past_end_kernel, 1, 32, 31 * sizeof(float), stream(), out.data()),
               "AddressSanitizer");
  EXPECT_DEATH(gpu::launch(shared_past_end_kernel, 1, 32, 0, stream(), out.data(), 1), "out of bounds");
  EXPECT_DEATH(gpu::launch(misaligned_kernel, 1, 4, 0, stream(), out.data()), "misaligned");
  EXPECT_DEATH(
      {
        float* freed = nullptr;
        CUDA_CHECK(cudaMalloc(&freed, 400));
        CUDA_CHECK(cudaFree(freed));
        gpu::launch(write_past_end_kernel, 1, 32, 0, stream(), freed, 50);
      },
      "AddressSanitizer");
}
#else
TEST_F(Simt, GuardWordsFindWritesOutOfBounds) {
  EXPECT_NONFATAL_FAILURE(
      {
        DeviceArray<float> out(50);
        gpu::launch(write_past_end_kernel, 1, kThreads, 0, gpu::stream(cuda_context()), out.data(), 50);
      },
      "a kernel wrote 200 bytes from the start of a device array of 200 bytes");
}
#endif

}  // namespace
}  // namespace hourglass::test
