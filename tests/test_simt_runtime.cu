// SPDX-License-Identifier: Apache-2.0
// The emulated CUDA runtime: it finds callers that copy, wait or capture wrongly, runs out of memory as a card does,
// and counts and records launches. What kernels do wrong: test_simt.cu.
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "kernels/base/gpu.cuh"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

constexpr int kThreads = 64;

class SimtRuntime : public CudaTest {
 protected:
  void TearDown() override { static_cast<void>(simt::take_reports()); }
  static cudaStream_t stream() { return gpu::stream(cuda_context()); }

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

TEST_F(SimtRuntime, CopiesAreChecked) {
  DeviceArray<int> x(8);
  std::vector<int> host(64);
  const auto kind_of = [&](const std::function<cudaError_t()>& copy) {
    return kinds([&] { EXPECT_EQ(copy(), cudaErrorInvalidValue); });
  };
  const std::set<std::string> memcpy_report = {"memcpy"}, memset_report = {"memset"};
  EXPECT_EQ(kind_of([&] { return cudaMemcpy(host.data(), x.data(), 4, cudaMemcpyHostToDevice); }), memcpy_report);
  EXPECT_EQ(kind_of([&] { return cudaMemcpy(x.data() + 4, host.data(), 4096, cudaMemcpyHostToDevice); }),
            memcpy_report);
  EXPECT_EQ(kind_of([&] { return cudaMemset(host.data(), 0, 4); }), memset_report);
  EXPECT_EQ(kinds([&] { EXPECT_EQ(cudaFree(host.data()), cudaErrorInvalidValue); }), std::set<std::string>{"free"});
}

__global__ void set_kernel(int* out) { out[threadIdx.x] = 9; }

TEST_F(SimtRuntime, ReadingTooEarlyShowsUnderLazyStreams) {
  int* pinned = nullptr;
  CUDA_CHECK(cudaMallocHost(&pinned, kThreads * sizeof(int)));
  std::set<int> seen;
  for (const simt::Config& schedule : simt::all_schedules()) {
    const simt::ScopedConfig scope(schedule);
    DeviceArray<int> out(kThreads);
    pinned[0] = 1;
    gpu::launch(set_kernel, 1, kThreads, 0, stream(), out.data());
    CUDA_CHECK(cudaMemcpyAsync(pinned, out.data(), sizeof(int), cudaMemcpyDeviceToHost, stream()));
    seen.insert(pinned[0]);  // without a wait
    cuda_synchronize();
    EXPECT_EQ(pinned[0], 9);
  }
  EXPECT_EQ(seen, (std::set<int>{1, 9}));
  CUDA_CHECK(cudaFreeHost(pinned));
}

TEST_F(SimtRuntime, AMissingEventShowsInReplay) {
  std::set<int> seen;
  for (const simt::Config& schedule : simt::all_schedules()) {
    const simt::ScopedConfig scope(schedule);
    DeviceArray<int> x(std::vector<int>(kThreads, 1));
    cudaStream_t side = nullptr;
    cudaEvent_t event = nullptr;
    CUDA_CHECK(cudaStreamCreateWithFlags(&side, cudaStreamNonBlocking));
    CUDA_CHECK(cudaEventCreate(&event));
    CUDA_CHECK(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeGlobal));
    CUDA_CHECK(cudaEventRecord(event, stream()));
    CUDA_CHECK(cudaStreamWaitEvent(side, event));
    gpu::launch(set_kernel, 1, kThreads, 0, stream(), x.data());
    CUDA_CHECK(cudaMemsetAsync(x.data(), 0, sizeof(int), side));  // no event says before or after set_kernel
    CUDA_CHECK(cudaEventRecord(event, side));
    CUDA_CHECK(cudaStreamWaitEvent(stream(), event));
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    CUDA_CHECK(cudaStreamEndCapture(stream(), &graph));
    CUDA_CHECK(cudaGraphInstantiate(&executable, graph));
    CUDA_CHECK(cudaGraphLaunch(executable, stream()));
    seen.insert(x.values()[0]);
    CUDA_CHECK(cudaGraphExecDestroy(executable));
    CUDA_CHECK(cudaGraphDestroy(graph));
    CUDA_CHECK(cudaEventDestroy(event));
    CUDA_CHECK(cudaStreamDestroy(side));
  }
  EXPECT_EQ(seen, (std::set<int>{0, 9}));
}

TEST_F(SimtRuntime, ACaptureRefusesPageableMemory) {
  DeviceArray<int> x(kThreads);
  int host = 0;
  for (const bool to_device : {true, false}) {
    CUDA_CHECK(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeGlobal));
    EXPECT_EQ(to_device ? cudaMemcpyAsync(x.data(), &host, sizeof host, cudaMemcpyHostToDevice, stream())
                        : cudaMemcpyAsync(&host, x.data(), sizeof host, cudaMemcpyDeviceToHost, stream()),
              cudaErrorStreamCaptureUnsupported);
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream(), &graph), cudaErrorStreamCaptureInvalidated);
  }
}

TEST_F(SimtRuntime, MemoryRunsOut) {
  simt::Config small = simt::config();
  small.device_bytes = static_cast<size_t>(simt::counters().live_bytes) + 1000;
  const simt::ScopedConfig scope(small);
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, 1001), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&memory, 1000), cudaSuccess);
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
}

TEST_F(SimtRuntime, LaunchesAreCountedAndRecorded) {
  DeviceArray<int> x(kThreads);
  cuda_synchronize();  // the context's own allocations are made
  simt::record_launches(true);
  const simt::Counters before = simt::counters();
  gpu::launch(set_kernel, 1, kThreads, 0, stream(), x.data());
  CUDA_CHECK(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeGlobal));
  gpu::launch(set_kernel, 1, kThreads, 0, stream(), x.data());
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  CUDA_CHECK(cudaStreamEndCapture(stream(), &graph));
  CUDA_CHECK(cudaGraphInstantiate(&executable, graph));
  CUDA_CHECK(cudaGraphLaunch(executable, stream()));
  CUDA_CHECK(cudaGraphLaunch(executable, stream()));
  cuda_synchronize();
  simt::record_launches(false);
  const std::vector<simt::LaunchRecord> records = simt::take_launches();
  EXPECT_EQ(simt::counters().api_launches - before.api_launches, 2);
  EXPECT_EQ(simt::counters().launches - before.launches, 3);
  EXPECT_EQ(simt::counters().graph_launches - before.graph_launches, 2);
  EXPECT_EQ(simt::counters().allocations, before.allocations);
  EXPECT_EQ(simt::counters().synchronizations - before.synchronizations, 1);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0], records[1]) << "the same launch, eager and captured";
  EXPECT_NE(records[0].kernel.find("set_kernel"), std::string::npos);
  CUDA_CHECK(cudaGraphExecDestroy(executable));
  CUDA_CHECK(cudaGraphDestroy(graph));
}

}  // namespace
}  // namespace hourglass::test
