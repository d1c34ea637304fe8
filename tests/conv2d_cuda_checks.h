// SPDX-License-Identifier: Apache-2.0
// Runs the products of a convolution by one technique and holds them to the double reference.
#pragma once

#include "kernels/base/conv2d_technique.h"
#include "kernels/base/tensor_map.h"
#include "tests/cases/conv2d.h"
#include "tests/cuda_harness.h"

namespace hourglass::test {

/// Beside kConv2dCases: channels in whole vectors, sums in many slices, several tiles, many phases.
inline const std::vector<Conv2dShape> kConv2dTechniqueCases = {
    conv2d_case(1, 9, 9, 16, 24, 3, 1, 1),             // vectors of every lane
    conv2d_transposed_case(2, 5, 5, 40, 72, 4, 2, 1),  // four phases of equal taps, two tiles across
    conv2d_case(1, 7, 9, 136, 16, 3, 2, 1),            // phases of 1, 2 and 4 taps; more than a tile of terms
    conv2d_case(3, 20, 20, 8, 8, 3, 1, 1),             // several slices
    conv2d_case(2, 21, 20, 8, 3, 3, 1, 1),             // the same with few columns
    conv2d_case(2, 21, 20, 2, 72, 3, 1, 1),            // and few channels, two tiles of columns
    conv2d_case(1, 9, 9, 72, 3, 3, 1, 1),              // the direct weight gradient with all of its shared memory
    conv2d_case(1, 6, 5, 12, 20, 3, 4, 2),             // sixteen phases, most without a tap
    conv2d_exact_case(1, 8, 6, 4, 6, 5, 140, 5, 2, 3, 2, 1, 1, 2, 1),  // phases that differ in everything
};

/// Calls f(shape, whether it is one of kConv2dTechniqueCases).
template <class F>
void for_each_conv2d_case(F&& f) {
  const auto work = [](const Conv2dShape& s) { return int64_t{s.N} * s.P * s.Q * s.K * s.R * s.S * s.C; };
  for (const Conv2dShape& s : affordable(kConv2dCases, kMostProducts, work)) f(s, false);
  for (const Conv2dShape& s : kConv2dTechniqueCases) f(s, true);
}

inline int64_t x_size(const Conv2dShape& s) { return int64_t{s.N} * s.H * s.W * s.C; }
inline int64_t y_size(const Conv2dShape& s) { return int64_t{s.N} * s.P * s.Q * s.K; }
inline int64_t w_size(const Conv2dShape& s) { return int64_t{s.K} * s.R * s.S * s.C; }
inline int64_t output_size(Conv2dProduct product, const Conv2dShape& s) {
  return product == Conv2dProduct::kForward         ? y_size(s)
         : product == Conv2dProduct::kBackwardInput ? x_size(s)
                                                    : w_size(s);
}
inline int64_t terms(Conv2dProduct product, const Conv2dShape& s) {
  const int64_t window = int64_t{s.R} * s.S;
  if (product == Conv2dProduct::kBackwardWeight) return int64_t{s.N} * s.P * s.Q;
  return window * (product == Conv2dProduct::kForward ? s.C : s.K);
}

/// Operands of the three products: x, w, y (as an input), and what the epilogue adds.
template <class T>
struct Conv2dOperands {
  std::vector<T> x, w, y;
  std::vector<T> bias, residual;  ///< empty: none
  Activation activation = Activation::kNone;
};

template <class T, class Draw>
Conv2dOperands<T> conv2d_operands(Conv2dProduct product, const Conv2dShape& s, bool epilogue, Draw draw) {
  Conv2dOperands<T> o{draw(x_size(s), 1), draw(w_size(s), 2), draw(y_size(s), 3), {}, {}};
  if (!epilogue) return o;
  o.bias = draw(product == Conv2dProduct::kForward ? s.K : s.C, 4);
  o.residual = draw(output_size(product, s), 5);
  return o;
}

template <class T>
std::vector<double> conv2d_reference(Conv2dProduct product, const Conv2dShape& s, const Conv2dOperands<T>& o) {
  const auto x = converted<double>(o.x), w = converted<double>(o.w), y = converted<double>(o.y);
  const auto bias = converted<double>(o.bias), residual = converted<double>(o.residual);
  const Conv2dEpilogue<double> epilogue{bias.empty() ? nullptr : bias.data(),
                                        residual.empty() ? nullptr : residual.data(), o.activation};
  std::vector<double> out(static_cast<size_t>(output_size(product, s)));
  const Grad<double> to{out.data()};
  if (product == Conv2dProduct::kForward) cpu::conv2d_forward<double>({}, s, x.data(), w.data(), epilogue, to);
  if (product == Conv2dProduct::kBackwardInput)
    cpu::conv2d_backward_input<double>({}, s, y.data(), w.data(), epilogue, to);
  if (product == Conv2dProduct::kBackwardWeight) {
    std::vector<double> scratch(cpu::conv2d_backward_weight_scratch_bytes<double>(s) / sizeof(double) + 1);
    cpu::conv2d_backward_weight<double>({}, s, x.data(), y.data(), scratch.data(), to);
  }
  return out;
}

/// The output as floats (dw is float in every lane), under one context; `before`: what kAdd adds to.
template <class T>
std::vector<float> conv2d_once(Conv2dPlan plan, const Context& ctx, Conv2dProduct product, const Conv2dShape& s,
                               const Conv2dOperands<T>& o, const std::vector<float>& before = {}, int offset = 0) {
  const DeviceArray<T> x(o.x, offset), w(o.w, offset), y(o.y, offset), bias(o.bias, offset),
      residual(o.residual, offset);
  const Conv2dEpilogue<T> epilogue{o.bias.empty() ? nullptr : bias.data(),
                                   o.residual.empty() ? nullptr : residual.data(), o.activation};
  const Write mode = before.empty() ? Write::kSet : Write::kAdd;
  const int64_t n = output_size(product, s);
  if (product == Conv2dProduct::kBackwardWeight) {
    DeviceArray<float> scratch(static_cast<int64_t>(cuda::conv2d_backward_weight_scratch_bytes<T>(s) / sizeof(float)));
    DeviceArray<float> dw = before.empty() ? DeviceArray<float>(n, offset) : DeviceArray<float>(before, offset);
    cuda::conv2d_backward_weight_by<T>(plan, ctx, s, x.data(), y.data(), scratch.data(), {dw.data(), mode});
    return dw.values();
  }
  DeviceArray<T> out = before.empty() ? DeviceArray<T>(n, offset) : DeviceArray<T>(converted<T>(before), offset);
  if (product == Conv2dProduct::kForward) {
    cuda::conv2d_forward_by<T>(plan, ctx, s, x.data(), w.data(), epilogue, {out.data(), mode});
  } else {
    cuda::conv2d_backward_input_by<T>(plan, ctx, s, y.data(), w.data(), epilogue, {out.data(), mode});
  }
  return converted<float>(out.values());
}

inline Context with_math(Context ctx, Conv2dLane lane) {
  ctx.math = lane == Conv2dLane::kTf32 ? Math::kTf32 : Math::kFp32;
  return ctx;
}

/// Every technique that accepts the shape in this lane, wgmma with two sizes of tiles where the device has it; with
/// `large` also the large tiles of the tensor cores.
inline std::vector<Conv2dPlan> conv2d_plans(Conv2dProduct product, const Conv2dShape& s, Conv2dLane lane,
                                            bool large = false) {
  std::vector<Conv2dPlan> plans;
  for (Conv2dTechnique technique :
       {Conv2dTechnique::kDirect, Conv2dTechnique::kCudaCores, Conv2dTechnique::kTensorCores}) {
    // Multiplications in full are the fp32 lane's to test.
    if (lane == Conv2dLane::kTf32 && technique != Conv2dTechnique::kTensorCores) continue;
    if (conv2d_accepts(technique, product, s, lane)) plans.push_back({technique});
  }
  if (large && lane != Conv2dLane::kFp32) plans.push_back({Conv2dTechnique::kTensorCores, gpu::TileSize::kLarge});
  if (conv2d_accepts(Conv2dTechnique::kWgmma, product, s, lane) && gpu::has_wgmma()) {
    for (gpu::TileSize tile : {gpu::TileSize::kSmall, large ? gpu::TileSize::kLarge : gpu::TileSize::kMedium}) {
      plans.push_back({Conv2dTechnique::kWgmma, tile});
    }
  }
  return plans;
}

inline std::string conv2d_label(const Conv2dShape& s, Conv2dPlan plan) {
  return conv2d_name(s) + " by " + conv2d_technique_name(plan.technique) +
         (plan.tile == gpu::TileSize::kLarge   ? ", large tiles"
          : plan.tile == gpu::TileSize::kSmall ? ", small tiles"
                                               : "");
}

/// Rounds as the storage type does.
template <class T>
std::vector<float> stored(const std::vector<double>& values) {
  std::vector<float> out;
  for (double v : values) out.push_back(static_cast<float>(static_cast<T>(static_cast<float>(v))));
  return out;
}

}  // namespace hourglass::test
