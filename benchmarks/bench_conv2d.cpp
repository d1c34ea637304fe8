// SPDX-License-Identifier: Apache-2.0
// The sweep of tests/cases/conv2d.h: each product raw, and with bias and relu. HOURGLASS_CONV2D_GFLOP (8) bounds the
// work of a product on the CPU: the batch of larger shapes is cut to fit, and the name of a case says the batch it ran.
// Of cuDNN the label names the algorithm or engine that won; HOURGLASS_CUDNN_SECONDS (1) bounds the search for engines.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>

#include "benchmarks/cudnn_conv2d.h"
#include "benchmarks/harness.h"
#include "kernels/base/conv2d_technique.h"
#include "kernels/base/tensor_map.h"
#include "tests/cases/conv2d.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

double flops_of(const Conv2dShape& s) { return 2.0 * s.N * s.P * s.Q * s.K * s.R * s.S * s.C; }

double x_elements(const Conv2dShape& s) { return 1.0 * s.N * s.H * s.W * s.C; }
double y_elements(const Conv2dShape& s) { return 1.0 * s.N * s.P * s.Q * s.K; }
double w_elements(const Conv2dShape& s) { return 1.0 * s.K * s.R * s.S * s.C; }

/// The memory of one layer.
struct Layer {
  explicit Layer(const Conv2dShape& s)
      : x(values<float>(int64_t{s.N} * s.H * s.W * s.C, 1)),
        w(values<float>(int64_t{s.K} * s.R * s.S * s.C, 2)),
        y(values<float>(int64_t{s.N} * s.P * s.Q * s.K, 3)),
        bias(values<float>(std::max(s.C, s.K), 4)),
        to_x(x.size()),
        to_y(y.size()),
        to_w(w.size()),
        db(bias.size()),
        scratch(cpu::conv2d_backward_weight_scratch_bytes<float>(s) / sizeof(float)) {}
  std::vector<float> x, w, y, bias, to_x, to_y, to_w, db, scratch;
};

template <class F>
auto setup(const Conv2dShape& s, F f) {
  return [=](const Context& ctx) { return [=, layer = Layer(s)]() mutable { f(ctx, s, layer); }; };
}

Conv2dEpilogue<float> epilogue(const Layer& l, bool fused) {
  return fused ? Conv2dEpilogue<float>{l.bias.data(), nullptr, Activation::kRelu} : Conv2dEpilogue<float>{};
}

auto forward(bool fused) {
  return [=](const Context& ctx, const Conv2dShape& s, Layer& l) {
    cpu::conv2d_forward(ctx, s, l.x.data(), l.w.data(), epilogue(l, fused), Grad<float>{l.to_y.data()});
  };
}
auto backward_input(bool fused) {
  return [=](const Context& ctx, const Conv2dShape& s, Layer& l) {
    cpu::conv2d_backward_input(ctx, s, l.y.data(), l.w.data(), epilogue(l, fused), Grad<float>{l.to_x.data()});
  };
}
void backward_weight(const Context& ctx, const Conv2dShape& s, Layer& l) {
  cpu::conv2d_backward_weight(ctx, s, l.x.data(), l.y.data(), l.scratch.data(), Grad<float>{l.to_w.data()});
}
/// dz of relu where dy is y itself: a second time it changes nothing, so that every call does the same work. A
/// transposed layer's output is x.
auto backward_epilogue(bool transposed) {
  return [=](const Context& ctx, const Conv2dShape& s, Layer& l) {
    std::vector<float>& y = transposed ? l.x : l.y;
    const int channels = transposed ? s.C : s.K;
    const Conv2dEpilogueShape e{static_cast<int64_t>(y.size()) / channels, channels, Activation::kRelu};
    cpu::conv2d_backward_epilogue(ctx, e, y.data(), y.data(), Grad<float>{l.db.data()});
  };
}

void add_shape(const NamedConv2dShape& named, double limit) {
  Conv2dShape s = named.shape;
  while (s.N > 1 && flops_of(s) > limit) s.N /= 2;
  const std::string shape = std::string(named.name) + "-n" + std::to_string(s.N);
  const Work work{.flops = flops_of(s), .bytes = 4 * (x_elements(s) + y_elements(s) + w_elements(s))};
  for (bool fused : {false, true}) {
    const char* technique = fused ? "bias-relu" : "raw";
    add({"conv2d_forward", technique, shape}, work, setup(s, forward(fused)));
    add({"conv2d_backward_input", technique, shape}, work, setup(s, backward_input(fused)));
  }
  add({"conv2d_backward_weight", "raw", shape}, work, setup(s, backward_weight));
  add({"conv2d_backward_epilogue", "relu", shape}, {.bytes = 12 * (named.transposed ? x_elements(s) : y_elements(s))},
      setup(s, backward_epilogue(named.transposed)));
}

