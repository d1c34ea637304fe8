// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/batch_norm.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

/// The memory of one layer.
template <class T>
struct Layer {
  template <class Lane>
  Layer(const Lane& lane, const BatchNormShape& s)
      : x(values<T>(lane, s.rows * s.C, 1)),
        dy(values<T>(lane, s.rows * s.C, 2)),
        gamma(values<T>(lane, s.C, 3)),
        beta(values<T>(lane, s.C, 4)),
        y(zeros<T>(lane, s.rows * s.C)),
        mean(values<float>(lane, s.C, 5)),
        rstd(values<float>(lane, s.C, 6, 0.5, 1.5)),
        moments(zeros<float>(lane, 3 * s.C)),
        scratch(zeros<char>(lane, static_cast<int64_t>(batch_norm_scratch_bytes(s, sizeof(float))))) {}
  void* memory() const { return scratch.data(); }
  Array<T> x, dy, gamma, beta, y;
  Array<float> mean, rstd, moments;
  Array<char> scratch;
};

const auto forward = [](const auto& lane, const BatchNormShape& s, const auto& l) {
  BENCH_OP(batch_norm_forward)
  (lane, s, l.x.data(), l.gamma.data(), l.beta.data(), l.memory(), l.y.data(), l.mean.data(), l.rstd.data(),
   Grad{l.moments.data()});
};
const auto inference = [](const auto& lane, const BatchNormShape& s, const auto& l) {
  BENCH_OP(batch_norm_inference)
  (lane, s, l.x.data(), l.gamma.data(), l.beta.data(), l.mean.data(), l.rstd.data(), l.y.data());
};
const auto backward = [](const auto& lane, const BatchNormShape& s, const auto& l) {
  BENCH_OP(batch_norm_backward)
  (lane, s, l.x.data(), l.gamma.data(), l.mean.data(), l.rstd.data(), l.dy.data(), l.memory(), Grad{l.y.data()},
   Grad{l.moments.data()}, Grad{l.moments.data() + s.C});
};

template <class F>
auto setup(const BatchNormShape& s, F f) {
  return [=](auto lane) { return [=, layer = Layer<typename decltype(lane)::type>(lane, s)] { f(lane, s, layer); }; };
}

}  // namespace

int main(int argc, char** argv) {
  auto shapes = kLargeBatchNormCases;
  if (kEmulated) shapes.push_back(kBatchNormCases.front());
  for (const BatchNormShape& s : shapes) {
    const std::string shape = extents({s.rows, s.C});
    const double n = static_cast<double>(s.rows) * s.C;
    // Least work: x is read twice, once for its moments; dx needs sums over all of x and dy before its first element.
    add_forms_bf16({"batch_norm_forward", shape}, {.elements = 3 * n}, setup(s, forward));
    add_forms_bf16({"batch_norm_inference", shape}, {.elements = 2 * n}, setup(s, inference));
    add_forms_bf16({"batch_norm_backward", shape}, {.elements = 5 * n}, setup(s, backward));
  }
  const int C = 512;
  add_forms({"batch_norm_update", extents({C}), nullptr}, {.bytes = 4.0 * 8 * C}, [=](auto lane) {
    return [=, moments = values<float>(lane, 3 * C), mean = zeros<float>(lane, C), var = zeros<float>(lane, C)] {
      BENCH_OP(batch_norm_update)
      (lane, C, 0.1, static_cast<const Fault*>(nullptr), moments.data(), mean.data(), var.data());
    };
  });
  return run(argc, argv);
}
