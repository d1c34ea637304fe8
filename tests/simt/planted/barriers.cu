// SPDX-License-Identifier: Apache-2.0
// Planted bugs of order: within a block, within a warp, and between blocks.
#include "kernels/base/grid_barrier.cuh"
#include "tests/simt/planted/planted.h"

namespace hourglass::gpu {

/// A helper with scratch of its own must not begin to write while others still read what its last call left.
template <int kThreads>
__device__ float planted_block_sum(float v, bool planted) {
  __shared__ float parts[kThreads / kWarp];
  v = warp_sum(v);
  if (!planted) __syncthreads();
  if (lane() == 0) parts[warp()] = v;
  __syncthreads();
  float sum = 0;
  for (float part : parts) sum += part;
  return sum;
}

}  // namespace hourglass::gpu

namespace hourglass::test {
namespace {

constexpr int kThreads = 64;

__global__ void barrier_in_branch_kernel(float* y, bool planted) {
  if (!planted || threadIdx.x < 32) __syncthreads();
  y[threadIdx.x] = 1;
}
Outcome barrier_in_branch(bool planted) {
  Array<> y(kThreads);
  launch(barrier_in_branch_kernel, 1, kThreads, y.data(), planted);
  return {y.values(), Floats(kThreads, 1)};
}

__global__ void early_exit_kernel(const float* x, float* y, int n, bool planted) {
  __shared__ float s[kThreads];
  const int i = static_cast<int>(gpu::global_thread());
  if (planted && i >= n) return;
  if (i < n) s[threadIdx.x] = x[i];
  __syncthreads();
  if (i < n) y[i] = s[threadIdx.x ^ 1u];
}
Outcome early_exit(bool planted) {
  const size_t n = 100;
  const Array<> x(ramp(n)), y(n);
  launch(early_exit_kernel, 2, kThreads, x.data(), y.data(), static_cast<int>(n), planted);
  return {y.values(), each(n, [](size_t i) { return (i ^ 1) % 97 + 1; })};
}

__global__ void two_barriers_kernel(float* y, bool planted) {
  if (planted && threadIdx.x % 2) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  y[threadIdx.x] = 1;
}
Outcome two_barriers(bool planted) {
  const Array<> y(kThreads);
  launch(two_barriers_kernel, 1, kThreads, y.data(), planted);
  return {y.values(), Floats(kThreads, 1)};
}

__global__ void reversed_kernel(const float* x, float* y, bool planted) {
  __shared__ float s[kThreads];
  s[threadIdx.x] = x[threadIdx.x];
  if (!planted) __syncthreads();
  y[threadIdx.x] = s[kThreads - 1 - threadIdx.x];
}
Outcome read_before_barrier(bool planted) {
  const Array<> x(ramp(kThreads)), y(kThreads);
  launch(reversed_kernel, 1, kThreads, x.data(), y.data(), planted);
  return {y.values(), each(kThreads, [](size_t i) { return kThreads - i; })};
}

__global__ void tiles_kernel(const float* x, float* y, int tiles, bool planted) {
  __shared__ float s[kThreads];
  float total = 0;
  for (int k = 0; k < tiles; ++k) {
    s[threadIdx.x] = x[k * kThreads + static_cast<int>(threadIdx.x)];
    __syncthreads();
    for (float value : s) total += value;
    if (!planted) __syncthreads();
  }
  y[threadIdx.x] = total;
}
Outcome write_before_barrier(bool planted) {
  const Floats values = ramp(4 * kThreads);
  const Array<> x(values), y(kThreads);
  launch(tiles_kernel, 1, kThreads, x.data(), y.data(), 4, planted);
  return {y.values(), Floats(kThreads, sum(values))};
}

__global__ void one_word_kernel(float* y, bool planted) {
  __shared__ float s;
  if (planted || threadIdx.x == 0) s = static_cast<float>(threadIdx.x);
  __syncthreads();
  y[threadIdx.x] = s;
}
Outcome one_word_of_many(bool planted) {
  const Array<> y(kThreads);
  launch(one_word_kernel, 1, kThreads, y.data(), planted);
  return {y.values()};
}

__global__ void two_sums_kernel(const float* x, float* y, bool planted) {
  const float a = gpu::planted_block_sum<kThreads>(x[threadIdx.x], planted);
  const float b = gpu::planted_block_sum<kThreads>(2 * x[threadIdx.x], planted);
  y[threadIdx.x] = a + b;
}
Outcome helper_scratch_reused(bool planted) {
  const Array<> x(Floats(kThreads, 1)), y(kThreads);
  launch(two_sums_kernel, 1, kThreads, x.data(), y.data(), planted);
  return {y.values(), Floats(kThreads, 3 * kThreads)};
}

// `volatile` was once enough, on cards whose warps ran in lock step.
__global__ void lock_step_sum_kernel(const float* x, float* y, bool planted) {
  __shared__ volatile float s[32];
  const unsigned t = threadIdx.x;
  s[t] = x[t];
  for (unsigned half = 16; half > 0; half /= 2) {
    if (!planted) __syncwarp();
    const float other = s[(t + half) % 32];
    if (!planted) __syncwarp();
    s[t] = s[t] + other;
  }
  if (t == 0) y[0] = s[0];
}
Outcome lock_step(bool planted) {
  const Array<> x(Floats(32, 1)), y(1);
  launch(lock_step_sum_kernel, 1, 32, x.data(), y.data(), planted);
  return {y.values(), {32}};
}

__global__ void neighbours_kernel(const float* x, float* y, bool planted) {
  __shared__ float s[kThreads / 32][32];
  s[gpu::warp()][gpu::lane()] = x[threadIdx.x];
  if (!planted) __syncwarp();
  y[threadIdx.x] = s[gpu::warp()][gpu::lane() ^ 1];
}
Outcome missing_syncwarp(bool planted) {
  const Array<> x(ramp(kThreads)), y(kThreads);
  launch(neighbours_kernel, 1, kThreads, x.data(), y.data(), planted);
  return {y.values(), each(kThreads, [](size_t i) { return (i ^ 1) + 1; })};
}

__global__ void shuffle_fence_kernel(const float* x, float* y, bool planted) {
  __shared__ float s[32];
  s[gpu::lane()] = x[threadIdx.x];
  const float one = __shfl_xor_sync(gpu::kFullMask, 1.f, 1);
  if (!planted) __syncwarp();
  y[threadIdx.x] = s[gpu::lane() ^ 1] * one;
}
Outcome shuffle_as_fence(bool planted) {
  const Array<> x(ramp(32)), y(32);
  launch(shuffle_fence_kernel, 1, 32, x.data(), y.data(), planted);
  return {y.values(), each(32, [](size_t i) { return (i ^ 1) + 1; })};
}

__global__ void add_to_one_kernel(const float* x, float* y, bool planted) {
  const int64_t i = gpu::global_thread();
  if (planted) {
    *y += x[i];
  } else {
    atomicAdd(y, x[i]);
  }
}
Outcome plain_add_to_one_word(bool planted) {
  const Floats values = ramp(4 * kThreads);
  const Array<> x(values), y(Floats(1, 0));
  launch(add_to_one_kernel, 4, kThreads, x.data(), y.data(), planted);
  return {y.values(), {sum(values)}};
}

__global__ void talking_blocks_kernel(float* x, float* y, bool planted) {
  if (threadIdx.x != 0) return;
  x[blockIdx.x] = static_cast<float>(blockIdx.x);
  y[blockIdx.x] = planted && blockIdx.x > 0 ? x[blockIdx.x - 1] : 0;
}
Outcome blocks_communicate(bool planted) {
  const Array<> x(Floats(4, 0)), y(4);
  launch(talking_blocks_kernel, 4, 32, x.data(), y.data(), planted);
  return {y.values(), planted ? Floats{0, 0, 1, 2} : Floats(4, 0)};
}

__global__ void last_block_kernel(float* parts, unsigned* ticket, float* y, bool planted) {
  if (threadIdx.x != 0) return;
  parts[blockIdx.x] = 1;
  if (!planted) __threadfence();
  if (atomicAdd(ticket, 1u) != gridDim.x - 1) return;
  float total = 0;
  for (unsigned i = 0; i < gridDim.x; ++i) total += parts[i];
  *y = total;
}
Outcome missing_threadfence(bool planted) {
  const Array<> parts(8), y(1);
  const Array<unsigned> ticket(std::vector<unsigned>(1, 0));
  launch(last_block_kernel, 8, 32, parts.data(), ticket.data(), y.data(), planted);
  return {y.values(), {8}};
}

__global__ void waiting_block_kernel(unsigned* flag, bool planted) {
  if (planted && blockIdx.x == 0 && threadIdx.x == 0) {
    while (atomicAdd(flag, 0u) == 0) __nanosleep(10);
  }
  if (blockIdx.x == 1 && threadIdx.x == 0) atomicExch(flag, 1u);
}
Outcome spin_on_other_block(bool planted) {
  const Array<unsigned> flag(std::vector<unsigned>(1, 0));
  launch(waiting_block_kernel, 2, 32, flag.data(), planted);
  return {};
}

// ---------------------------------------------------------------- cooperative launches

constexpr unsigned kBlocks = 3;

template <class... Parameters, class... Arguments>
void launch_together(void (*kernel)(Parameters...), Arguments&&... arguments) {
  gpu::launch_cooperative(kernel, kBlocks, kThreads, 0, nullptr, std::forward<Arguments>(arguments)...);
}

/// The barrier of grid_barrier.cuh with its fences left out, or not.
__device__ void planted_grid_barrier(unsigned* word, bool planted) {
  __syncthreads();
  if (threadIdx.x == 0) {
    if (!planted) __threadfence();
    const unsigned before = atomicAdd(word, blockIdx.x == 0 ? 0x80000000u - (gridDim.x - 1) : 1u);
    while (((gpu::load_acquire(word) ^ before) & 0x80000000u) == 0) __nanosleep(20);
    if (!planted) __threadfence();
  }
  __syncthreads();
}

__global__ void stages_kernel(float* parts, float* y, unsigned* word, int with_barrier, bool without_fence) {
  const unsigned i = blockIdx.x * kThreads + threadIdx.x, count = kBlocks * kThreads;
  parts[i] = static_cast<float>(i);
  if (with_barrier) planted_grid_barrier(word, without_fence);
  y[i] = parts[(i + kThreads) % count];
}
Outcome stages(bool barrier, bool without_fence) {
  constexpr size_t n = kBlocks * kThreads;
  const Array<> parts(n), y(n);
  const Array<unsigned> word(std::vector<unsigned>{0});
  launch_together(stages_kernel, parts.data(), y.data(), word.data(), barrier ? 1 : 0, without_fence);
  return {y.values(), each(n, [](size_t i) { return (i + kThreads) % n; })};
}
Outcome no_grid_barrier(bool planted) { return stages(!planted, false); }
Outcome barrier_without_fence(bool planted) { return stages(true, planted); }

__global__ void block_leaves_kernel(float* y, unsigned* word, unsigned busy, bool planted) {
  if (planted && blockIdx.x >= busy) return;
  gpu::grid_barrier(word);
  if (blockIdx.x < busy) y[blockIdx.x * kThreads + threadIdx.x] = 1;
}
Outcome block_leaves_early(bool planted) {
  const Array<> y((kBlocks - 1) * kThreads);
  const Array<unsigned> word(std::vector<unsigned>{0});
  launch_together(block_leaves_kernel, y.data(), word.data(), kBlocks - 1, planted);
  return {y.values(), Floats((kBlocks - 1) * kThreads, 1)};
}

/// A barrier orders what was before it, not what the other blocks do after it.
__global__ void learned_kernel(float* parts, float* y, unsigned* word, bool planted) {
  const unsigned i = blockIdx.x * kThreads + threadIdx.x, count = kBlocks * kThreads;
  parts[i] = 0;
  gpu::grid_barrier(word);
  parts[i] = static_cast<float>(i);
  if (!planted) gpu::grid_barrier(word);
  y[i] = parts[(i + kThreads) % count];
  gpu::grid_barrier(word);
}
Outcome learned_too_early(bool planted) {
  constexpr size_t n = kBlocks * kThreads;
  const Array<> parts(n), y(n);
  const Array<unsigned> word(std::vector<unsigned>{0});
  launch_together(learned_kernel, parts.data(), y.data(), word.data(), planted);
  return {y.values(), each(n, [](size_t i) { return (i + kThreads) % n; })};
}

}  // namespace

std::vector<PlantedBug> planted_barriers() {
  return {
      {"barrier_in_branch", "`__syncthreads` that a part of the block reaches", "barrier-divergence",
       "barrier-divergence", "barrier-divergence", barrier_in_branch},
      {"early_exit", "`return` of the threads beyond the end, before a barrier", "barrier-divergence",
       "barrier-divergence", "barrier-divergence", early_exit},
      {"two_barriers", "`__syncthreads` in both branches of an `if`", "barrier-divergence", "barrier-divergence",
       "barrier-divergence", two_barriers},
      {"read_before_barrier", "no barrier between a write and a neighbour's read", "wrong differs", "wrong differs",
       "race", read_before_barrier},
      {"write_before_barrier", "no barrier between reads of a tile and the next one's writes", "wrong differs",
       "wrong differs", "race", write_before_barrier},
      {"one_word_of_many", "every thread writes one shared word", "differs", "differs", "race", one_word_of_many},
      {"helper_scratch_reused", "a block sum called twice, without the barrier that frees its scratch", "", "", "race",
       helper_scratch_reused},
      {"lock_step", "a warp's sum through shared memory that relies on lock step", "wrong differs", "wrong differs",
       "race", lock_step},
      {"missing_syncwarp", "lanes exchange through shared memory without `__syncwarp`", "wrong differs",
       "wrong differs", "race", missing_syncwarp},
      {"shuffle_as_fence", "a shuffle taken for a memory fence", "", "", "race", shuffle_as_fence},
      {"plain_add_to_one_word", "`*y += x` by many threads", "", "", "race", plain_add_to_one_word},
      {"blocks_communicate", "a block reads what another one writes in the same launch", "wrong differs",
       "wrong differs", "race", blocks_communicate},
      {"missing_threadfence", "the last block sums the others' parts, which no fence has published", "", "", "race",
       missing_threadfence},
      {"spin_on_other_block", "a block waits for a later one", "livelock", "livelock", "livelock", spin_on_other_block},
      {"no_grid_barrier", "cooperative launch: no grid barrier between two stages", "wrong differs", "wrong differs",
       "race", no_grid_barrier},
      {"block_leaves_early", "cooperative launch: a block without work leaves before the grid barrier", "livelock",
       "livelock", "livelock", block_leaves_early},
      {"barrier_without_fence", "cooperative launch: a grid barrier whose arrival no fence precedes", "", "", "race",
       barrier_without_fence},
      {"learned_too_early", "cooperative launch: what was written since the last grid barrier is read before the next",
       "wrong differs", "wrong differs", "race", learned_too_early},
  };
}

}  // namespace hourglass::test
