// SPDX-License-Identifier: Apache-2.0
#include "kernels/base/elementwise_check.h"
#include "kernels/base/flat.cuh"
#include "kernels/cast.h"

namespace hourglass::cuda {
namespace {

/// A thread moves a quad at a time, in a grid-stride loop: bound by memory.
template <class From, class To>
__global__ void __launch_bounds__(gpu::kFlatThreads)
    cast_quad_kernel(int64_t n, bool aligned, const From* x, Grad<To> y) {
  gpu::for_each_flat_quad(n, aligned, [&](int64_t i, int count, auto whole) {
    constexpr bool kVector = decltype(whole)::value;
    gpu::write_quad<kVector>(y.data + i, gpu::load_quad<kVector>(x + i, count), count, y.mode);
  });
}

}  // namespace

template <class From, class To>
void cast(const Context& ctx, CastShape s, const From* x, Grad<To> y) {
  check_elementwise("cast", {s.n});
  if (s.n == 0 || !y) return;
  gpu::launch(cast_quad_kernel<From, To>, gpu::flat_blocks(s.n), gpu::kFlatThreads, 0, gpu::stream(ctx), s.n,
              gpu::can_load4(0, x, y.data), x, y);
}

template void cast(const Context&, CastShape, const float*, Grad<float>);
template void cast(const Context&, CastShape, const float*, Grad<bf16>);
template void cast(const Context&, CastShape, const bf16*, Grad<float>);
template void cast(const Context&, CastShape, const bf16*, Grad<bf16>);

}  // namespace hourglass::cuda
