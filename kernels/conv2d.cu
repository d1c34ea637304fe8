// SPDX-License-Identifier: Apache-2.0
// The products of conv2d.h: checks, the choice of a technique (base/conv2d_technique.h), and the sum of the slices of
// dw. The kernels: conv2d_direct.cu, conv2d_direct_weight.cu, conv2d_cuda_cores.cu, conv2d_tensor_cores.cu,
// conv2d_wgmma.cu.
#include <cstdlib>

#include "kernels/base/conv2d_check.h"
#include "kernels/base/conv2d_launch.cuh"
#include "kernels/base/tensor_map.h"

namespace hourglass::cuda {
namespace {

void check(const char* op, const Conv2dShape& s, Activation activation) {
  check_conv2d(op, s, activation);
  check_conv2d_counts(op, s);
}

void require_technique(Conv2dPlan plan, Conv2dProduct product, const Conv2dShape& s, Conv2dLane lane) {
  if (plan.technique == Conv2dTechnique::kWgmma && !gpu::has_wgmma()) {
    throw Error(Exit::kDevice, "conv2d: the technique wgmma needs a device of compute capability 9");
  }
  if (conv2d_accepts(plan.technique, product, s, lane)) return;
  throw Error(Exit::kInternal, std::string("conv2d: the technique ") + conv2d_technique_name(plan.technique) +
                                   " does not take this shape or type");
}

template <class T>
Conv2dGathers<T> operands(const Conv2dShape& s, const T* in, const T* w, bool backward,
                          const Conv2dEpilogue<T>& epilogue, Grad<T> out) {
  Conv2dGathers<T> p;
  p.in = in;
  p.w = w;
  p.window = s.R * s.S;
  p.backward = backward;
  p.epilogue = epilogue;
  p.out = out;
  return p;
}

template <class T>
void launch_gathers(Conv2dPlan plan, const Context& ctx, const std::vector<Conv2dGather>& gathers, Conv2dGathers<T> p) {
  for (size_t first = 0; first < gathers.size(); first += Conv2dGathers<T>::kMost) {
    p.count = static_cast<int>(std::min(gathers.size() - first, size_t{Conv2dGathers<T>::kMost}));
    std::copy_n(gathers.begin() + static_cast<std::ptrdiff_t>(first), p.count, p.gathers);
    if (plan.technique == Conv2dTechnique::kDirect) conv2d_gather_directly(ctx, p);
    if constexpr (std::is_same_v<T, float>) {
      if (plan.technique == Conv2dTechnique::kCudaCores) conv2d_gather_on_cuda_cores(ctx, p, gathers.size() == 1);
    }
    if (plan.technique == Conv2dTechnique::kTensorCores) conv2d_gather_on_tensor_cores(ctx, p, plan.tile);
  }
}

// ---------------------------------------------------------------- slices of the gradient of the weight

constexpr int kSumWarps = 8;

/// dw = (or +=) the sum of the slices: a lane has one element, a warp every eighth slice; the warps' sums meet in
/// order. Slices are many where weights are few, so that one thread for each element would be too slow.
__global__ void __launch_bounds__(kSumWarps* gpu::kWarp)
    conv2d_weight_sum_slices_kernel(int64_t n, int slices, const float* partials, Grad<float> dw) {
  __shared__ float sums[kSumWarps][gpu::kWarp];
  const int64_t i = int64_t{blockIdx.x} * gpu::kWarp + gpu::lane();
  float sum = 0;
  if (i < n) {
#pragma unroll 4
    for (int slice = gpu::warp(); slice < slices; slice += kSumWarps) sum += partials[slice * n + i];
  }
  sums[gpu::warp()][gpu::lane()] = sum;
  __syncthreads();
  if (gpu::warp() > 0 || i >= n) return;
  for (int warp = 1; warp < kSumWarps; ++warp) sum += sums[warp][gpu::lane()];
  write(dw.data[i], sum, dw.mode);
}

/// To what the copy engine reads.
bool is_aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

int64_t weight_elements(const Conv2dShape& s) { return int64_t{s.K} * s.R * s.S * s.C; }

}  // namespace

bool wgmma_chosen() {
  const char* const asked = std::getenv("HOURGLASS_WGMMA");
  return asked && std::string(asked) == "1" && gpu::has_wgmma();
}

template <class T>
void conv2d_forward_by(Conv2dPlan plan, const Context& ctx, const Conv2dShape& s, const T* x, const T* w,
                       const Conv2dEpilogue<T>& epilogue, Grad<T> y) {
  check("conv2d_forward", s, epilogue.activation);
  if (!y || s.N == 0 || s.P == 0 || s.Q == 0 || s.K == 0) return;
  require_technique(plan, Conv2dProduct::kForward, s, conv2d_lane<T>(ctx));
  if (plan.technique == Conv2dTechnique::kWgmma) {
    if constexpr (std::is_same_v<T, bf16>) {
      if (is_aligned(x) && is_aligned(w)) return conv2d_forward_by_wgmma(ctx, s, x, w, epilogue, y, plan.tile);
    }
    plan = {Conv2dTechnique::kTensorCores};
  }
  launch_gathers(plan, ctx, gathers_of(Conv2dProduct::kForward, s), operands(s, x, w, false, epilogue, y));
}

template <class T>
void conv2d_backward_input_by(Conv2dPlan plan, const Context& ctx, const Conv2dShape& s, const T* y, const T* w,
                              const Conv2dEpilogue<T>& epilogue, Grad<T> x) {
  check("conv2d_backward_input", s, epilogue.activation);
  if (!x || s.N == 0 || s.H == 0 || s.W == 0 || s.C == 0) return;
  require_technique(plan, Conv2dProduct::kBackwardInput, s, conv2d_lane<T>(ctx));
  launch_gathers(plan, ctx, gathers_of(Conv2dProduct::kBackwardInput, s), operands(s, y, w, true, epilogue, x));
}

template <class T>
size_t conv2d_backward_weight_scratch_bytes(const Conv2dShape& s) {
  check("conv2d_backward_weight", s, Activation::kNone);
  const Conv2dSlices slices(s);
  return slices.count > 1 ? static_cast<size_t>(slices.count * weight_elements(s)) * sizeof(float) : 0;
}

template <class T>
void conv2d_backward_weight_by(Conv2dPlan plan, const Context& ctx, const Conv2dShape& s, const T* x, const T* dy,
                               void* scratch, Grad<float> dw) {
  check("conv2d_backward_weight", s, Activation::kNone);
  const int64_t n = weight_elements(s);
  if (!dw || n == 0) return;
  require_technique(plan, Conv2dProduct::kBackwardWeight, s, conv2d_lane<T>(ctx));
  const Conv2dSlices slices(s);
  auto* const partials = static_cast<float*>(scratch);
  Conv2dWeightSlices<T> p;
  p.gather = forward_gather(s);
  p.x = x;
  p.dy = dy;
  p.dw = dw;
  if (slices.count > 1) p.dw = {partials, Write::kSet};
  p.slices = slices.count;
  p.each = slices.each;
  if (plan.technique == Conv2dTechnique::kDirect) conv2d_weight_directly(ctx, p);
  if constexpr (std::is_same_v<T, float>) {
    if (plan.technique == Conv2dTechnique::kCudaCores) conv2d_weight_on_cuda_cores(ctx, p);
  }
  if (plan.technique == Conv2dTechnique::kTensorCores) conv2d_weight_on_tensor_cores(ctx, p, plan.tile);
  if (slices.count == 1) return;
  gpu::launch(conv2d_weight_sum_slices_kernel, gpu::ceil_div(n, gpu::kWarp), kSumWarps * gpu::kWarp, 0,
              gpu::stream(ctx), n, slices.count, partials, dw);
}

template <class T>
void conv2d_forward(const Context& ctx, const Conv2dShape& s, const T* x, const T* w, const Conv2dEpilogue<T>& epilogue,
                    Grad<T> y) {
  check("conv2d_forward", s, epilogue.activation);  // before the plan looks at the shape
  const auto plan_of = wgmma_chosen() ? conv2d_plan_with_wgmma : conv2d_plan;
  conv2d_forward_by(plan_of(Conv2dProduct::kForward, s, conv2d_lane<T>(ctx)), ctx, s, x, w, epilogue, y);
}
template <class T>
void conv2d_backward_input(const Context& ctx, const Conv2dShape& s, const T* y, const T* w,
                           const Conv2dEpilogue<T>& epilogue, Grad<T> x) {
  check("conv2d_backward_input", s, epilogue.activation);
  conv2d_backward_input_by(conv2d_plan(Conv2dProduct::kBackwardInput, s, conv2d_lane<T>(ctx)), ctx, s, y, w, epilogue,
                           x);
}
template <class T>
void conv2d_backward_weight(const Context& ctx, const Conv2dShape& s, const T* x, const T* dy, void* scratch,
                            Grad<acc_t<T>> dw) {
  check("conv2d_backward_weight", s, Activation::kNone);
  conv2d_backward_weight_by(conv2d_plan(Conv2dProduct::kBackwardWeight, s, conv2d_lane<T>(ctx)), ctx, s, x, dy, scratch,
                            dw);
}

#define HOURGLASS_INSTANTIATE(T)                                                                                     \
  template void conv2d_forward_by(Conv2dPlan, const Context&, const Conv2dShape&, const T*, const T*,                \
                                  const Conv2dEpilogue<T>&, Grad<T>);                                                \
  template void conv2d_backward_input_by(Conv2dPlan, const Context&, const Conv2dShape&, const T*, const T*,         \
                                         const Conv2dEpilogue<T>&, Grad<T>);                                         \
  template void conv2d_backward_weight_by(Conv2dPlan, const Context&, const Conv2dShape&, const T*, const T*, void*, \
                                          Grad<float>);                                                              \
  template void conv2d_forward(const Context&, const Conv2dShape&, const T*, const T*, const Conv2dEpilogue<T>&,     \
                               Grad<T>);                                                                             \
  template void conv2d_backward_input(const Context&, const Conv2dShape&, const T*, const T*,                        \
                                      const Conv2dEpilogue<T>&, Grad<T>);                                            \
  template size_t conv2d_backward_weight_scratch_bytes<T>(const Conv2dShape&);                                       \
  template void conv2d_backward_weight(const Context&, const Conv2dShape&, const T*, const T*, void*, Grad<float>);
HOURGLASS_INSTANTIATE(float)
HOURGLASS_INSTANTIATE(bf16)
#undef HOURGLASS_INSTANTIATE

}  // namespace hourglass::cuda