// ---------------------------------------------------------------- on the device

#if defined(HOURGLASS_CUDA_KERNELS)
/// The memory of one layer on the device.
template <class T>
struct DeviceLayer {
  DeviceLayer(const Context& ctx, const Conv2dShape& s)
      : x(random<T>(ctx, int64_t{s.N} * s.H * s.W * s.C, 1)),
        w(random<T>(ctx, int64_t{s.K} * s.R * s.S * s.C, 2)),
        y(random<T>(ctx, int64_t{s.N} * s.P * s.Q * s.K, 3)),
        bias(random<T>(ctx, std::max(s.C, s.K), 4)),
        out(zeros<T>(ctx, std::max(int64_t{s.N} * s.H * s.W * s.C, int64_t{s.N} * s.P * s.Q * s.K))),
        dw(zeros<float>(ctx, int64_t{s.K} * s.R * s.S * s.C)),
        scratch(zeros<float>(ctx,
                             static_cast<int64_t>(cuda::conv2d_backward_weight_scratch_bytes<T>(s) / sizeof(float)))) {}
  Array<T> x, w, y, bias, out;
  Array<float> dw, scratch;
};

template <class T>
void run_product(Conv2dPlan plan, Conv2dProduct product, bool fused, const Context& ctx, const Conv2dShape& s,
                 const DeviceLayer<T>& l) {
  const Conv2dEpilogue<T> epilogue{fused ? l.bias.data() : nullptr, nullptr,
                                   fused ? Activation::kRelu : Activation::kNone};
  if (product == Conv2dProduct::kForward)
    cuda::conv2d_forward_by<T>(plan, ctx, s, l.x.data(), l.w.data(), epilogue, {l.out.data()});
  if (product == Conv2dProduct::kBackwardInput)
    cuda::conv2d_backward_input_by<T>(plan, ctx, s, l.y.data(), l.w.data(), epilogue, {l.out.data()});
  if (product == Conv2dProduct::kBackwardWeight)
    cuda::conv2d_backward_weight_by<T>(plan, ctx, s, l.x.data(), l.y.data(), l.scratch.data(), {l.dw.data()});
}

/// Every technique that takes the shape, at the full batch; `-chosen` is the one that conv2d_plan takes. The roofline
/// of tf32 is that of float, which it may pass.
template <class T>
void add_on_device(const NamedConv2dShape& named, Conv2dLane lane, const char* type) {
  const Conv2dShape s = named.shape;
  constexpr const char* kOps[] = {"conv2d_forward", "conv2d_backward_input", "conv2d_backward_weight"};
  const Work work{.flops = flops_of(s), .bytes = sizeof(T) * (x_elements(s) + y_elements(s) + w_elements(s))};
  for (int i = 0; i < 3; ++i) {
    const auto product = static_cast<Conv2dProduct>(i);
    const Conv2dPlan chosen = conv2d_plan(product, s, lane);
    for (Conv2dTechnique technique : {Conv2dTechnique::kDirect, Conv2dTechnique::kCudaCores,
                                      Conv2dTechnique::kTensorCores, Conv2dTechnique::kWgmma}) {
      if (!conv2d_accepts(technique, product, s, lane)) continue;
      const bool wgmma = technique == Conv2dTechnique::kWgmma;
      if (wgmma && !gpu::has_wgmma()) continue;
      if (lane == Conv2dLane::kTf32 && technique != Conv2dTechnique::kTensorCores) continue;
      if (models_only() && technique != chosen.technique) continue;
      const Conv2dPlan plan{technique, wgmma ? conv2d_wgmma_tile(s) : chosen.tile};
      for (bool fused : {false, true}) {
        if (fused && product == Conv2dProduct::kBackwardWeight) continue;
        std::string name = conv2d_technique_name(technique);
        std::replace(name.begin(), name.end(), ' ', '-');
        if (technique == chosen.technique) name += "-chosen";
        add_device({kOps[i], name + (fused ? "-bias-relu" : ""), named.name, type}, work,
                   sizeof(T) == 2 ? Dtype::kBF16 : Dtype::kF32, [=](Context ctx) {
                     ctx.math = lane == Conv2dLane::kTf32 ? Math::kTf32 : Math::kFp32;
                     return [=, layer = DeviceLayer<T>(ctx, s)] { run_product(plan, product, fused, ctx, s, layer); };
                   });
      }
    }
  }
}
#endif

