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
template <class T>
struct Layer {
  template <class Lane>
  Layer(const Lane& ctx, const LinearShape& s)
      : x(values<T>(ctx, int64_t{s.N} * s.C, 1)),
        w(values<T>(ctx, int64_t{s.C} * s.K, 2)),
        b(values<T>(ctx, s.K, 3)),
        dy(values<T>(ctx, int64_t{s.N} * s.K, 4)),
        y(zeros<T>(ctx, int64_t{s.N} * s.K)),
        dx(zeros<T>(ctx, int64_t{s.N} * s.C)),
        dw(zeros<float>(ctx, int64_t{s.C} * s.K)),
        db(zeros<float>(ctx, s.K)),
        scratch(zeros<char>(ctx, static_cast<int64_t>(linear_backward_scratch_bytes(ctx, s, sizeof(T))))) {}
  Array<T> x, w, b, dy, y, dx;
  Array<float> dw, db;
  Array<char> scratch;
};

const auto forward = [](const auto& lane, const LinearShape& s, const auto& l) {
  BENCH_OP(linear_forward)(lane, s, l.x.data(), l.w.data(), l.b.data(), l.y.data());
};
const auto backward = [](const auto& lane, const LinearShape& s, const auto& l) {
  BENCH_OP(linear_backward)
  (lane, s, l.x.data(), l.w.data(), l.y.data(), l.dy.data(), static_cast<void*>(l.scratch.data()), Grad{l.dx.data()},
   Grad{l.dw.data()}, Grad{l.db.data()});
};

template <class F>
auto setup(const LinearShape& s, F f) {
  return [=](auto lane) { return [=, layer = Layer<typename decltype(lane)::type>(lane, s)] { f(lane, s, layer); }; };
}

}  // namespace

int main(int argc, char** argv) {
  auto shapes = kLinearCases;
  shapes.insert(shapes.end(), kLargeLinearCases.begin(), kLargeLinearCases.end());
  for (const LinearShape& s : shapes) {
    const double N = s.N, C = s.C, K = s.K, flops = 2 * N * C * K;
    if (flops < 1e6 && !kEmulated) continue;
    add_forms_bf16({"linear_forward", name_of(s), "fused"}, {.flops = flops, .elements = N * C + C * K + K + N * K},
                   setup(s, forward));
    add_forms_bf16({"linear_backward", name_of(s), "fused"},
                   {.flops = 2 * flops, .elements = 2 * N * C + 2 * C * K + K + 2 * N * K}, setup(s, backward));
  }
  return run(argc, argv);
}
