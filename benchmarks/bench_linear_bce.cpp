// SPDX-License-Identifier: Apache-2.0
// The last layer and its loss, fused, beside the two ops that it stands for.
#include "benchmarks/harness.h"
#include "kernels/bernoulli_nll.h"
#include "tests/cases/linear_bce.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

template <class T>
struct Buffers {
  template <class Lane>
  Buffers(const Lane& ctx, const LinearBceShape& s)
      : x(values<T>(ctx, int64_t{s.N} * s.C, 1)),
        w(values<T>(ctx, int64_t{s.C} * s.K, 2)),
        b(values<T>(ctx, s.K, 3)),
        target(values<T>(ctx, int64_t{s.N} / s.draws * s.K, 4, 0, 1)),
        logits(zeros<T>(ctx, int64_t{s.N} * s.K)),
        dlogits(zeros<T>(ctx, int64_t{s.N} * s.K)),
        value(one<float>(ctx)),
        scratch(zeros<char>(ctx, static_cast<int64_t>(linear_bce_scratch_bytes(ctx, s)))) {}
  Array<T> x, w, b, target, logits, dlogits;
  Array<float> value;
  Array<char> scratch;
};

const auto fused = [](const auto& lane, const LinearBceShape& s, const auto& m) {
  BENCH_OP(linear_bce_loss)
  (lane, s, m.x.data(), m.w.data(), m.b.data(), m.target.data(), Weight{}, static_cast<void*>(m.scratch.data()),
   Grad{m.value.data()}, m.dlogits.data());
};
const auto composed = [](const auto& lane, const LinearBceShape& s, const auto& m) {
  BENCH_OP(linear_forward)(lane, s.layer(), m.x.data(), m.w.data(), m.b.data(), m.logits.data());
  BENCH_OP(bernoulli_nll_loss)
  (lane, s.loss(), m.logits.data(), m.target.data(), Weight{}, Grad{m.value.data()}, Grad{m.dlogits.data()});
};

template <class F>
auto setup(const LinearBceShape& s, F f) {
  return [=](auto lane) { return [=, m = Buffers<typename decltype(lane)::type>(lane, s)] { f(lane, s, m); }; };
}

}  // namespace

int main(int argc, char** argv) {
  auto shapes = test::kLinearBceCases;
  shapes.insert(shapes.end(), test::kLargeLinearBceCases.begin(), test::kLargeLinearBceCases.end());
  for (const LinearBceShape& s : shapes) {
    const double N = s.N, C = s.C, K = s.K;
    const Work work{.flops = 2 * N * C * K, .elements = N * C + C * K + K + N * K * (1 + 1.0 / s.draws)};
    if (work.flops < 1e6 && !kEmulated) continue;
    const std::string shape = extents({s.N, s.C, s.K, s.draws}) + (s.transposed_weight ? "-tied" : "");
    add_forms_bf16({"linear_bce_loss", shape, "fused"}, work, setup(s, fused));
    add_forms_bf16({"linear_bce_composed", shape, "composed"}, work, setup(s, composed));
  }
  return run(argc, argv);
}
