// SPDX-License-Identifier: Apache-2.0
// Streams, events and graphs as the step graph needs them: a capture records and runs nothing, a replay repeats it, a
// fork and join keeps its order, and what a capture forbids fails and spoils it.
#include <vector>

#include "kernels/base/gpu.cuh"
#include "tests/cuda_harness.h"

namespace hourglass::test {
namespace {

/// x = a x + b: the order of two such kernels shows in the result.
__global__ void affine_kernel(int* x, int a, int b) { x[threadIdx.x] = x[threadIdx.x] * a + b; }

/// y += x.
__global__ void accumulate_kernel(int* y, const int* x) { y[threadIdx.x] += x[threadIdx.x]; }

class CudaGraph : public CudaTest {
 protected:
  static constexpr int kN = 32;

  void SetUp() override {
    CudaTest::SetUp();
    if (IsSkipped()) return;
    CUDA_CHECK(cudaStreamCreateWithFlags(&side_, cudaStreamNonBlocking));
    CUDA_CHECK(cudaEventCreateWithFlags(&fork_, cudaEventDisableTiming));
    CUDA_CHECK(cudaEventCreateWithFlags(&join_, cudaEventDisableTiming));
  }
  void TearDown() override {
    if (IsSkipped()) return;
    static_cast<void>(cudaGetLastError());
    CUDA_CHECK(cudaEventDestroy(fork_));
    CUDA_CHECK(cudaEventDestroy(join_));
    CUDA_CHECK(cudaStreamDestroy(side_));
  }

  static cudaStream_t main_stream() { return gpu::stream(cuda_context()); }
  void affine(cudaStream_t stream, int* x, int a, int b) { gpu::launch(affine_kernel, 1, kN, 0, stream, x, a, b); }
  void begin(cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal) {
    CUDA_CHECK(cudaStreamBeginCapture(main_stream(), mode));
  }
  static cudaGraph_t end() {
    cudaGraph_t graph = nullptr;
    CUDA_CHECK(cudaStreamEndCapture(main_stream(), &graph));
    return graph;
  }
  static void fork(cudaStream_t from, cudaStream_t to, cudaEvent_t event) {
    CUDA_CHECK(cudaEventRecord(event, from));
    CUDA_CHECK(cudaStreamWaitEvent(to, event, 0));
  }

  /// Instantiates the graph, launches it `times` times and frees it.
  static void replay(cudaGraph_t graph, int times) {
    cudaGraphExec_t executable = nullptr;
    CUDA_CHECK(cudaGraphInstantiate(&executable, graph, 0));
    CUDA_CHECK(cudaGraphDestroy(graph));
    for (int i = 0; i < times; ++i) CUDA_CHECK(cudaGraphLaunch(executable, main_stream()));
    cuda_synchronize();
    CUDA_CHECK(cudaGraphExecDestroy(executable));
  }

  /// What is done inside a capture must fail with `error`, the capture must end in `end_error` without a graph, and the
  /// stream must work afterwards.
  template <class F>
  void expect_forbidden(const char* what, F&& call, cudaError_t error, cudaError_t end_error) {
    SCOPED_TRACE(what);
    DeviceArray<int> x(std::vector<int>(kN, 1));
    begin();
    affine(main_stream(), x.data(), 1, 1);
    EXPECT_EQ(call(), error);
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(main_stream(), &graph), end_error);
    EXPECT_EQ(graph, nullptr);
    static_cast<void>(cudaGetLastError());
    affine(main_stream(), x.data(), 1, 10);
    EXPECT_EQ(x.values(), std::vector<int>(kN, 11)) << "the captured kernel did not run, the later one did";
  }

