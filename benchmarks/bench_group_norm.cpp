// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/group_norm.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

/// The memory of one layer.
template <class T>
struct Layer {
  template <class Lane>
  Layer(const Lane& lane, const GroupNormShape& s)
      : x(values<T>(lane, int64_t{s.N} * s.pixels * s.C, 1)),
        dy(values<T>(lane, int64_t{s.N} * s.pixels * s.C, 2)),
        gamma(values<T>(lane, s.C, 3)),
        y(zeros<T>(lane, int64_t{s.N} * s.pixels * s.C)),
        mean(values<float>(lane, int64_t{s.N} * s.G, 4)),
        rstd(values<float>(lane, int64_t{s.N} * s.G, 5, 0.5, 1.5)),
        sums(zeros<float>(lane, s.C)),
        scratch(zeros<char>(lane, static_cast<int64_t>(group_norm_scratch_bytes(s, sizeof(float))))) {}
  Array<T> x, dy, gamma, y;
  Array<float> mean, rstd, sums;
  Array<char> scratch;
};

const auto forward = [](const auto& lane, const GroupNormShape& s, const auto& l) {
  BENCH_OP(group_norm_forward)
  (lane, s, l.x.data(), l.gamma.data(), l.gamma.data(), l.y.data(), l.mean.data(), l.rstd.data());
};
const auto backward = [](const auto& lane, const GroupNormShape& s, const auto& l) {
  BENCH_OP(group_norm_backward)
  (lane, s, l.x.data(), l.gamma.data(), l.mean.data(), l.rstd.data(), l.dy.data(), static_cast<void*>(l.scratch.data()),
   Grad{l.y.data()}, Grad{l.sums.data()}, Grad<float>{});
};

template <class F>
auto setup(const GroupNormShape& s, F f) {
  return [=](auto lane) { return [=, layer = Layer<typename decltype(lane)::type>(lane, s)] { f(lane, s, layer); }; };
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<GroupNormShape> shapes = {{32, 196, 64, 8}, {128, 196, 32, 8}};
  if (kEmulated) shapes.push_back(kGroupNormCases.front());
  for (const GroupNormShape& s : shapes) {
    const std::string shape = extents({s.N, s.pixels, s.C, s.G});
    const double n = 1.0 * s.N * s.pixels * s.C;
    add_forms_bf16({"group_norm_forward", shape}, {.elements = 2 * n}, setup(s, forward));
    add_forms_bf16({"group_norm_backward", shape}, {.elements = 3 * n}, setup(s, backward));
  }
  return run(argc, argv);
}
