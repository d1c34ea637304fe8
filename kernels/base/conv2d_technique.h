// SPDX-License-Identifier: Apache-2.0
// Which CUDA kernels compute a convolution (conv2d.h): the choice, a function of shapes alone, and the products by a
// given technique, so that tests and benchmarks run every technique on every shape that it accepts.
#pragma once

#include <limits>

#include "kernels/base/conv2d_box.h"
#include "kernels/base/conv2d_gather.h"
#include "kernels/base/gemm_cut.h"

namespace hourglass {

enum class Conv2dProduct : uint8_t { kForward, kBackwardInput, kBackwardWeight };

enum class Conv2dTechnique : uint8_t {
  kDirect,       ///< each thread sums its outputs; for at most four channels in or out
  kCudaCores,    ///< implicit GEMM, float multiplied in full
  kTensorCores,  ///< implicit GEMM by mma.sync: bf16, or float rounded to tf32
  kWgmma,        ///< the same of bf16, forward, by wgmma: for compute capability 9 (base/tensor_map.h: has_wgmma)
};
inline const char* conv2d_technique_name(Conv2dTechnique technique) {
  constexpr const char* kNames[] = {"direct", "cuda cores", "tensor cores", "wgmma"};
  return kNames[static_cast<int>(technique)];
}

struct Conv2dPlan {
  Conv2dTechnique technique = Conv2dTechnique::kCudaCores;
  gpu::TileSize tile = gpu::TileSize::kMedium;  ///< of kTensorCores: kMedium or kLarge; of kWgmma: wgmma_columns()
};

/// What elements are multiplied as.
enum class Conv2dLane : uint8_t { kFp32, kTf32, kBf16 };
template <class T>
Conv2dLane conv2d_lane(const Context& ctx) {
  if (sizeof(T) == 2) return Conv2dLane::kBf16;
  return ctx.math == Math::kTf32 ? Conv2dLane::kTf32 : Conv2dLane::kFp32;
}

inline std::vector<Conv2dGather> gathers_of(Conv2dProduct product, const Conv2dShape& s) {
  if (product == Conv2dProduct::kBackwardInput) return backward_gathers(s);
  return {forward_gather(s)};
}

inline constexpr int kFewChannels = 4;
/// Terms of a sum over few channels, and filter elements of few columns, that a block keeps in shared memory.
inline constexpr int kMostDirectTerms = 192, kMostDirectFilter = 16384;

inline bool conv2d_direct_accepts(Conv2dProduct product, const Conv2dShape& s) {
  const int few = std::min(s.C, s.K);
  if (few < 1 || few > kFewChannels) return false;
  if (product == Conv2dProduct::kBackwardWeight) return true;
  for (const Conv2dGather& g : gathers_of(product, s)) {
    const bool narrow = g.columns <= kFewChannels;
    if (narrow ? int64_t{g.h.taps} * g.w.taps * ((g.channels + 3) / 4 * 4) * g.columns > kMostDirectFilter
               : g.depth > kMostDirectTerms)
      return false;
  }
  return true;
}

inline bool conv2d_accepts(Conv2dTechnique technique, Conv2dProduct product, const Conv2dShape& s, Conv2dLane lane) {
  if (technique == Conv2dTechnique::kTensorCores) return lane != Conv2dLane::kFp32;
  if (technique == Conv2dTechnique::kCudaCores) return lane != Conv2dLane::kBf16;
  if (technique == Conv2dTechnique::kWgmma) {
    return lane == Conv2dLane::kBf16 && product == Conv2dProduct::kForward && conv2d_wgmma_accepts(s);
  }
  return conv2d_direct_accepts(product, s);
}

/// Few channels leave tensor cores idle, and memory is the limit. Large tiles read each operand half as often, but a
/// card wants a tile for each of its multiprocessors, and of 64 rows or columns they would leave half idle.
inline Conv2dPlan conv2d_plan(Conv2dProduct product, const Conv2dShape& s, Conv2dLane lane) {
  if (conv2d_accepts(Conv2dTechnique::kDirect, product, s, lane)) return {Conv2dTechnique::kDirect};
  if (lane == Conv2dLane::kFp32) return {Conv2dTechnique::kCudaCores};
  int64_t tiles = 0, narrowest = std::numeric_limits<int64_t>::max();
  for (const Conv2dGather& g : gathers_of(product, s)) {
    const bool weight = product == Conv2dProduct::kBackwardWeight;
    const int64_t rows = weight ? g.columns : g.pixels, columns = weight ? g.depth : g.columns;
    narrowest = std::min({narrowest, rows, columns});
    tiles += int64_t{gpu::detail::divide_up(rows, 128)} * gpu::detail::divide_up(columns, 128);
  }
  if (product == Conv2dProduct::kBackwardWeight) tiles *= gpu::detail::kMultiprocessors;  // slices make up for few
  const bool large = narrowest > 64 && tiles >= gpu::detail::kMultiprocessors;
  return {Conv2dTechnique::kTensorCores, large ? gpu::TileSize::kLarge : gpu::TileSize::kMedium};
}

/// The same where wgmma may be chosen.
inline Conv2dPlan conv2d_plan_with_wgmma(Conv2dProduct product, const Conv2dShape& s, Conv2dLane lane) {
  const Conv2dPlan plan = conv2d_plan(product, s, lane);
  const bool portable = plan.technique == Conv2dTechnique::kTensorCores;
  if (!portable || !conv2d_accepts(Conv2dTechnique::kWgmma, product, s, lane) || !conv2d_wgmma_pays(s)) return plan;
  return {Conv2dTechnique::kWgmma, conv2d_wgmma_tile(s)};
}

/// The sum over pixels of backward_weight, cut so that few weights still fill a card: slice i has the pixels
/// [i each, (i + 1) each). The same for every technique and lane.
struct Conv2dSlices {
  int count = 1, each = 0;
  explicit Conv2dSlices(const Conv2dShape& s) {
    constexpr int kTile = 64, kLeast = 256, kUnit = 32;  // weights of a block; pixels of a slice; what they divide by
    const int64_t pixels = int64_t{s.N} * s.P * s.Q, terms = int64_t{s.R} * s.S * s.C;
    const int64_t tiles =
        std::max<int64_t>(1, int64_t{gpu::detail::divide_up(s.K, kTile)} * gpu::detail::divide_up(terms, kTile));
    const int64_t wanted =
        std::clamp<int64_t>(2 * gpu::detail::kMultiprocessors / tiles, 1, std::max<int64_t>(1, pixels / kLeast));
    each = gpu::detail::divide_up(pixels, wanted * kUnit) * kUnit;
    if (each > 0) count = gpu::detail::divide_up(pixels, each);
  }
};

namespace cuda {

/// Whether conv2d_forward, and gemm (of benchmarks and tests alone), may choose wgmma: where the device has it and
/// HOURGLASS_WGMMA=1 asks for it. Off until a card has timed it.
bool wgmma_chosen();

/// The products of conv2d.h by a technique that accepts them. kWgmma copies from addresses that are multiples of 16;
/// for others it is kTensorCores.
template <class T>
void conv2d_forward_by(Conv2dPlan plan, const Context& ctx, const Conv2dShape& s, const T* x, const T* w,
                       const Conv2dEpilogue<T>& epilogue, Grad<T> y);
template <class T>
void conv2d_backward_input_by(Conv2dPlan plan, const Context& ctx, const Conv2dShape& s, const T* y, const T* w,
                              const Conv2dEpilogue<T>& epilogue, Grad<T> x);
template <class T>
void conv2d_backward_weight_by(Conv2dPlan plan, const Context& ctx, const Conv2dShape& s, const T* x, const T* dy,
                               void* scratch, Grad<float> dw);

}  // namespace cuda
}  // namespace hourglass
