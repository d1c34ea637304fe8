// SPDX-License-Identifier: Apache-2.0
// One launch: each block adds the squares of its quads in double and keeps the lowest index that is not finite, and the
// last block combines the blocks' results in their order (last_block.cuh). An element is tested by itself: a test of
// the sum alone, as on the CPU, would need a second pass to name the element.
#include "kernels/base/gradient_check.cuh"
#include "kernels/base/last_block.cuh"
#include "kernels/gradient_norm.h"

namespace hourglass::cuda {
namespace {

using gpu::kMostCheckBlocks;

static_assert(2 * kMostCheckBlocks <= gpu::kMostPartials<double>);

__global__ void __launch_bounds__(gpu::kFlatThreads, 8)
    gradient_check_ticket_kernel(GradientNormShape s, bool aligned, const float* slab, double clip_norm, Norm* norm,
                                 Fault* fault, const int64_t* step, double* squares_of, int64_t* lowest_of,
                                 unsigned* ticket) {
  gpu::check_gradients(s, aligned, slab, blockIdx.x, gridDim.x, squares_of, lowest_of);
  if (!gpu::is_last_block(ticket)) return;
  const gpu::CheckedGradients all = gpu::combine_checks(gridDim.x, squares_of, lowest_of);
  if (threadIdx.x != 0) return;
  if (all.lowest != gpu::kAllFinite) {
    if (fault->code == 0) *fault = {static_cast<int32_t>(Exit::kNotFinite), kFaultGradient, *step, all.lowest};
    return;
  }
  *norm = all.norm(clip_norm);
}

}  // namespace

template <class T>
void gradient_check(const Context& ctx, GradientNormShape s, const T* slab, double clip_norm, Norm* norm, Fault* fault,
                    const int64_t* step) {
  auto* const squares_of = gpu::partials<double>(ctx);
  auto* const lowest_of = reinterpret_cast<int64_t*>(squares_of + kMostCheckBlocks);
  const unsigned blocks = gpu::check_blocks(s.total);
  gpu::launch(gradient_check_ticket_kernel, blocks, gpu::kFlatThreads, 0, gpu::stream(ctx), s, gpu::can_load4(0, slab),
              slab, clip_norm, norm, fault, step, squares_of, lowest_of, gpu::tickets(ctx));
}

template void gradient_check(const Context&, GradientNormShape, const float*, double, Norm*, Fault*, const int64_t*);

}  // namespace hourglass::cuda
