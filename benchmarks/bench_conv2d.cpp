// SPDX-License-Identifier: Apache-2.0
// The sweep of tests/cases/conv2d.h: each product raw, and with bias and relu. HOURGLASS_CONV2D_GFLOP (8) bounds the
// work of a product: the batch of larger shapes is cut to fit, and the name of a case says the batch it ran.
#include <cstdlib>

#include "benchmarks/harness.h"
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

}  // namespace

int main(int argc, char** argv) {
  const char* given = std::getenv("HOURGLASS_CONV2D_GFLOP");
  const double limit = 1e9 * (given ? std::atof(given) : 8);
  for (const NamedConv2dShape& named : kConv2dModels) add_shape(named, limit);
  for (const NamedConv2dShape& named : kConv2dSweep) add_shape(named, limit);
  return run(argc, argv);
}
