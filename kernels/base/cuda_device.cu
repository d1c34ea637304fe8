// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>

#include "kernels/base/cuda_device.h"
#include "kernels/base/gpu.cuh"
#if __has_include(<nvtx3/nvToolsExt.h>)
#include <nvtx3/nvToolsExt.h>
#define HOURGLASS_NVTX 1
#endif

namespace hourglass::cuda {
namespace {

__global__ void image_probe_kernel() {}

cudaStream_t as_stream(void* stream) { return static_cast<cudaStream_t>(stream); }

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

/// Why a kernel of this build cannot run.
std::string problem_of(cudaError_t error) {
  switch (error) {
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
      return ": this build has no kernels for it";
    case cudaErrorUnsupportedPtxVersion:
      return ": the driver is too old to compile this build's kernels for it";
    default:
      return std::string(": it cannot be used: ") + cudaGetErrorString(error);
  }
}

/// Why there is no device, from the error of the first call.
void explain(cudaError_t error, Probe& probe) {
  int driver = 0, needed = 0;
  static_cast<void>(cudaDriverGetVersion(&driver));
  static_cast<void>(cudaRuntimeGetVersion(&needed));
  static_cast<void>(cudaGetLastError());
  if (error == cudaErrorInsufficientDriver && driver > 0) {
    probe.broken = true;
    probe.description =
        "the NVIDIA driver supports CUDA " + version_text(driver) + ", this build needs " + version_text(needed);
  } else if (error == cudaErrorInsufficientDriver) {
    probe.description = "no NVIDIA driver";
  } else if (error == cudaErrorNoDevice) {
    const char* const visible = std::getenv("CUDA_VISIBLE_DEVICES");
    probe.description = visible ? "no NVIDIA GPU with CUDA_VISIBLE_DEVICES=" + std::string(visible) : "no NVIDIA GPU";
  } else {
    probe.broken = true;
    probe.description = std::string("no usable NVIDIA GPU: ") + cudaGetErrorString(error);
  }
}

}  // namespace

Probe probe(int device) {
  Probe result;
#if defined(HOURGLASS_CUDA_EMULATED)
  result.emulated = true;
#endif
  if (const cudaError_t error = cudaGetDeviceCount(&result.count); error != cudaSuccess || result.count == 0) {
    result.count = 0;
    explain(error == cudaSuccess ? cudaErrorNoDevice : error, result);
    return result;
  }
  if (device < 0 || device >= result.count) {
    result.description =
        (result.count == 1 ? "there is 1 CUDA device" : "there are " + std::to_string(result.count) + " CUDA devices") +
        ", numbered from 0";
    return result;
  }
  cudaDeviceProp properties = {};
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, device); error != cudaSuccess) {
    explain(error, result);
    return result;
  }
  result.description = std::string(properties.name) + ", compute capability " + std::to_string(properties.major) + "." +
                       std::to_string(properties.minor);
  cudaFuncAttributes attributes = {};
  cudaError_t error = cudaSetDevice(device);
  if (error == cudaSuccess) {
    error = cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(image_probe_kernel));
  }
  static_cast<void>(cudaGetLastError());
  result.usable = error == cudaSuccess;
  if (!result.usable) result.description += problem_of(error);
  return result;
}

void* open_stream(int device) {
  CUDA_CHECK(cudaSetDevice(device));
  cudaStream_t stream = nullptr;
  CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return stream;
}

void close_stream(void* stream) noexcept { static_cast<void>(cudaStreamDestroy(as_stream(stream))); }

void* allocate(size_t bytes) {
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, bytes);
  if (error == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    return nullptr;
  }
  gpu::check(error, "cudaMalloc");
  return data;
}

void release(void* data) noexcept { static_cast<void>(cudaFree(data)); }

size_t available() {
  constexpr size_t kRoom = size_t{256} << 20;  // kernels, the library's and graphs are loaded at first use
  size_t free = 0, total = 0;
  CUDA_CHECK(cudaMemGetInfo(&free, &total));
  return free - std::min(free / 8, kRoom);
}

