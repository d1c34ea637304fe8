// SPDX-License-Identifier: Apache-2.0
// What a step pays between one launch and the next.
#include <memory>

#include "benchmarks/device.h"
#include "benchmarks/device_cases.h"
#include "kernels/base/cuda_device.h"
#include "kernels/base/gpu.cuh"

namespace hourglass::bench {
namespace {

__global__ void empty_kernel() {}

/// Adds one to what the launch before has left, so that a launch that began too early shows.
__global__ void count_kernel(unsigned* count) {
  if (gpu::global_thread() == 0) *count += 1;
}

constexpr int kLaunches = 500;

std::function<Sample()> stream_gap(unsigned blocks, unsigned threads) {
  const std::shared_ptr<void> first(cuda::make_timer(), [](void* event) { cuda::destroy_event(event); });
  const std::shared_ptr<void> last(cuda::make_timer(), [](void* event) { cuda::destroy_event(event); });
  return [=] {
    const Context& ctx = device_context();
    const int launches = kEmulated ? 2 : kLaunches;
    cuda::record_event(first.get(), ctx.stream);
    for (int i = 0; i < launches; ++i) gpu::launch(empty_kernel, blocks, threads, 0, gpu::stream(ctx));
    cuda::record_event(last.get(), ctx.stream);
    cuda::synchronize_event(last.get());
    return Sample{cuda::seconds_between(first.get(), last.get()) / launches};
  };
}

template <class... Parameters, class... Arguments>
std::function<Sample()> graph_gap(std::vector<cudaLaunchAttribute> attributes, void (*kernel)(Parameters...),
                                  unsigned blocks, unsigned threads, Arguments... arguments) {
  const auto replay = std::make_shared<Replay>(kEmulated ? 2 : kLaunches, [=](int) mutable {
    gpu::launch_with(attributes.data(), static_cast<unsigned>(attributes.size()), kernel, blocks, threads, 0,
                     gpu::stream(device_context()), arguments...);
  });
  return [=] { return Sample{replay->seconds()}; };
}

/// A graph of counting launches; throws if a count was lost.
std::function<Sample()> counted_gap(const std::vector<cudaLaunchAttribute>& attributes, void (*kernel)(unsigned*),
                                    unsigned blocks, unsigned threads) {
  const auto count = device_memory(device_context(), sizeof(unsigned));
  const auto gap = graph_gap(attributes, kernel, blocks, threads, static_cast<unsigned*>(count.get()));
  return [=] {
    const unsigned before = read_word(count);
    const Sample sample = gap();
    const unsigned counted = read_word(count) - before;
    if (counted == 0 || counted % (kEmulated ? 2 : kLaunches) != 0) {  // a short graph runs twice
      throw Error(Exit::kInternal, "launches that depend on each other counted to " + std::to_string(counted));
    }
    return sample;
  };
}

#if defined(__CUDACC__)
/// The launch after this one may begin at once, and waits for this one's end where it needs what it wrote.
__device__ __forceinline__ void let_the_next_begin() {
#if __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion();
  cudaGridDependencySynchronize();
#endif
}
__global__ void empty_overlapping_kernel() { let_the_next_begin(); }
__global__ void count_overlapping_kernel(unsigned* count) {
  let_the_next_begin();
  if (gpu::global_thread() == 0) *count += 1;
}

cudaLaunchAttribute programmatic() {
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  return attribute;
}
#endif

}  // namespace

std::vector<DeviceCase> launch_cases() {
  const auto all = static_cast<unsigned>(kEmulated ? 2 : device_multiprocessors());
  std::vector<DeviceCase> cases;
  const auto add = [&cases](const char* op, const char* technique, const std::string& shape, auto prepare) {
    cases.push_back({op, technique, shape, "none", prepare});
  };
  for (const auto& [blocks, threads, shape] : {std::tuple{1u, 32u, "1x32"}, std::tuple{all, 256u, "all-x256"}}) {
    const unsigned b = blocks, t = threads;  // clang and C++20 differ on captured bindings
    add("launch_gap", "stream", shape, [=] { return stream_gap(b, t); });
    add("launch_gap", "graph", shape, [=] { return graph_gap({}, empty_kernel, b, t); });
    add("launch_gap", "graph-counted", shape, [=] { return counted_gap({}, count_kernel, b, t); });
#if defined(__CUDACC__)
    add("launch_gap", "graph-programmatic", shape, [=] {
      require_hopper();
      return graph_gap({programmatic()}, empty_overlapping_kernel, b, t);
    });
    add("launch_gap", "graph-programmatic-counted", shape, [=] {
      require_hopper();
      return counted_gap({programmatic()}, count_overlapping_kernel, b, t);
    });
#endif
  }
  return cases;
}

}  // namespace hourglass::bench