  cudaStream_t side_ = nullptr;
  cudaEvent_t fork_ = nullptr, join_ = nullptr;
};

TEST_F(CudaGraph, RecordsAndReplays) {
  const auto got = on_cuda([&](const Context&) {
    DeviceArray<int> x(std::vector<int>(kN, 1));
    begin();
    affine(main_stream(), x.data(), 2, 0);
    affine(main_stream(), x.data(), 1, 3);
    CUDA_CHECK(cudaMemsetAsync(x.data() + kN - 1, 0, sizeof(int), main_stream()));
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    CUDA_CHECK(cudaStreamIsCapturing(main_stream(), &status));
    EXPECT_EQ(status, cudaStreamCaptureStatusActive);
    const cudaGraph_t graph = end();
    EXPECT_EQ(x.values(), std::vector<int>(kN, 1)) << "a capture runs nothing";
    size_t nodes = 0;
    CUDA_CHECK(cudaGraphGetNodes(graph, nullptr, &nodes));
    EXPECT_EQ(nodes, 3u);
    std::vector<cudaGraphNode_t> handles(nodes);
    CUDA_CHECK(cudaGraphGetNodes(graph, handles.data(), &nodes));
    int kernels = 0;
    for (cudaGraphNode_t node : handles) {
      cudaGraphNodeType type;
      CUDA_CHECK(cudaGraphNodeGetType(node, &type));
      kernels += type == cudaGraphNodeTypeKernel;
    }
    EXPECT_EQ(kernels, 2);
    replay(graph, 3);
    return x.values();
  });
  std::vector<int> want(kN, 8 + 3 * 7);  // ((1 * 2 + 3) * 2 + 3) * 2 + 3
  want.back() = 0;
  EXPECT_EQ(got, want);
}

TEST_F(CudaGraph, KeepsTheOrderOfForkAndJoin) {
  const auto got = on_cuda([&](const Context&) {
    DeviceArray<int> x(std::vector<int>(kN, 1)), y(std::vector<int>(kN, 5));
    begin();
    affine(main_stream(), x.data(), 2, 0);  // x = 2
    fork(main_stream(), side_, fork_);
    gpu::launch(accumulate_kernel, 1, kN, 0, side_, y.data(), x.data());  // y += x, beside nothing that writes x
    fork(side_, main_stream(), join_);
    affine(main_stream(), x.data(), 1, 100);
    gpu::launch(accumulate_kernel, 1, kN, 0, main_stream(), x.data(), y.data());
    replay(end(), 2);
    return std::tuple(x.values(), y.values());
  });
  // First replay: x = 2, y = 7, x = 102 + 7 = 109. Second: x = 218, y = 225, x = 318 + 225.
  EXPECT_EQ(std::get<0>(got), std::vector<int>(kN, 543));
  EXPECT_EQ(std::get<1>(got), std::vector<int>(kN, 225));
}

TEST_F(CudaGraph, CopiesReadTheirSourcesAtReplay) {
  int* pinned = nullptr;
  CUDA_CHECK(cudaMallocHost(&pinned, kN * sizeof(int)));
  DeviceArray<int> x(kN), y(kN);
  std::fill_n(pinned, kN, 1);
  begin();
  CUDA_CHECK(cudaMemcpyAsync(x.data(), pinned, kN * sizeof(int), cudaMemcpyHostToDevice, main_stream()));
  CUDA_CHECK(cudaMemcpyAsync(y.data(), x.data(), kN * sizeof(int), cudaMemcpyDeviceToDevice, main_stream()));
  const cudaGraph_t graph = end();
  std::fill_n(pinned, kN, 2);
  replay(graph, 1);
  EXPECT_EQ(y.values(), std::vector<int>(kN, 2));
  CUDA_CHECK(cudaFreeHost(pinned));
}

TEST_F(CudaGraph, WhatACaptureForbidsSpoilsIt) {
  constexpr cudaError_t kUnsupported = cudaErrorStreamCaptureUnsupported;
  constexpr cudaError_t kInvalidated = cudaErrorStreamCaptureInvalidated;
  expect_forbidden(
      "allocate",
      [] {
        void* p = nullptr;
        return cudaMalloc(&p, 4);
      },
      kUnsupported, kInvalidated);
  expect_forbidden(
      "wait for the stream", [] { return cudaStreamSynchronize(main_stream()); }, kUnsupported, kInvalidated);
  expect_forbidden(
      "query the stream", [] { return cudaStreamQuery(main_stream()); }, kUnsupported, kInvalidated);
  expect_forbidden(
      "wait for the device", [] { return cudaDeviceSynchronize(); }, kUnsupported, kInvalidated);
  const auto captured_event = [this](cudaError_t (*call)(cudaEvent_t)) {
    CUDA_CHECK(cudaEventRecord(fork_, main_stream()));
    return call(fork_);
  };
  expect_forbidden(
      "wait for an event", [&] { return captured_event(cudaEventSynchronize); }, cudaErrorCapturedEvent, kInvalidated);
  expect_forbidden(
      "query an event", [&] { return captured_event(cudaEventQuery); }, cudaErrorCapturedEvent, kInvalidated);
}

TEST_F(CudaGraph, DependenceOnUncapturedWorkSpoilsIt) {
  CUDA_CHECK(cudaEventRecord(fork_, side_));
  expect_forbidden(
      "wait for uncaptured work", [&] { return cudaStreamWaitEvent(main_stream(), fork_, 0); },
      cudaErrorStreamCaptureIsolation, cudaErrorStreamCaptureInvalidated);
}

TEST_F(CudaGraph, AForkMustJoin) {
  DeviceArray<int> x(std::vector<int>(kN, 1));
  begin();
  affine(main_stream(), x.data(), 1, 1);
  fork(main_stream(), side_, fork_);
  affine(side_, x.data(), 1, 1);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(main_stream(), &graph), cudaErrorStreamCaptureUnjoined);
  EXPECT_EQ(graph, nullptr);
}

TEST_F(CudaGraph, TheDefaultStreamCannotBeCaptured) {
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal), cudaErrorStreamCaptureUnsupported);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(main_stream(), &graph), cudaErrorIllegalState) << "no capture began";
}

TEST_F(CudaGraph, EventsOrderStreams) {
  const auto got = on_cuda([&](const Context&) {
    DeviceArray<int> x(std::vector<int>(kN, 1));
    affine(main_stream(), x.data(), 2, 0);
    fork(main_stream(), side_, fork_);
    affine(side_, x.data(), 1, 3);
    fork(side_, main_stream(), join_);
    affine(main_stream(), x.data(), 10, 0);
    return x.values();
  });
  EXPECT_EQ(got, std::vector<int>(kN, 50));
}

TEST_F(CudaGraph, PollingEndsAndTimePasses) {
  cudaEvent_t start = nullptr, stop = nullptr;
  CUDA_CHECK(cudaEventCreate(&start));
  CUDA_CHECK(cudaEventCreate(&stop));
  DeviceArray<int> x(std::vector<int>(kN, 1));
  CUDA_CHECK(cudaEventRecord(start, main_stream()));
  for (int i = 0; i < 5; ++i) affine(main_stream(), x.data(), 1, 1);
  CUDA_CHECK(cudaEventRecord(stop, main_stream()));
  while (cudaEventQuery(stop) == cudaErrorNotReady) {
  }
  float milliseconds = -1;
  CUDA_CHECK(cudaEventElapsedTime(&milliseconds, start, stop));
  EXPECT_GE(milliseconds, 0.0f);
  EXPECT_EQ(x.values(), std::vector<int>(kN, 6));
  CUDA_CHECK(cudaEventDestroy(start));
  CUDA_CHECK(cudaEventDestroy(stop));
}

}  // namespace
}  // namespace hourglass::test
