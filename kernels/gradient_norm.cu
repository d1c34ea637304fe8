// SPDX-License-Identifier: Apache-2.0
// One launch: each block adds the squares of its quads in double and keeps the lowest index that is not finite, and the
// last block combines the blocks' results in their order (last_block.cuh). An element is tested by itself: a test of
// the sum alone, as on the CPU, would need a second pass to name the element.
#include <limits>

#include "kernels/base/flat.cuh"
#include "kernels/gradient_norm.h"

namespace hourglass::cuda {
namespace {

/// What a full device holds: more blocks would only lengthen the last block's work.
constexpr int64_t kMostBlocks = 132 * 8;
constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
static_assert(2 * kMostBlocks <= gpu::kMostPartials<double>);

__device__ __forceinline__ bool is_finite(float x) { return (__float_as_uint(x) & 0x7F800000u) != 0x7F800000u; }

__global__ void __launch_bounds__(gpu::kFlatThreads, 8)
    gradient_check_ticket_kernel(GradientNormShape s, bool aligned, const float* slab, double clip_norm, Norm* norm,
                                 Fault* fault, const int64_t* step, double* squares_of, int64_t* lowest_of,
                                 unsigned* ticket) {
  double squares = 0;
  int64_t lowest = kNone;
  gpu::for_each_flat_quad(s.total, aligned, [&](int64_t i, int count, auto whole) {
    const gpu::Vec4 g = gpu::load_quad<decltype(whole)::value>(slab + i, count);
#pragma unroll
    for (int j = 3; j >= 0; --j) {
      if (!is_finite(g[j]) && i + j < lowest) lowest = i + j;
      const double value = i + j < s.gradients ? static_cast<double>(g[j]) : 0.0;
      squares += value * value;
    }
  });
  squares = gpu::block_sum<double, gpu::kFlatThreads>(squares);
  lowest = gpu::block_min<int64_t, gpu::kFlatThreads>(lowest);
  if (threadIdx.x == 0) {
    squares_of[blockIdx.x] = squares;
    lowest_of[blockIdx.x] = lowest;
  }
  if (!gpu::is_last_block(ticket)) return;

  squares = 0;
  lowest = kNone;
  for (unsigned b = threadIdx.x; b < gridDim.x; b += gpu::kFlatThreads) {
    squares += __ldcg(squares_of + b);
    lowest = gpu::Min{}(lowest, __ldcg(lowest_of + b));
  }
  squares = gpu::block_sum<double, gpu::kFlatThreads>(squares);
  lowest = gpu::block_min<int64_t, gpu::kFlatThreads>(lowest);
  if (threadIdx.x != 0) return;
  if (lowest != kNone) {
    if (fault->code == 0) *fault = {static_cast<int32_t>(Exit::kNotFinite), kFaultGradient, *step, lowest};
    return;
  }
  const double length = sqrt(squares);
  const double clipped = clip_norm > 0 ? clip_norm / (length + 1e-6) : 1.0;
  *norm = {length, clipped < 1.0 ? clipped : 1.0};
}

}  // namespace

template <class T>
void gradient_check(const Context& ctx, GradientNormShape s, const T* slab, double clip_norm, Norm* norm, Fault* fault,
                    const int64_t* step) {
  auto* const squares_of = gpu::partials<double>(ctx);
  auto* const lowest_of = reinterpret_cast<int64_t*>(squares_of + kMostBlocks);
  const unsigned blocks = std::min(gpu::flat_blocks(s.total), static_cast<unsigned>(kMostBlocks));
  gpu::launch(gradient_check_ticket_kernel, blocks, gpu::kFlatThreads, 0, gpu::stream(ctx), s, gpu::can_load4(0, slab),
              slab, clip_norm, norm, fault, step, squares_of, lowest_of, gpu::tickets(ctx));
}

template void gradient_check(const Context&, GradientNormShape, const float*, double, Norm*, Fault*, const int64_t*);

}  // namespace hourglass::cuda