#if defined(HOURGLASS_HAS_CUDNN)
double cudnn_seconds() {
  const char* given = std::getenv("HOURGLASS_CUDNN_SECONDS");
  return given ? std::atof(given) : 1;
}

/// The rival, as fast as its exhaustive search finds. Its gradient of the weight has the storage type. All sets of
/// buffers share one search and one workspace.
template <class T>
void add_cudnn(const NamedConv2dShape& named, Conv2dLane lane, const char* type) {
  const Conv2dShape s = named.shape;
  constexpr const char* kOps[] = {"conv2d_forward", "conv2d_backward_input", "conv2d_backward_weight"};
  const Work work{.flops = flops_of(s), .bytes = sizeof(T) * (x_elements(s) + y_elements(s) + w_elements(s))};
  for (int i = 0; i < 3; ++i) {
    const auto product = static_cast<Conv2dProduct>(i);
    for (bool fused : {false, true}) {
      if (fused && product != Conv2dProduct::kForward) continue;
      const auto found = std::make_shared<std::weak_ptr<CudnnConv2d<T>>>();
      const auto prepare = [=](Context ctx) {
        ctx.math = lane == Conv2dLane::kTf32 ? Math::kTf32 : Math::kFp32;
        const DeviceLayer<T> layer(ctx, s);
        const auto dw = zeros<T>(ctx, int64_t{s.K} * s.R * s.S * s.C);
        const bool weight = product == Conv2dProduct::kBackwardWeight;
        const T* in = product == Conv2dProduct::kBackwardInput ? layer.y.data() : layer.x.data();
        const T* other = weight ? layer.y.data() : layer.w.data();
        T* out = weight ? dw.data() : layer.out.data();
        auto cudnn = found->lock();
        if (!cudnn) {
          cudnn = std::make_shared<CudnnConv2d<T>>(ctx, product, s, in, other, out, cudnn_seconds(),
                                                   fused ? layer.bias.data() : nullptr);
          *found = cudnn;
        }
        return [=, dw = dw] {
          fused ? cudnn->run_bias_relu(in, other, layer.bias.data(), out) : cudnn->run(in, other, out);
        };
      };
      add_device({kOps[i], fused ? "cudnn-bias-relu" : "cudnn", named.name, type}, work,
                 sizeof(T) == 2 ? Dtype::kBF16 : Dtype::kF32, prepare, [=] {
                   const auto cudnn = found->lock();
                   return cudnn ? cudnn->name() : std::string();
                 });
    }
  }
}
#endif

void add_everywhere(const NamedConv2dShape& named, double limit) {
  add_shape(named, limit);
#if defined(HOURGLASS_CUDA_KERNELS)
  if (!device_usable()) return;
  add_on_device<float>(named, Conv2dLane::kFp32, "f32");
  add_on_device<float>(named, Conv2dLane::kTf32, "tf32");
  add_on_device<bf16>(named, Conv2dLane::kBf16, "bf16");
#if defined(HOURGLASS_HAS_CUDNN)
  add_cudnn<float>(named, Conv2dLane::kFp32, "f32");
  add_cudnn<float>(named, Conv2dLane::kTf32, "tf32");
  add_cudnn<bf16>(named, Conv2dLane::kBf16, "bf16");
#endif
#endif
}

}  // namespace

int main(int argc, char** argv) {
  const char* given = std::getenv("HOURGLASS_CONV2D_GFLOP");
  const double limit = 1e9 * (given ? std::atof(given) : 8);
  for (const NamedConv2dShape& named : kConv2dModels) add_everywhere(named, limit);
  for (const NamedConv2dShape& named : kConv2dSweep) add_everywhere(named, limit);
#if defined(HOURGLASS_CUDA_EMULATED)
  for (const NamedConv2dShape& named : {NamedConv2dShape{"small", false, conv2d_case(2, 8, 8, 8, 16, 4, 2, 1)},
                                        NamedConv2dShape{"small-first", false, conv2d_case(2, 8, 8, 1, 16, 4, 2, 1)}})
    add_everywhere(named, limit);  // what the emulator can run
#endif
  return run(argc, argv);
}
