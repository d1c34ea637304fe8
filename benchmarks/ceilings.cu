// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>

#include "benchmarks/device.h"
#include "benchmarks/device_cases.h"
#include "benchmarks/device_loops.cuh"
#include "kernels/base/cuda_device.h"

namespace hourglass::bench {
namespace {

/// One block fills a multiprocessor: 8 warps for each of its schedulers.
constexpr int kThreads = 1024;

__device__ __forceinline__ int64_t clock_now() {
#if defined(__CUDACC__)
  return clock64();
#else
  return 0;
#endif
}

/// `steps` steps of Op in every thread, and the clocks that each block took.
template <class Op>
__global__ void __launch_bounds__(kThreads) loop_kernel(int steps, uint32_t seed, uint32_t* results, int64_t* clocks) {
  Op op(random_bits(seed + static_cast<uint32_t>(gpu::global_thread())));
  __syncthreads();
  const int64_t start = clock_now();
#pragma unroll 16
  for (int step = 0; step < steps; ++step) op.step();
  const uint32_t result = op.result();
  __syncthreads();
  if (threadIdx.x == 0) clocks[blockIdx.x] = clock_now() - start;
  results[gpu::global_thread()] = result;
}

constexpr int kRound = 16;  // steps between two looks at the clock

template <class Op>
__device__ __forceinline__ int rounds_until(int64_t end, uint32_t seed, uint32_t* result) {
  Op op(seed);
  int rounds = 0;
  do {
#pragma unroll
    for (int step = 0; step < kRound; ++step) op.step();
    ++rounds;
  } while (clock_now() < end);
  *result = op.result();
  return rounds;
}

/// For `duration` clocks the even quartets of warps do matrix products (bit 0 of `roles`), and the odd ones packed
/// minima (bit 1): both on each of the four schedulers. Counts the rounds of each.
__global__ void __launch_bounds__(kThreads)
    beside_kernel(int64_t duration, int roles, uint32_t seed, uint32_t* results, unsigned* rounds) {
  const int role = gpu::warp() / 4 % 2;
  seed = random_bits(seed + static_cast<uint32_t>(gpu::global_thread()));
  __syncthreads();
  const int64_t end = clock_now() + duration;
  int done = 0;
  uint32_t result = 0;
  if ((roles & 1) && role == 0) done = rounds_until<Product<true>>(end, seed, &result);
  if ((roles & 2) && role == 1) done = rounds_until<PackedLeast<4>>(end, seed, &result);
  results[gpu::global_thread()] = result;
  if (gpu::lane() == 0 && done) atomicAdd(&rounds[role], static_cast<unsigned>(done));
}

constexpr int kAtOnce = 4;  // accesses under way in a thread

/// The grid reads `quads` (a power of two) again and again. Each pass other blocks read a place, and from the L2 cache
/// alone.
__global__ void __launch_bounds__(kThreads, 2)
    read_l2_kernel(int rounds, uint32_t quads, const float4* from, uint32_t* results, int64_t* clocks) {
  const uint32_t stride = gridDim.x * blockDim.x;
  auto at = static_cast<uint32_t>(gpu::global_thread());
  float4 sum = {};
  __syncthreads();
  const int64_t start = clock_now();
  for (int round = 0; round < rounds; ++round, at += kAtOnce * stride) {
    float4 x[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) x[i] = __ldcg(from + ((at + i * stride) & (quads - 1)));
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      sum.x += x[i].x;
      sum.y += x[i].y;
      sum.z += x[i].z;
      sum.w += x[i].w;
    }
  }
  __syncthreads();
  if (threadIdx.x == 0) clocks[blockIdx.x] = clock_now() - start;
  results[gpu::global_thread()] = __float_as_uint(sum.x + sum.y + sum.z + sum.w);
}

#if defined(__CUDACC__)
/// Adds to `numbers` (a power of two) sums in turn; with kVector four of them in one instruction. Neighbours in a warp
/// write neighbours.
template <bool kVector>
__global__ void __launch_bounds__(kThreads, 2)
    add_atomically_kernel(int rounds, uint32_t numbers, float* sums, int64_t* clocks) {
  const uint32_t stride = gridDim.x * blockDim.x;
  auto at = static_cast<uint32_t>(gpu::global_thread());
  const float one = random_float(at);
  __syncthreads();
  const int64_t start = clock_now();
  for (int round = 0; round < rounds; ++round, at += kAtOnce * stride) {
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      if constexpr (kVector) {
#if __CUDA_ARCH__ >= 900
        float* const to = sums + (4 * (at + i * stride) & (numbers - 1));
        atomicAdd(reinterpret_cast<float4*>(to), make_float4(one, -one, one, -one));
#endif
      } else {
        atomicAdd(sums + ((at + i * stride) & (numbers - 1)), one);
      }
    }
  }
  __syncthreads();
  if (threadIdx.x == 0) clocks[blockIdx.x] = clock_now() - start;
}
#endif

