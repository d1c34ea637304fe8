// SPDX-License-Identifier: Apache-2.0
// Between conv2d.cu, which checks and chooses, and the files of the techniques.
#pragma once

#include "kernels/base/conv2d_operands.cuh"
#include "kernels/base/conv2d_technique.h"

namespace hourglass::cuda {

/// Up to four gathers of one launch: blockIdx.z says which. Stride 2 has four phases.
template <class T>
struct Conv2dGathers {
  static constexpr int kMost = 4;
  Conv2dGather gathers[kMost];
  int count = 0;
  const T *in, *w;
  int window;     ///< R S
  bool backward;  ///< phases of the gradient of the input
  Conv2dEpilogue<T> epilogue;
  Grad<T> out;

  int most_pixels() const {
    int most = 0;
    for (int i = 0; i < count; ++i) most = std::max(most, gathers[i].pixels);
    return most;
  }
  int most_depth() const {
    int most = 0;
    for (int i = 0; i < count; ++i) most = std::max(most, gathers[i].depth);
    return most;
  }
  /// Whether runs of `n` elements (a multiple of 4) of every operand lie inside or outside together, aligned.
  bool has_runs(int n) const {
    const auto aligned = [](const void* p, size_t bytes) { return reinterpret_cast<uintptr_t>(p) % bytes == 0; };
    const int channels = gathers[0].channels, columns = gathers[0].columns;
    return channels % n == 0 && (backward ? columns % n : columns % 4) == 0 && aligned(in, n * sizeof(T)) &&
           aligned(w, n * sizeof(T)) && aligned(epilogue.bias, 4 * sizeof(T)) &&
           aligned(epilogue.residual, 4 * sizeof(T)) && aligned(out.data, 4 * sizeof(T));
  }
};

/// The part of backward_weight before the slices are added: slice i goes to dw.data + i K R S C.
template <class T>
struct Conv2dWeightSlices {
  Conv2dGather gather;  ///< the forward one
  const T *x, *dy;
  Grad<float> dw;
  int slices, each;

  bool has_runs(int n) const {
    const auto aligned = [](const void* p, size_t bytes) { return reinterpret_cast<uintptr_t>(p) % bytes == 0; };
    return gather.channels % n == 0 && gather.columns % n == 0 && aligned(x, n * sizeof(T)) &&
           aligned(dy, n * sizeof(T)) && aligned(dw.data, 4 * sizeof(float));
  }
};

template <class T>
void conv2d_gather_on_cuda_cores(const Context& ctx, const Conv2dGathers<T>& p, bool alone);
template <class T>
void conv2d_gather_on_tensor_cores(const Context& ctx, const Conv2dGathers<T>& p, gpu::TileSize tile);
template <class T>
void conv2d_gather_directly(const Context& ctx, const Conv2dGathers<T>& p);

void conv2d_forward_by_wgmma(const Context& ctx, const Conv2dShape& s, const bf16* x, const bf16* w,
                             const Conv2dEpilogue<bf16>& epilogue, Grad<bf16> y, gpu::TileSize tile);

template <class T>
void conv2d_weight_on_cuda_cores(const Context& ctx, const Conv2dWeightSlices<T>& p);
template <class T>
void conv2d_weight_on_tensor_cores(const Context& ctx, const Conv2dWeightSlices<T>& p, gpu::TileSize tile);
template <class T>
void conv2d_weight_directly(const Context& ctx, const Conv2dWeightSlices<T>& p);

}  // namespace hourglass::cuda
