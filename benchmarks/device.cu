// SPDX-License-Identifier: Apache-2.0
#if __has_include(<cuda_profiler_api.h>)  // a package of its own
#include <cuda_profiler_api.h>
#define HOURGLASS_PROFILER_RANGE 1
#endif

#include <algorithm>
#include <array>
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
#pragma unroll 16
  for (int step = 0; step < steps; ++step) {
#pragma unroll
    for (int chain = 0; chain < kChains; ++chain) acc[chain] = fmaf(acc[chain], scale, shift);
  }
  float sum = 0;
#pragma unroll
  for (int chain = 0; chain < kChains; ++chain) sum += acc[chain];
  sums[gpu::global_thread()] = sum;
}

__global__ void __launch_bounds__(kThreads) fill_random_kernel(int64_t words, uint32_t* to) {
  for (int64_t i = gpu::global_thread(); i < words; i += gpu::grid_threads()) {
    uint32_t bits = static_cast<uint32_t>(i) * 2654435761u + 1;
    bits = (bits ^ bits >> 15) * 0x846ca68bu;
    bits ^= bits >> 16;
    to[i] = (bits & 0x807F807Fu) | 0x3F003F00u;
  }
}

cudaDeviceProp properties() {
  cudaDeviceProp result = {};
  CUDA_CHECK(cudaGetDeviceProperties(&result, 0));
  return result;
}

/// Best of ten, after one that does not count.
double best(const Rate& rate) {
  double most = rate();
  for (int block = 0; block < (kEmulated ? 1 : 10); ++block) {
    const double measured = rate();
    most = block == 0 ? measured : std::max(most, measured);
  }
  return most;
}

void multiply_adds(const Context& ctx, unsigned blocks, int steps, float* sums) {
  gpu::launch(multiply_add_kernel, blocks, kThreads, 0, gpu::stream(ctx), steps, 0.999f, 1e-3f, sums);
}

double multiply_add_peak() {
  const Context& ctx = device_context();
  const unsigned blocks = kEmulated ? 1 : static_cast<unsigned>(8 * properties().multiProcessorCount);
  const int steps = kEmulated ? 16 : 1 << 14;
  const auto sums = device_memory(ctx, size_t{blocks} * kThreads * sizeof(float));
  const Replay replay(1, [&](int) { multiply_adds(ctx, blocks, steps, static_cast<float*>(sums.get())); });
  return best([&] { return 2.0 * kChains * kThreads * blocks * steps / replay.seconds(); });
}

template <class T>
Rate product_rate(Math math) {
  const Context& ctx = device_context();
  const int n = kEmulated ? 32 : 8192;
  const size_t bytes = size_t(n) * static_cast<size_t>(n) * sizeof(T);
  const auto a = device_memory(ctx, bytes), b = device_memory(ctx, bytes), c = device_memory(ctx, bytes);
  for (const auto& operand : {a, b}) device_fill_random(operand.get(), static_cast<int64_t>(bytes));
  const auto replay = std::make_shared<Replay>(kEmulated ? 1 : 5, [&](int) {
    Context call = ctx;
    call.math = math;
    cuda::gemm(call, {n, n, n, false, true}, static_cast<const T*>(a.get()), static_cast<const T*>(b.get()),
               Grad<T>{static_cast<T*>(c.get())});
  });
  return [=, held = std::array{a, b, c}] { return 2.0 * n * n * n / replay->seconds(); };
}

