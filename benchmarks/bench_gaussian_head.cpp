// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/gaussian_head.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

template <class T>
struct Buffers {
  template <class Lane>
  Buffers(const Lane& ctx, const GaussianHeadShape& s)
      : x(values<T>(ctx, int64_t{s.N} * s.C, 1)),
        w(values<T>(ctx, int64_t{s.C} * 2 * s.D, 2)),
        b(values<T>(ctx, 2 * s.D, 3)),
        dz(values<T>(ctx, int64_t{s.N} * s.draws * s.D, 4)),
        head(zeros<T>(ctx, int64_t{s.N} * 2 * s.D)),
        z(zeros<T>(ctx, int64_t{s.N} * s.draws * s.D)),
        dx(zeros<T>(ctx, int64_t{s.N} * s.C)),
        kl(zeros<float>(ctx, s.N)),
        value(one<float>(ctx)),
        dw(zeros<float>(ctx, int64_t{s.C} * 2 * s.D)),
        db(zeros<float>(ctx, 2 * s.D)),
        scratch(zeros<char>(ctx, static_cast<int64_t>(gaussian_head_backward_scratch_bytes(ctx, s, sizeof(T))))) {
    noise.draws = s.draws;
  }
  Array<T> x, w, b, dz, head, z, dx;
  Array<float> kl, value, dw, db;
  Array<char> scratch;
  Noise noise;
};

const auto forward = [](const auto& lane, const GaussianHeadShape& s, const auto& m) {
  BENCH_OP(gaussian_head_forward)
  (lane, s, m.x.data(), m.w.data(), m.b.data(), m.noise, m.head.data(), m.z.data(), m.kl.data());
};
const auto backward = [](const auto& lane, const GaussianHeadShape& s, const auto& m) {
  BENCH_OP(gaussian_head_backward)
  (lane, s, m.x.data(), m.w.data(), m.head.data(), m.noise, m.dz.data(), Weight{}, m.kl.data(),
   static_cast<void*>(m.scratch.data()), Grad{m.value.data()}, Grad{m.dx.data()}, Grad{m.dw.data()}, Grad{m.db.data()});
};

template <class F>
auto setup(const GaussianHeadShape& s, F f) {
  return [=](auto lane) { return [=, m = Buffers<typename decltype(lane)::type>(lane, s)] { f(lane, s, m); }; };
}

}  // namespace

int main(int argc, char** argv) {
  auto shapes = test::kGaussianHeadCases;
  shapes.insert(shapes.end(), test::kLargeGaussianHeadCases.begin(), test::kLargeGaussianHeadCases.end());
  for (const GaussianHeadShape& s : shapes) {
    const double N = s.N, C = s.C, D = s.D, flops = 4 * N * C * D;
    if (flops < 1e6 && !kEmulated) continue;
    const std::string shape = extents({s.N, s.C, s.D, s.draws});
    add_forms_bf16({"gaussian_head_forward", shape, "fused"},
                   {.flops = flops, .elements = N * C + 2 * C * D + N * D * (2 + s.draws)}, setup(s, forward));
    add_forms_bf16({"gaussian_head_backward", shape, "fused"},
                   {.flops = 2 * flops, .elements = 2 * N * C + 4 * C * D + N * D * (2 + s.draws)}, setup(s, backward));
  }
  return run(argc, argv);
}
