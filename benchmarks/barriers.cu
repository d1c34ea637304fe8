// SPDX-License-Identifier: Apache-2.0
// What a kernel pays where its blocks meet: barriers of the grid and of clusters, and a word's way from one
// multiprocessor to another. The emulator runs blocks one after another, so that it has none of these.
#include "benchmarks/device_cases.h"

#if defined(__CUDACC__)
#include <algorithm>
#include <memory>

#include "benchmarks/device.h"
#include "kernels/base/cuda_device.h"
#include "kernels/base/grid_barrier.cuh"

namespace hourglass::bench {
namespace {

// ---------------------------------------------------------------- words that blocks wait for

#if __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ >= 1208
__device__ __forceinline__ unsigned load_relaxed(const unsigned* p) {
  return __nv_atomic_load_n(const_cast<unsigned*>(p), __NV_ATOMIC_RELAXED, __NV_THREAD_SCOPE_DEVICE);
}
__device__ __forceinline__ unsigned load_acquire(const unsigned* p) {
  return __nv_atomic_load_n(const_cast<unsigned*>(p), __NV_ATOMIC_ACQUIRE, __NV_THREAD_SCOPE_DEVICE);
}
__device__ __forceinline__ void store_relaxed(unsigned* p, unsigned value) {
  __nv_atomic_store_n(p, value, __NV_ATOMIC_RELAXED, __NV_THREAD_SCOPE_DEVICE);
}
__device__ __forceinline__ void store_release(unsigned* p, unsigned value) {
  __nv_atomic_store_n(p, value, __NV_ATOMIC_RELEASE, __NV_THREAD_SCOPE_DEVICE);
}
__device__ __forceinline__ void add_release(unsigned* p) {
  __nv_atomic_fetch_add(p, 1u, __NV_ATOMIC_RELEASE, __NV_THREAD_SCOPE_DEVICE);
}
#else  // nvcc 12.4 to 12.7: volatile words and whole fences
__device__ __forceinline__ unsigned load_relaxed(const unsigned* p) {
  return *static_cast<const volatile unsigned*>(p);
}
__device__ __forceinline__ unsigned load_acquire(const unsigned* p) {
  const unsigned value = load_relaxed(p);
  __threadfence();
  return value;
}
__device__ __forceinline__ void store_relaxed(unsigned* p, unsigned value) {
  *static_cast<volatile unsigned*>(p) = value;
}
__device__ __forceinline__ void store_release(unsigned* p, unsigned value) {
  __threadfence();
  store_relaxed(p, value);
}
__device__ __forceinline__ void add_release(unsigned* p) {
  __threadfence();
  atomicAdd(p, 1u);
}
#endif

/// Waits until the word has reached `target`; false after about a second, so that a mistake does not hang the device.
template <bool kAcquire>
__device__ __forceinline__ bool wait_for(const unsigned* word, unsigned target) {
  for (int poll = 0; poll < 1 << 21; ++poll) {
    if ((kAcquire ? load_acquire(word) : load_relaxed(word)) >= target) return true;
  }
  return false;
}

// ---------------------------------------------------------------- barriers of the grid

constexpr int kThreads = 256, kRounds = 1000;
constexpr unsigned kWordStride = 8;  // words of different blocks lie in different sectors

/// One ticket for all: what is written before is fenced by __threadfence, which nvcc makes a fence of sequential
/// consistency (MEMBAR.SC), or by the release of the ticket itself (MEMBAR.ALL).
template <bool kFence>
struct Ticket {
  static __device__ __forceinline__ bool wait(unsigned* words, unsigned round, unsigned) {
    __syncthreads();
    bool arrived = true;
    if (threadIdx.x == 0) {
      if constexpr (kFence) {
        __threadfence();
        atomicAdd(words, 1u);
      } else {
        add_release(words);
      }
      arrived = wait_for<!kFence>(words, round * gridDim.x);
      if constexpr (kFence) __threadfence();
    }
    return __syncthreads_and(arrived);
  }
};

/// What our own kernels call: kernels/base/grid_barrier.cuh.
struct House {
  static __device__ __forceinline__ bool wait(unsigned* words, unsigned, unsigned) {
    gpu::grid_barrier(words);
    return true;
  }
};

/// A counter for each block and round, which the `signals` blocks before it (all: a barrier of the grid) add to.
struct Counters {
  static __device__ __forceinline__ bool wait(unsigned* words, unsigned round, unsigned signals) {
    unsigned* const counters = words + size_t{round - 1} * gridDim.x * kWordStride;
    __syncthreads();
    for (unsigned i = threadIdx.x; i < signals; i += blockDim.x) {
      add_release(counters + (blockIdx.x + 1 + i) % gridDim.x * kWordStride);
    }
    bool arrived = true;
    if (threadIdx.x == 0) arrived = wait_for<true>(counters + blockIdx.x * kWordStride, signals);
    return __syncthreads_and(arrived);
  }
};

/// A word for each block that it alone writes, and all read: no atomics.
struct Flags {
  static __device__ __forceinline__ bool wait(unsigned* words, unsigned round, unsigned) {
    __syncthreads();
    if (threadIdx.x == 0) store_release(words + blockIdx.x * kWordStride, round);
    bool arrived = true;
    for (unsigned i = threadIdx.x; i < gridDim.x && arrived; i += blockDim.x) {
      arrived = wait_for<true>(words + i * kWordStride, round);
    }
    return __syncthreads_and(arrived);
  }
};

/// With kCheck each block leaves a word before a barrier and reads its neighbour's behind it. bad[0] counts the stale,
/// bad[1] the blocks that gave up.
template <class Barrier, bool kCheck>
__global__ void __launch_bounds__(kThreads)
    grid_barrier_kernel(unsigned rounds, unsigned signals, unsigned* words, unsigned* left, unsigned* bad) {
  const unsigned neighbour = (blockIdx.x + gridDim.x - 1) % gridDim.x;
  for (unsigned round = 1; round <= rounds; ++round) {
    if (kCheck && threadIdx.x == 1) __stcg(left + blockIdx.x, round);
    if (!Barrier::wait(words, round, signals)) {
      if (threadIdx.x == 0) atomicAdd(bad + 1, 1u);
      return;
    }
    if (kCheck && threadIdx.x == 2 && __ldcg(left + neighbour) < round) atomicAdd(bad, 1u);
  }
}

/// A block on every multiprocessor, and no second one.
constexpr size_t kWholeMultiprocessor = size_t{120} << 10;

template <class Barrier>
std::function<Sample()> grid_barrier(unsigned signals) {
  const auto blocks = static_cast<unsigned>(device_multiprocessors());
  signals = std::min(signals, blocks);
  const size_t word_bytes = size_t{kRounds} * blocks * kWordStride * sizeof(unsigned);
  const auto words = device_memory(device_context(), word_bytes),
             left = device_memory(device_context(), blocks * sizeof(unsigned));
  const auto bad = device_memory(device_context(), 2 * sizeof(unsigned));
  const auto launch = [=](auto kernel) {
    cuda::zero(device_context().stream, words.get(), word_bytes);
    gpu::launch_cooperative(kernel, blocks, kThreads, kWholeMultiprocessor, gpu::stream(device_context()),
                            unsigned{kRounds}, signals, static_cast<unsigned*>(words.get()),
                            static_cast<unsigned*>(left.get()), static_cast<unsigned*>(bad.get()));
  };
  const auto verify = [=] {
    const unsigned stale = read_word(bad, 0), stuck = read_word(bad, 1);
    if (stuck) throw Error(Exit::kInternal, std::to_string(stuck) + " blocks waited a second at a barrier");
    if (stale) throw Error(Exit::kInternal, std::to_string(stale) + " words were stale behind a barrier");
  };
  launch(grid_barrier_kernel<Barrier, true>);
  verify();
  const auto replay = std::make_shared<Replay>(1, [=](int) { launch(grid_barrier_kernel<Barrier, false>); });
  return [=, held = launch] {  // the graph keeps addresses, not the memory
    const Sample sample{replay->seconds() / kRounds};
    verify();
    return sample;
  };
}

// ---------------------------------------------------------------- barriers of clusters

/// kRelease: what was written before the barrier is seen behind it; else nothing is.
template <bool kRelease>
__global__ void __launch_bounds__(kThreads) cluster_barrier_kernel(int rounds) {
#if __CUDA_ARCH__ >= 900
  for (int round = 0; round < rounds; ++round) {
    if constexpr (kRelease) {
      __cluster_barrier_arrive();
    } else {
      __cluster_barrier_arrive_relaxed();
    }
    __cluster_barrier_wait();
  }
#endif
}

template <bool kRelease>
std::function<Sample()> cluster_barrier(unsigned size) {
  require_hopper();
  const auto kernel = cluster_barrier_kernel<kRelease>;
  const void* const address = reinterpret_cast<const void*>(kernel);
  if (size > 8) CUDA_CHECK(cudaFuncSetAttribute(address, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
  CUDA_CHECK(cudaFuncSetAttribute(address, cudaFuncAttributeMaxDynamicSharedMemorySize, int{kWholeMultiprocessor}));
  cudaLaunchAttribute cluster = {};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim.x = size;
  cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(size);
  config.blockDim = dim3(kThreads);
  config.dynamicSmemBytes = kWholeMultiprocessor;
  config.attrs = &cluster;
  config.numAttrs = 1;
  int clusters = 0;
  CUDA_CHECK(cudaOccupancyMaxActiveClusters(&clusters, kernel, &config));
  if (clusters < 1) throw Error(Exit::kDevice, "no cluster of " + std::to_string(size) + " blocks fits this device");
  const auto blocks = size * static_cast<unsigned>(clusters);
  const auto replay = std::make_shared<Replay>(1, [=](int) mutable {
    gpu::launch_with(&cluster, 1, kernel, blocks, kThreads, kWholeMultiprocessor, gpu::stream(device_context()),
                     int{kRounds});
  });
  return [=] { return Sample{replay->seconds() / kRounds, {{"clusters", clusters}}}; };
}

// ---------------------------------------------------------------- from one multiprocessor to another

constexpr int kThrows = 500;

/// Block 0 and block `partner` throw a number to and fro; all others leave at once.
template <bool kOrdered>
__global__ void throw_kernel(unsigned partner, unsigned* words, unsigned* bad) {
  if (threadIdx.x > 0 || (blockIdx.x != 0 && blockIdx.x != partner)) return;
  const bool first = blockIdx.x == 0;
  unsigned* const mine = words + (first ? 0 : 64);
  const unsigned* const theirs = words + (first ? 64 : 0);
  bool there = true;
  for (unsigned round = 1; round <= kThrows && there; ++round) {
    if (!first) there = wait_for<kOrdered>(theirs, round);
    if constexpr (kOrdered) {
      store_release(mine, round);
    } else {
      store_relaxed(mine, round);
    }
    if (first) there = wait_for<kOrdered>(theirs, round);
  }
  if (!there) atomicAdd(bad, 1u);
}

/// Another partner at each call, so that near and far multiprocessors count.
template <bool kOrdered>
std::function<Sample()> one_way() {
  const auto blocks = static_cast<unsigned>(device_multiprocessors());
  const auto words = device_memory(device_context(), 128 * sizeof(unsigned)),
             bad = device_memory(device_context(), sizeof(unsigned));
  const auto calls = std::make_shared<unsigned>(0);
  return [=] {
    const unsigned partner = 1 + *calls * 37 % (blocks - 1);
    *calls += 1;
    const Replay replay(1, [=](int) {
      cuda::zero(device_context().stream, words.get(), 128 * sizeof(unsigned));
      gpu::launch_cooperative(throw_kernel<kOrdered>, blocks, 32, kWholeMultiprocessor, gpu::stream(device_context()),
                              partner, static_cast<unsigned*>(words.get()), static_cast<unsigned*>(bad.get()));
    });
    const Sample sample{replay.seconds() / (2 * kThrows)};
    if (read_word(bad)) throw Error(Exit::kDevice, "a block waited a second for another one's word");
    return sample;
  };
}

}  // namespace

std::vector<DeviceCase> barrier_cases() {
  const auto all = static_cast<unsigned>(device_multiprocessors());
  std::vector<DeviceCase> cases;
  const auto add = [&cases](const char* op, const char* technique, const std::string& shape, auto prepare) {
    cases.push_back({op, technique, shape, "none", prepare});
  };
  add("grid_barrier", "kernels", "all", [=] { return grid_barrier<House>(all); });
  add("grid_barrier", "ticket-fence", "all", [=] { return grid_barrier<Ticket<true>>(all); });
  add("grid_barrier", "ticket-release", "all", [=] { return grid_barrier<Ticket<false>>(all); });
  add("grid_barrier", "flags", "all", [=] { return grid_barrier<Flags>(all); });
  add("grid_barrier", "counters", "all", [=] { return grid_barrier<Counters>(all); });
  add("grid_barrier", "counters", "16-producers", [=] { return grid_barrier<Counters>(16); });
  for (const unsigned size : {2u, 4u, 8u, 16u}) {
    const std::string shape = std::to_string(size);
    add("cluster_barrier", "release", shape, [=] { return cluster_barrier<true>(size); });
    add("cluster_barrier", "relaxed", shape, [=] { return cluster_barrier<false>(size); });
  }
  add("one_way", "relaxed", "2", [] { return one_way<false>(); });
  add("one_way", "release-acquire", "2", [] { return one_way<true>(); });
  return cases;
}

}  // namespace hourglass::bench

#else

std::vector<hourglass::bench::DeviceCase> hourglass::bench::barrier_cases() { return {}; }

#endif
