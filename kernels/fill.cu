// SPDX-License-Identifier: Apache-2.0
#include "kernels/base/elementwise_check.h"
#include "kernels/base/flat.cuh"
#include "kernels/fill.h"

namespace hourglass::cuda {
namespace {

/// A thread writes a quad at a time, in a grid-stride loop. The weight is read here: it may change between replays.
template <class T>
__global__ void __launch_bounds__(gpu::kFlatThreads) fill_quad_kernel(int64_t n, Weight weight, bool aligned, T* y) {
  const auto value = static_cast<float>(weight.value());
  gpu::for_each_flat_quad(n, aligned, [&](int64_t i, int count, auto whole) {
    constexpr bool kVector = decltype(whole)::value;
    gpu::write_quad<kVector>(y + i, {{value, value, value, value}}, count, Write::kSet);
  });
}

}  // namespace

template <class T>
void fill(const Context& ctx, FillShape s, Weight weight, T* y) {
  check_elementwise("fill", {s.n});
  if (s.n == 0) return;
  gpu::launch(fill_quad_kernel<T>, gpu::flat_blocks(s.n), gpu::kFlatThreads, 0, gpu::stream(ctx), s.n, weight,
              gpu::can_load4(0, y), y);
}

template void fill(const Context&, FillShape, Weight, float*);
template void fill(const Context&, FillShape, Weight, bf16*);

}  // namespace hourglass::cuda
