// SPDX-License-Identifier: Apache-2.0
// Planted bugs of code that calls the runtime.
#include <algorithm>

#include "tests/simt/planted/planted.h"

namespace hourglass::test {
namespace {

constexpr int kThreads = 64;

__global__ void copy_kernel(const float* x, float* y, int n) {
  const int i = static_cast<int>(gpu::global_thread());
  if (i < n) y[i] = x[i];
}

class Stream {
 public:
  Stream() { static_cast<void>(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { static_cast<void>(cudaStreamDestroy(stream_)); }
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

/// Host memory that copies read and write while the host goes on.
class Pinned {
 public:
  explicit Pinned(const Floats& values) : size_(values.size()) {
    static_cast<void>(cudaMallocHost(&data_, size_ * sizeof(float)));
    std::copy(values.begin(), values.end(), data_);
  }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  ~Pinned() { static_cast<void>(cudaFreeHost(data_)); }
  float* data() const { return data_; }
  Floats values() const { return {data_, data_ + size_}; }

 private:
  float* data_ = nullptr;
  size_t size_;
};

Outcome copy_too_long(bool planted) {
  const Floats host(40, 1);
  const Array<> y(32);
  const size_t n = planted ? 40 : 32;
  return {{}, {}, cudaMemcpy(y.data(), host.data(), n * sizeof(float), cudaMemcpyHostToDevice) != cudaSuccess};
}

Outcome copy_in_wrong_direction(bool planted) {
  Floats host(32, 1);
  const Array<> y(32);
  const auto kind = planted ? cudaMemcpyHostToDevice : cudaMemcpyDeviceToHost;
  return {{}, {}, cudaMemcpy(host.data(), y.data(), y.bytes(), kind) != cudaSuccess};
}

Outcome read_before_synchronise(bool planted) {
  const Stream stream;
  const Array<> x(ramp(kThreads)), y(kThreads);
  const Pinned host(Floats(kThreads, 0));
  gpu::launch(copy_kernel, 1, kThreads, 0, stream, x.data(), y.data(), kThreads);
  static_cast<void>(cudaMemcpyAsync(host.data(), y.data(), y.bytes(), cudaMemcpyDeviceToHost, stream));
  if (!planted) static_cast<void>(cudaStreamSynchronize(stream));
  const Floats got = host.values();
  static_cast<void>(cudaStreamSynchronize(stream));
  return {got, ramp(kThreads)};
}

Outcome missing_event(bool planted) {
  const Stream first, second;
  const Array<> x(ramp(kThreads)), between(Floats(kThreads, 0)), y(kThreads);
  cudaEvent_t done = nullptr;
  static_cast<void>(cudaEventCreate(&done));
  gpu::launch(copy_kernel, 1, kThreads, 0, first, x.data(), between.data(), kThreads);
  static_cast<void>(cudaEventRecord(done, first));
  if (!planted) static_cast<void>(cudaStreamWaitEvent(second, done));
  gpu::launch(copy_kernel, 1, kThreads, 0, second, between.data(), y.data(), kThreads);
  static_cast<void>(cudaStreamSynchronize(second));
  const Floats got = y.values();
  static_cast<void>(cudaEventDestroy(done));
  return {got, ramp(kThreads)};
}

Outcome buffer_refilled_too_early(bool planted) {
  const Stream stream;
  const Array<> x(kThreads);
  const Pinned host(ramp(kThreads));
  static_cast<void>(cudaMemcpyAsync(x.data(), host.data(), x.bytes(), cudaMemcpyHostToDevice, stream));
  if (!planted) static_cast<void>(cudaStreamSynchronize(stream));
  std::fill_n(host.data(), kThreads, -1.f);
  static_cast<void>(cudaStreamSynchronize(stream));
  return {x.values(), ramp(kThreads)};
}

Outcome input_on_its_way(bool planted) {
  const Stream stream;
  const Array<> x(Floats(kThreads, 0)), y(kThreads);
  const Floats input = ramp(kThreads);
  static_cast<void>(cudaMemcpy(x.data(), input.data(), x.bytes(), cudaMemcpyHostToDevice));
  if (!planted) static_cast<void>(cudaStreamSynchronize(nullptr));
  gpu::launch(copy_kernel, 1, kThreads, 0, stream, x.data(), y.data(), kThreads);
  static_cast<void>(cudaStreamSynchronize(stream));
  return {y.values(), input};
}

Outcome allocation_in_capture(bool planted) {
  const Stream stream;
  float* memory = nullptr;
  cudaGraph_t graph = nullptr;
  cudaError_t error = planted ? cudaSuccess : cudaMalloc(&memory, 4);
  static_cast<void>(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  if (planted) error = cudaMalloc(&memory, 4);
  static_cast<void>(cudaStreamEndCapture(stream, &graph));
  if (graph) static_cast<void>(cudaGraphDestroy(graph));
  if (memory) static_cast<void>(cudaFree(memory));
  return {{}, {}, error != cudaSuccess};
}

__global__ void fill_kernel(float* y) { y[threadIdx.x] = 1; }
Outcome too_much_shared(bool planted) {
  const Array<> y(32);
  gpu::launch(fill_kernel, 1, 32, planted ? 300 << 10 : 128, nullptr, y.data());
  return {y.values(), Floats(32, 1)};
}

}  // namespace

std::vector<PlantedBug> planted_host() {
  return {
      {"copy_too_long", "`cudaMemcpy` of more bytes than were allocated", "memcpy refused", "memcpy refused",
       "memcpy refused", copy_too_long},
      {"copy_in_wrong_direction", "`cudaMemcpyHostToDevice` from the device", "memcpy refused", "memcpy refused",
       "memcpy refused", copy_in_wrong_direction},
      {"read_before_synchronise", "the host reads a result before the stream has come to it", "wrong differs",
       "wrong differs", "wrong differs", read_before_synchronise},
      {"missing_event", "a stream reads what another one writes, with no event between", "wrong differs",
       "wrong differs", "wrong differs", missing_event},
      {"buffer_refilled_too_early", "a pinned buffer refilled before its copy has run", "wrong differs",
       "wrong differs", "wrong differs", buffer_refilled_too_early},
      {"input_on_its_way", "a non-blocking stream reads what `cudaMemcpy` has staged, and not yet brought",
       "wrong differs", "wrong differs", "wrong differs", input_on_its_way},
      {"allocation_in_capture", "`cudaMalloc` while a graph is captured", "refused", "refused", "refused",
       allocation_in_capture},
      {"too_much_shared", "300 KiB of dynamic shared memory", "refused", "refused", "refused", too_much_shared},
  };
}

}  // namespace hourglass::test