void warm_up(const Context& ctx) {
  const unsigned blocks = static_cast<unsigned>(8 * properties().multiProcessorCount);
  const auto sums = device_memory(ctx, size_t{blocks} * kThreads * sizeof(float));
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
int device_multiprocessors() { return properties().multiProcessorCount; }
void require_hopper() {
  if (properties().major < 9) throw Error(Exit::kDevice, "needs compute capability 9.0");
}

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

std::shared_ptr<void> device_memory(const Context& ctx, size_t bytes) {
  void* data = cuda::allocate(bytes);
  if (!data) throw Error(Exit::kDevice, "benchmark: " + std::to_string(bytes) + " bytes of device memory are not free");
  cuda::zero(ctx.stream, data, bytes);
  return {data, [](void* p) { cuda::release(p); }};
}

unsigned read_word(const std::shared_ptr<void>& words, int index) {
  unsigned word = 0;
  cuda::copy_to_host(device_context().stream, &word, static_cast<unsigned*>(words.get()) + index, sizeof(word));
  return word;
}

struct Replay::State {
  int calls = 1;
  double seconds = 0;  ///< of the last launch
  cudaEvent_t start = nullptr, stop = nullptr;
  void* graph = nullptr;
};

Replay::Replay(int calls, const std::function<void(int)>& body) : state_(new State{calls}) {
  const Context& ctx = device_context();
  for (int call = 0; call < calls; ++call) body(call);
  CUDA_CHECK(cudaStreamSynchronize(gpu::stream(ctx)));
  cuda::begin_capture(ctx.stream);
  try {
    for (int call = 0; call < calls; ++call) body(call);
  } catch (...) {
    cuda::abandon_capture(ctx.stream);  // the next case needs the stream
    throw;
  }
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
  // The host puts a short graph after another one, so that the device does not wait for it between the two events.
  constexpr double kShort = 1e-3;
  if (state_->seconds < kShort) cuda::launch_graph(state_->graph, ctx.stream);
  CUDA_CHECK(cudaEventRecord(state_->start, gpu::stream(ctx)));
  cuda::launch_graph(state_->graph, ctx.stream);
  CUDA_CHECK(cudaEventRecord(state_->stop, gpu::stream(ctx)));
  CUDA_CHECK(cudaEventSynchronize(state_->stop));
  float milliseconds = 0;
  CUDA_CHECK(cudaEventElapsedTime(&milliseconds, state_->start, state_->stop));
  state_->seconds = 1e-3 * static_cast<double>(milliseconds);
  return std::max(1e-9, state_->seconds / state_->calls);
}

void profile_once(const std::function<void()>& body) {
  const cudaStream_t stream = gpu::stream(device_context());
  body();
  CUDA_CHECK(cudaStreamSynchronize(stream));
#if defined(HOURGLASS_PROFILER_RANGE)
  CUDA_CHECK(cudaProfilerStart());
#endif
  body();
  CUDA_CHECK(cudaStreamSynchronize(stream));
#if defined(HOURGLASS_PROFILER_RANGE)
  CUDA_CHECK(cudaProfilerStop());
#endif
}

int rotation(double bytes) {
  if (kEmulated || bytes < 4 << 20) return 1;
  return static_cast<int>(std::clamp(3 * device_l2_bytes() / bytes + 1, 2.0, 64.0));
}

void device_fill_random(void* data, int64_t bytes) {
  const int64_t words = bytes / 4;
  const unsigned blocks = std::min(gpu::ceil_div(words, kThreads), 1u << 12);
  gpu::launch(fill_random_kernel, blocks, kThreads, 0, gpu::stream(device_context()), words,
              static_cast<uint32_t*>(data));
}

Rate device_copy_rate(double bytes) {
  const Context& ctx = device_context();
  const auto half = static_cast<int64_t>(bytes / 2);
  const int sets = rotation(bytes);
  std::vector<std::shared_ptr<void>> from, to;
  for (int set = 0; set < sets; ++set) {
    from.push_back(device_memory(ctx, static_cast<size_t>(half)));
    to.push_back(device_memory(ctx, static_cast<size_t>(half)));
    device_fill_random(from.back().get(), half);
  }
  const int64_t quads = half / 16;
  const unsigned most = static_cast<unsigned>(16 * properties().multiProcessorCount);
  const unsigned blocks = std::min(gpu::ceil_div(quads, kThreads), most);
  const auto replay = std::make_shared<Replay>(kEmulated ? 1 : std::max(20, sets), [&](int call) {
    const auto set = static_cast<size_t>(call % sets);
    gpu::launch(copy_quads_kernel, blocks, kThreads, 0, gpu::stream(ctx), quads,
                static_cast<const float*>(from[set].get()), static_cast<float*>(to[set].get()));
  });
  return [=, held = std::array{from, to}] { return 2.0 * static_cast<double>(half) / replay->seconds(); };
}

Rate device_product_rate(Dtype dtype, Math math) {
  return dtype == Dtype::kBF16 ? product_rate<bf16>(math) : product_rate<float>(math);
}

double device_copy_bandwidth(double bytes) {
  static std::map<int64_t, double> known;
  int64_t half = 1 << 12;  // bytes read, a power of two
  while (static_cast<double>(2 * half) < bytes && half < (kEmulated ? 1 << 14 : 1 << 29)) half *= 2;
  double& bandwidth = known[half];
  if (bandwidth == 0) bandwidth = best(device_copy_rate(2.0 * static_cast<double>(half)));
  return bandwidth;
}

double device_peak_flops(Dtype dtype) {
  static std::map<Dtype, double> known;
  double& peak = known[dtype];
  if (peak == 0) peak = dtype == Dtype::kBF16 ? best(device_product_rate(dtype, Math::kFp32)) : multiply_add_peak();
  return peak;
}

}  // namespace hourglass::bench