// ---------------------------------------------------------------- measuring

unsigned multiprocessors() { return kEmulated ? 1 : static_cast<unsigned>(device_multiprocessors()); }

/// A launch that leaves the clocks of its blocks, and what it did.
struct Work {
  double operations, bytes;  // of the whole launch; 0 bytes: not reported
  unsigned blocks;
  std::function<void(uint32_t* results, int64_t* clocks)> launch;
};

std::function<Sample()> timed(const Work& work) {
  const auto results = device_memory(device_context(), size_t{work.blocks} * kThreads * sizeof(uint32_t));
  const auto clocks = device_memory(device_context(), work.blocks * sizeof(int64_t));
  const auto replay = std::make_shared<Replay>(
      1, [=](int) { work.launch(static_cast<uint32_t*>(results.get()), static_cast<int64_t*>(clocks.get())); });
  return [=, held = results] {  // the graph keeps addresses, not the memory
    Sample sample{replay->seconds()};
    std::vector<int64_t> taken(work.blocks);
    cuda::copy_to_host(device_context().stream, taken.data(), clocks.get(), taken.size() * sizeof(int64_t));
    std::sort(taken.begin(), taken.end());
    const auto middle = static_cast<double>(std::max<int64_t>(1, taken[taken.size() / 2]));
    const double each = work.operations / multiprocessors();
    if (work.bytes > 0) {
      sample.counters = {{"GB/s", 1e-9 * work.bytes / sample.seconds},
                         {"byte/clk/SM", work.bytes / multiprocessors() / middle}};
    } else {
      sample.counters = {{"Gop/s", 1e-9 * work.operations / sample.seconds}, {"op/clk/SM", each / middle}};
    }
    sample.counters.push_back({"GHz", 1e-9 * middle / sample.seconds});
    return sample;
  };
}

/// So much dynamic shared memory that one block has a multiprocessor for itself.
size_t whole_multiprocessor() { return kEmulated ? 0 : size_t{120} << 10; }

template <class Op>
std::function<Sample()> loop(int steps) {
  const unsigned blocks = multiprocessors();
  steps = kEmulated ? 2 : steps;
  return timed({1.0 * Op::kOperations * kThreads * steps * blocks, 0, blocks, [=](uint32_t* results, int64_t* clocks) {
                  gpu::launch(loop_kernel<Op>, blocks, kThreads, whole_multiprocessor(), gpu::stream(device_context()),
                              steps, 1u, results, clocks);
                }});
}

/// Rates of both, alone and beside each other.
std::function<Sample()> beside() {
  const unsigned blocks = multiprocessors();
  const int64_t duration = kEmulated ? 0 : 1 << 20;
  const auto results = device_memory(device_context(), size_t{blocks} * kThreads * sizeof(uint32_t));
  const auto rounds = device_memory(device_context(), 2 * sizeof(unsigned));
  const auto measure = [=](int roles, double* seconds, double* rates) {
    const Context& ctx = device_context();
    const Replay replay(1, [=](int) {
      cuda::zero(ctx.stream, rounds.get(), 2 * sizeof(unsigned));
      gpu::launch(beside_kernel, blocks, kThreads, whole_multiprocessor(), gpu::stream(ctx), duration, roles, 1u,
                  static_cast<uint32_t*>(results.get()), static_cast<unsigned*>(rounds.get()));
    });
    *seconds += replay.seconds();
    unsigned done[2] = {};
    cuda::copy_to_host(ctx.stream, done, rounds.get(), sizeof(done));
    const double per_clock = 1.0 * kRound * gpu::kWarp / blocks / static_cast<double>(std::max<int64_t>(1, duration));
    rates[0] = done[0] * per_clock * Product<true>::kOperations;
    rates[1] = done[1] * per_clock * PackedLeast<4>::kOperations;
  };
  return [=] {
    Sample sample;
    double alone[2], together[2], other[2];
    measure(1, &sample.seconds, alone);
    measure(2, &sample.seconds, other);
    measure(3, &sample.seconds, together);
    sample.counters = {{"mma_flop/clk/SM", together[0]},
                       {"mma_%_of_alone", 100 * together[0] / alone[0]},
                       {"alu_op/clk/SM", together[1]},
                       {"alu_%_of_alone", 100 * together[1] / other[1]}};
    return sample;
  };
}

