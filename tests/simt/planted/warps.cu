// SPDX-License-Identifier: Apache-2.0
// Planted bugs of warp collectives and asynchronous copies.
#include "kernels/base/mma.cuh"
#include "tests/simt/planted/planted.h"

namespace hourglass::test {
namespace {

__global__ void shuffle_in_branch_kernel(float* y, bool planted) {
  auto v = static_cast<float>(threadIdx.x);
  if (!planted || threadIdx.x < 16) v = __shfl_down_sync(gpu::kFullMask, v, 1);
  y[threadIdx.x] = v;
}
Outcome shuffle_in_branch(bool planted) {
  const Array<> y(32);
  launch(shuffle_in_branch_kernel, 1, 32, y.data(), planted);
  return {y.values()};
}

__global__ void narrow_mask_kernel(float* y, bool planted) {
  y[threadIdx.x] = __shfl_sync(planted ? 0x0000FFFFu : gpu::kFullMask, static_cast<float>(threadIdx.x), 0);
}
Outcome mask_without_caller(bool planted) {
  const Array<> y(32);
  launch(narrow_mask_kernel, 1, 32, y.data(), planted);
  return {y.values(), Floats(32, 0)};
}

__global__ void exited_lanes_kernel(const float* x, float* y, int n, bool planted) {
  const int t = static_cast<int>(threadIdx.x);
  if (planted && t >= n) return;
  const float total = gpu::warp_sum(t < n ? x[t] : 0.f);
  if (t == 0) *y = total;
}
Outcome shuffle_from_exited_lane(bool planted) {
  const Array<> x(Floats(20, 1)), y(1);
  launch(exited_lanes_kernel, 1, 32, x.data(), y.data(), 20, planted);
  return {y.values(), {20}};
}

__global__ void divergent_product_kernel(float* y, bool planted) {
  float d[4] = {};
  const uint32_t a[4] = {}, b[2] = {};
  if (!planted || threadIdx.x % 2) gpu::mma_m16n8k16(d, a, b);
  y[threadIdx.x] = d[0];
}
Outcome product_in_branch(bool planted) {
  const Array<> y(32);
  launch(divergent_product_kernel, 1, 32, y.data(), planted);
  return {y.values(), Floats(32, 0)};
}

__global__ void copy_without_wait_kernel(const float* x, float* y, bool planted) {
  alignas(16) __shared__ float s[128];
  const unsigned first = threadIdx.x * 4;
  gpu::cp_async16(s + first, x + first, true);
  gpu::cp_async_commit();
  if (!planted) gpu::cp_async_wait<0>();
  __syncthreads();
  for (unsigned i = first; i < first + 4; ++i) y[i] = s[i];
  gpu::cp_async_wait<0>();
}
Outcome copy_without_wait(bool planted) {
  const Array<> x(ramp(128)), y(128);
  launch(copy_without_wait_kernel, 1, 32, x.data(), y.data(), planted);
  return {y.values(), ramp(128)};
}

__global__ void copy_over_tile_kernel(const float* x, float* y, bool planted) {
  alignas(16) __shared__ float s[128];
  const unsigned first = threadIdx.x * 4;
  float total = 0;
  for (int tile = 0; tile < 2; ++tile) {
    gpu::cp_async16(s + first, x + 128 * tile + first, true);
    gpu::cp_async_commit();
    gpu::cp_async_wait<0>();
    __syncthreads();
    for (float value : s) total += value;
    if (!planted) __syncthreads();
  }
  y[threadIdx.x] = total;
}
Outcome copy_over_live_tile(bool planted) {
  const Floats values = ramp(256);
  const Array<> x(values), y(32);
  launch(copy_over_tile_kernel, 1, 32, x.data(), y.data(), planted);
  return {y.values(), Floats(32, sum(values))};
}

}  // namespace

std::vector<PlantedBug> planted_warps() {
  return {
      {"shuffle_in_branch", "a full-mask shuffle that half of the warp reaches", "shuffle-source", "shuffle-source",
       "shuffle-source", shuffle_in_branch},
      {"mask_without_caller", "a mask that does not name the lane that calls", "warp-mask", "warp-mask", "warp-mask",
       mask_without_caller},
      {"shuffle_from_exited_lane", "`return` of lanes before a warp's sum", "shuffle-source", "shuffle-source",
       "shuffle-source", shuffle_from_exited_lane},
      {"product_in_branch", "`mma` that every second lane reaches", "warp-matrix", "warp-matrix", "warp-matrix",
       product_in_branch},
      {"copy_without_wait", "`cp.async` that nobody waits for before it is read", "wrong", "wrong", "uninitialised",
       copy_without_wait},
      {"copy_over_live_tile", "`cp.async` into a tile that others still read", "wrong differs", "wrong differs", "race",
       copy_over_live_tile},
  };
}

}  // namespace hourglass::test
