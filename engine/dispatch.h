// SPDX-License-Identifier: Apache-2.0
// The one door from ops to kernels.
#pragma once

#include <utility>

#include "engine/tensor.h"
#include "kernels/base/bf16.h"
#include "kernels/base/context.h"
#include "kernels/base/error.h"

namespace hourglass {

/// f(lane) with the lane of (device, dtype), in a dry run too: what a kernel needs, such as its scratch memory.
///
///     const size_t bytes = ask(t.ctx(), x.dtype, [&](auto lane) { return foo_scratch_bytes(lane, shape); });
///
/// Double runs on the CPU device alone, where gradients are checked; bf16 on CUDA alone.
template <bool kBf16 = true, class F>
auto ask(const Context& ctx, Dtype dtype, F&& f) {
  if (ctx.device == Device::kCuda) {
#if defined(HOURGLASS_CUDA_KERNELS)
    if (dtype == Dtype::kF32) return f(cuda::Lane<float>{ctx});
    if constexpr (kBf16) {
      if (dtype == Dtype::kBF16) return f(cuda::Lane<bf16>{ctx});
    }
#endif
    throw Error(Exit::kUsage, std::string("no CUDA kernels for dtype ") + name_of(dtype));
  }
  switch (dtype) {
    case Dtype::kF32:
      return f(cpu::Lane<float>{ctx});
    case Dtype::kF64:
      return f(cpu::Lane<double>{ctx});
    default:
      throw Error(Exit::kUsage, std::string("no CPU kernels for dtype ") + name_of(dtype));
  }
}

/// Calls f(lane) with the lane of (device, dtype). `lane` is a Context and carries the storage type:
///
///     dispatch(tape.ctx(), x.dtype, [&](auto lane) {
///       using T = typename decltype(lane)::type;
///       relu_forward(lane, shape, x.as<T>(), y.as<T>());      // found in the lane's namespace: cpu:: (or cuda::)
///     });
///
/// In a dry run nothing is called.
template <bool kBf16 = true, class F>
void dispatch(const Context& ctx, Dtype dtype, F&& f) {
  if (!ctx.measuring) ask<kBf16>(ctx, dtype, std::forward<F>(f));
}

// For kernels without a bf16 form: those of parameters and statistics, and of ops that refuse it (check_wide).

template <class F>
auto ask_wide(const Context& ctx, Dtype dtype, F&& f) {
  return ask<false>(ctx, dtype, std::forward<F>(f));
}

template <class F>
void dispatch_wide(const Context& ctx, Dtype dtype, F&& f) {
  dispatch<false>(ctx, dtype, std::forward<F>(f));
}

}  // namespace hourglass