std::function<Sample()> read_l2(int64_t bytes) {
  if (!kEmulated && static_cast<double>(bytes) > 0.7 * device_l2_bytes()) {
    throw Error(Exit::kDevice, "needs an L2 cache of " + std::to_string(bytes) + " bytes and more");
  }
  const unsigned blocks = 2 * multiprocessors();
  const auto quads = static_cast<uint32_t>(bytes / 16);
  const int rounds = kEmulated ? 1 : 256;
  const auto from = device_memory(device_context(), static_cast<size_t>(bytes));
  device_fill_random(from.get(), bytes);
  const double read = 16.0 * kAtOnce * kThreads * rounds * blocks;
  return timed({0, read, blocks, [=](uint32_t* results, int64_t* clocks) {
                  gpu::launch(read_l2_kernel, blocks, kThreads, 0, gpu::stream(device_context()), rounds, quads,
                              static_cast<const float4*>(from.get()), results, clocks);
                }});
}

#if defined(__CUDACC__)
template <bool kVector>
std::function<Sample()> add_atomically(int64_t bytes) {
  if (kVector) require_hopper();
  const unsigned blocks = 2 * multiprocessors();
  const auto numbers = static_cast<uint32_t>(bytes / 4);
  const int rounds = 32;
  const auto sums = device_memory(device_context(), static_cast<size_t>(bytes));
  const double added = (kVector ? 4.0 : 1.0) * kAtOnce * kThreads * rounds * blocks;
  return timed({added, 0, blocks, [=](uint32_t*, int64_t* clocks) {
                  gpu::launch(add_atomically_kernel<kVector>, blocks, kThreads, 0, gpu::stream(device_context()),
                              rounds, numbers, static_cast<float*>(sums.get()), clocks);
                }});
}
#endif

}  // namespace

std::vector<DeviceCase> ceiling_cases() {
  std::vector<DeviceCase> cases = {
      {"loop", "multiply_add", "registers", "f32", [] { return loop<MultiplyAdd>(1 << 14); }},
      {"loop", "min3", "registers", "i32", [] { return loop<Exchange<Least3>>(1 << 13); }},
      {"loop", "min", "registers", "f32", [] { return loop<Exchange<FloatLeast2>>(1 << 13); }},
      {"loop", "min3", "registers", "f32", [] { return loop<Exchange<FloatLeast3>>(1 << 12); }},
      {"loop", "logic", "registers", "i32", [] { return loop<Exchange<Logic>>(1 << 13); }},
      {"loop", "packed_min3", "registers", "i32", [] { return loop<PackedLeast<4>>(1 << 13); }},
      {"loop", "mma", "m16n8k16", "bf16", [] { return loop<Product<true>>(1 << 13); }},
      {"loop", "mma", "m16n8k8", "tf32", [] { return loop<Product<false>>(1 << 13); }},
      // Pairs of distances a product, in the same warp: 1/2 are those of 64 dimensions, 1 of 32, 2 of 16.
      {"loop", "mma-packed_min3", "pairs-0.5", "bf16", [] { return loop<ProductAndLeast<2>>(1 << 13); }},
      {"loop", "mma-packed_min3", "pairs-1", "bf16", [] { return loop<ProductAndLeast<4>>(1 << 13); }},
      {"loop", "mma-packed_min3", "pairs-2", "bf16", [] { return loop<ProductAndLeast<8>>(1 << 13); }},
      {"loop", "mma-beside-packed_min3", "warps-16-16", "bf16", [] { return beside(); }},
  };
  for (const int megabytes : {4, 16, 32}) {
    if (kEmulated && megabytes > 4) continue;
    const int64_t bytes = kEmulated ? 1 << 16 : int64_t{megabytes} << 20;
    cases.push_back({"read_l2", "quads", std::to_string(bytes), "f32", [=] { return read_l2(bytes); }});
  }
#if defined(__CUDACC__)
  // Sums all over the cache; and one small range for all multiprocessors, as gradients of replicas have it.
  for (const int64_t bytes : {int64_t{16} << 20, int64_t{16} << 10}) {
    const std::string shape = std::to_string(bytes);
    cases.push_back({"add_atomically", "scalar", shape, "f32", [=] { return add_atomically<false>(bytes); }});
    cases.push_back({"add_atomically", "vector4", shape, "f32", [=] { return add_atomically<true>(bytes); }});
  }
#endif
  return cases;
}

}  // namespace hourglass::bench
