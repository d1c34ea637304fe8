// SPDX-License-Identifier: Apache-2.0
#include <cuda_profiler_api.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <vector>

#include "benchmarks/device.h"
#include "kernels/base/cuda_device.h"
#include "kernels/base/gpu.cuh"
#include "kernels/gemm.h"

namespace hourglass::bench {
namespace {

constexpr int kThreads = 256, kChains = 8;

/// Each thread copies every grid-th quad: what bandwidth a kernel without arithmetic reaches.
__global__ void __launch_bounds__(kThreads) copy_quads_kernel(int64_t quads, const float* from, float* to) {
  for (int64_t i = gpu::global_thread(); i < quads; i += gpu::grid_threads()) {
    gpu::store4(to + 4 * i, gpu::load4(from + 4 * i));
  }
}

/// Independent chains of fused multiply-adds in the registers of each thread.
__global__ void __launch_bounds__(kThreads) multiply_add_kernel(int steps, float scale, float shift, float* sums) {
  float acc[kChains];
#pragma unroll
  for (int chain = 0; chain < kChains; ++chain) acc[chain] = static_cast<float>(threadIdx.x + chain);
  for (int step = 0; step < steps; ++step) {
#pragma unroll
    for (int chain = 0; chain < kChains; ++chain) acc[chain] = fmaf(acc[chain], scale, shift);
  }
  float sum = 0;
#pragma unroll
  for (int chain = 0; chain < kChains; ++chain) sum += acc[chain];
  sums[gpu::global_thread()] = sum;
}

cudaDeviceProp properties() {
  cudaDeviceProp result = {};
  CUDA_CHECK(cudaGetDeviceProperties(&result, 0));
  return result;
}

std::shared_ptr<void> device_memory(size_t bytes) {
  void* data = cuda::allocate(bytes);
  if (!data) throw Error(Exit::kDevice, "benchmark: " + std::to_string(bytes) + " bytes of device memory are not free");
  return {data, [](void* p) { cuda::release(p); }};
}

/// Best of ten, after one that does not count.
double best_seconds(const Replay& replay) {
  double best = replay.seconds();
  for (int block = 0; block < (kEmulated ? 1 : 10); ++block) {
    const double seconds = replay.seconds();
    best = block == 0 ? seconds : std::min(best, seconds);
  }
  return best;
}

void multiply_adds(const Context& ctx, unsigned blocks, int steps, float* sums) {
  gpu::launch(multiply_add_kernel, blocks, kThreads, 0, gpu::stream(ctx), steps, 0.999f, 1e-3f, sums);
}

double multiply_add_peak() {
  const Context& ctx = device_context();
  const unsigned blocks = kEmulated ? 1 : static_cast<unsigned>(8 * properties().multiProcessorCount);
  const int steps = kEmulated ? 16 : 1 << 14;
  const auto sums = device_memory(size_t{blocks} * kThreads * sizeof(float));
  const Replay replay(1, [&](int) { multiply_adds(ctx, blocks, steps, static_cast<float*>(sums.get())); });
  return 2.0 * kChains * kThreads * blocks * steps / best_seconds(replay);
}

double tensor_peak() {
  const Context& ctx = device_context();
  const int n = kEmulated ? 32 : 8192;
  const size_t count = size_t(n) * static_cast<size_t>(n);
  std::vector<bf16> host(count);
  uint64_t state = 1;
  for (bf16& value : host) {  // never zeros: a product of zeros runs faster
    state = state * 6364136223846793005u + 1442695040888963407u;
    value = bf16(static_cast<float>(state >> 40) * 0x1p-23f - 1.0f);
  }
  const auto a = device_memory(count * sizeof(bf16)), b = device_memory(count * sizeof(bf16));
  const auto c = device_memory(count * sizeof(bf16));
  for (const auto& operand : {a, b}) {
    cuda::copy_to_device(ctx.stream, operand.get(), host.data(), count * sizeof(bf16));
    std::reverse(host.begin(), host.end());
  }
  const Replay replay(kEmulated ? 1 : 5, [&](int) {
    cuda::gemm(ctx, {n, n, n, false, true}, static_cast<const bf16*>(a.get()), static_cast<const bf16*>(b.get()),
               Grad<bf16>{static_cast<bf16*>(c.get())});
  });
  return 2.0 * n * n * n / best_seconds(replay);
}

void warm_up(const Context& ctx) {
  const unsigned blocks = static_cast<unsigned>(8 * properties().multiProcessorCount);
  const auto sums = device_memory(size_t{blocks} * kThreads * sizeof(float));
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(500)) {
    multiply_adds(ctx, blocks, 1 << 14, static_cast<float*>(sums.get()));
    CUDA_CHECK(cudaStreamSynchronize(gpu::stream(ctx)));
  }
}

}  // namespace