void copy_to_device(void* stream, void* to, const void* from, size_t bytes) {
  CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, as_stream(stream)));
  CUDA_CHECK(cudaStreamSynchronize(as_stream(stream)));
}

void copy_to_host(void* stream, void* to, const void* from, size_t bytes) {
  CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, as_stream(stream)));
  CUDA_CHECK(cudaStreamSynchronize(as_stream(stream)));
}

void zero(void* stream, void* data, size_t bytes) { CUDA_CHECK(cudaMemsetAsync(data, 0, bytes, as_stream(stream))); }

void* open_side_stream() {
  cudaStream_t stream = nullptr;
  CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return stream;
}

void* allocate_pinned(size_t bytes) {
  void* data = nullptr;
  const cudaError_t error = cudaHostAlloc(&data, bytes, cudaHostAllocDefault);
  if (error == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    return nullptr;
  }
  gpu::check(error, "cudaHostAlloc");
  return data;
}

void release_pinned(void* data) noexcept { static_cast<void>(cudaFreeHost(data)); }

void* make_event() {
  cudaEvent_t event = nullptr;
  CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return event;
}

void destroy_event(void* event) noexcept { static_cast<void>(cudaEventDestroy(static_cast<cudaEvent_t>(event))); }

void record_event(void* event, void* stream) {
  CUDA_CHECK(cudaEventRecord(static_cast<cudaEvent_t>(event), as_stream(stream)));
}

void wait_event(void* stream, void* event) {
  CUDA_CHECK(cudaStreamWaitEvent(as_stream(stream), static_cast<cudaEvent_t>(event), 0));
}

void synchronize_event(void* event) { CUDA_CHECK(cudaEventSynchronize(static_cast<cudaEvent_t>(event))); }

void* make_timer() {
  cudaEvent_t event = nullptr;
  CUDA_CHECK(cudaEventCreate(&event));
  return event;
}

double seconds_between(void* first, void* second) {
  float milliseconds = 0;
  CUDA_CHECK(cudaEventElapsedTime(&milliseconds, static_cast<cudaEvent_t>(first), static_cast<cudaEvent_t>(second)));
  return milliseconds * 1e-3;
}

void copy_ahead(void* stream, void* to, const void* from, size_t bytes) {
  CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, as_stream(stream)));
}

void begin_range([[maybe_unused]] const char* name) noexcept {
#if defined(HOURGLASS_NVTX)
  nvtxRangePushA(name);
#endif
}

void end_range() noexcept {
#if defined(HOURGLASS_NVTX)
  nvtxRangePop();
#endif
}

void begin_capture(void* stream) {
  CUDA_CHECK(cudaStreamBeginCapture(as_stream(stream), cudaStreamCaptureModeThreadLocal));
}

void* end_capture(void* stream, int* nodes) {
  cudaGraph_t graph = nullptr;
  CUDA_CHECK(cudaStreamEndCapture(as_stream(stream), &graph));
  size_t count = 0;
  cudaGraphExec_t executable = nullptr;
  cudaError_t error = cudaGraphGetNodes(graph, nullptr, &count);
  if (error == cudaSuccess) error = cudaGraphInstantiate(&executable, graph, 0);
  static_cast<void>(cudaGraphDestroy(graph));
  gpu::check(error, "cudaGraphInstantiate");
  *nodes = static_cast<int>(count);
  return executable;
}

void launch_graph(void* graph, void* stream) {
  CUDA_CHECK(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), as_stream(stream)));
}

void destroy_graph(void* graph) noexcept {
  static_cast<void>(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)));
}

void abandon_capture(void* stream) noexcept {
  cudaGraph_t graph = nullptr;
  if (cudaStreamEndCapture(as_stream(stream), &graph) == cudaSuccess && graph) {
    static_cast<void>(cudaGraphDestroy(graph));
  }
  static_cast<void>(cudaGetLastError());
}

}  // namespace hourglass::cuda
