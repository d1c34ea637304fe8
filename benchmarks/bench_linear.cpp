// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/linear.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

std::string name_of(const LinearShape& s) {
  return extents({s.N, s.C, s.K}) + "-" + activation_name(s.activation) + (s.transposed_weight ? "-tied" : "");
}

/// The memory of one layer.
struct Layer {
  explicit Layer(const LinearShape& s)
      : x(values<float>(int64_t{s.N} * s.C, 1)),
        w(values<float>(int64_t{s.C} * s.K, 2)),
        b(values<float>(s.K, 3)),
        dy(values<float>(int64_t{s.N} * s.K, 4)),
        y(dy.size()),
        dx(x.size()),
        dw(w.size()),
        db(b.size()),
        scratch(cpu::linear_backward_scratch_bytes({}, s, sizeof(float)) / sizeof(float)) {}
  std::vector<float> x, w, b, dy, y, dx, dw, db, scratch;
};

template <class F>
auto setup(const LinearShape& s, F f) {
  return [=](const Context& ctx) { return [=, layer = Layer(s)]() mutable { f(ctx, s, layer); }; };
}

void forward(const Context& ctx, const LinearShape& s, Layer& l) {
  cpu::linear_forward(ctx, s, l.x.data(), l.w.data(), l.b.data(), l.y.data());
}
void backward(const Context& ctx, const LinearShape& s, Layer& l) {
  cpu::linear_backward(ctx, s, l.x.data(), l.w.data(), l.y.data(), l.dy.data(), l.scratch.data(),
                       Grad<float>{l.dx.data()}, Grad<float>{l.dw.data()}, Grad<float>{l.db.data()});
}
void reference_forward(const Context& ctx, const LinearShape& s, Layer& l) {
  cpu::linear_forward<float>(ctx, s, l.x.data(), l.w.data(), l.b.data(), l.y.data());
}
void reference_backward(const Context& ctx, const LinearShape& s, Layer& l) {
  cpu::linear_backward<float>(ctx, s, l.x.data(), l.w.data(), l.y.data(), l.dy.data(), l.scratch.data(),
                              Grad<float>{l.dx.data()}, Grad<float>{l.dw.data()}, Grad<float>{l.db.data()});
}

}  // namespace

int main(int argc, char** argv) {
  auto shapes = kLinearCases;
  shapes.insert(shapes.end(), kLargeLinearCases.begin(), kLargeLinearCases.end());
  for (const LinearShape& s : shapes) {
    const double N = s.N, C = s.C, K = s.K, flops = 2 * N * C * K;
    if (flops < 1e6) continue;
    const Work once{.flops = flops, .bytes = 4 * (N * C + C * K + K + N * K)};
    const Work twice{.flops = 2 * flops, .bytes = 4 * (2 * N * C + 2 * C * K + K + 2 * N * K)};
    if (flops < 1e8) {
      add_threads({"linear_forward", "reference", name_of(s)}, once, 1, setup(s, reference_forward));
      add_threads({"linear_backward", "reference", name_of(s)}, twice, 1, setup(s, reference_backward));
    }
    add({"linear_forward", "fused", name_of(s)}, once, setup(s, forward));
    add({"linear_backward", "fused", name_of(s)}, twice, setup(s, backward));
  }
  return run(argc, argv);
}