bool device_usable() {
  static const bool usable = cuda::probe(0).usable;
  return usable;
}
std::string device_description() { return cuda::probe(0).description; }
double device_l2_bytes() { return properties().l2CacheSize; }

const Context& device_context() {
  static const Context context = [] {
    Context ctx;
    ctx.device = Device::kCuda;
    ctx.stream = cuda::open_stream(0);
    ctx.workspace = cuda::allocate(kWorkspaceBytes);
    cuda::zero(ctx.stream, ctx.workspace, kWorkspaceBytes);
    if (!kEmulated) warm_up(ctx);
    return ctx;
  }();
  return context;
}

struct Replay::State {
  int calls = 1;
  cudaEvent_t start = nullptr, stop = nullptr;
  void* graph = nullptr;
};

Replay::Replay(int calls, const std::function<void(int)>& body) : state_(new State{calls}) {
  const Context& ctx = device_context();
  for (int call = 0; call < calls; ++call) body(call);
  CUDA_CHECK(cudaStreamSynchronize(gpu::stream(ctx)));
  cuda::begin_capture(ctx.stream);
  for (int call = 0; call < calls; ++call) body(call);
  int nodes = 0;
  state_->graph = cuda::end_capture(ctx.stream, &nodes);
  CUDA_CHECK(cudaEventCreate(&state_->start));
  CUDA_CHECK(cudaEventCreate(&state_->stop));
}

Replay::~Replay() {
  static_cast<void>(cudaEventDestroy(state_->start));
  static_cast<void>(cudaEventDestroy(state_->stop));
  cuda::destroy_graph(state_->graph);
}

double Replay::seconds() const {
  const Context& ctx = device_context();
  CUDA_CHECK(cudaEventRecord(state_->start, gpu::stream(ctx)));
  cuda::launch_graph(state_->graph, ctx.stream);
  CUDA_CHECK(cudaEventRecord(state_->stop, gpu::stream(ctx)));
  CUDA_CHECK(cudaEventSynchronize(state_->stop));
  float milliseconds = 0;
  CUDA_CHECK(cudaEventElapsedTime(&milliseconds, state_->start, state_->stop));
  return std::max(1e-9, 1e-3 * static_cast<double>(milliseconds) / state_->calls);
}

void profile_once(const std::function<void()>& body) {
  const cudaStream_t stream = gpu::stream(device_context());
  body();
  CUDA_CHECK(cudaStreamSynchronize(stream));
  CUDA_CHECK(cudaProfilerStart());
  body();
  CUDA_CHECK(cudaStreamSynchronize(stream));
  CUDA_CHECK(cudaProfilerStop());
}

int rotation(double bytes) {
  if (kEmulated || bytes < 4 << 20) return 1;
  return static_cast<int>(std::clamp(3 * device_l2_bytes() / bytes + 1, 2.0, 64.0));
}

double device_copy_bandwidth(double bytes) {
  static std::map<int64_t, double> known;
  int64_t half = 1 << 12;  // bytes read, a power of two
  while (static_cast<double>(2 * half) < bytes && half < (kEmulated ? 1 << 14 : 1 << 29)) half *= 2;
  double& bandwidth = known[half];
  if (bandwidth > 0) return bandwidth;
  const Context& ctx = device_context();
  const int sets = rotation(2 * static_cast<double>(half));
  std::vector<std::shared_ptr<void>> from, to;
  const std::vector<float> host(static_cast<size_t>(half) / sizeof(float), 0.7f);
  for (int set = 0; set < sets; ++set) {
    from.push_back(device_memory(static_cast<size_t>(half)));
    to.push_back(device_memory(static_cast<size_t>(half)));
    cuda::copy_to_device(ctx.stream, from.back().get(), host.data(), static_cast<size_t>(half));
  }
  const int64_t quads = half / 16;
  const unsigned most = static_cast<unsigned>(16 * properties().multiProcessorCount);
  const unsigned blocks = std::min(gpu::ceil_div(quads, kThreads), most);
  const Replay replay(kEmulated ? 1 : std::max(20, sets), [&](int call) {
    const auto set = static_cast<size_t>(call % sets);
    gpu::launch(copy_quads_kernel, blocks, kThreads, 0, gpu::stream(ctx), quads,
                static_cast<const float*>(from[set].get()), static_cast<float*>(to[set].get()));
  });
  return bandwidth = 2.0 * static_cast<double>(half) / best_seconds(replay);
}

double device_peak_flops(Dtype dtype) {
  static std::map<Dtype, double> known;
  double& peak = known[dtype];
  if (peak == 0) peak = dtype == Dtype::kBF16 ? tensor_peak() : multiply_add_peak();
  return peak;
}

}  // namespace hourglass::bench
