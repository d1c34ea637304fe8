// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/pool2d.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

/// The memory of one layer; argmax is that of x.
template <class T>
struct Layer {
  template <class Lane>
  Layer(const Lane& lane, const Pool2dShape& s)
      : x(values<T>(lane, int64_t{s.N} * s.H * s.W * s.C, 1)),
        y(zeros<T>(lane, int64_t{s.N} * s.P * s.Q * s.C)),
        argmax(zeros<int32_t>(lane, int64_t{s.N} * s.P * s.Q * s.C)) {
    max_pool2d_forward(lane, s, x.data(), y.data(), argmax.data());
  }
  Array<T> x, y;
  Array<int32_t> argmax;
};

const auto max_forward = [](const auto& lane, const Pool2dShape& s, const auto& l) {
  BENCH_OP(max_pool2d_forward)(lane, s, l.x.data(), l.y.data(), l.argmax.data());
};
const auto max_backward = [](const auto& lane, const Pool2dShape& s, const auto& l) {
  BENCH_OP(max_pool2d_backward)(lane, s, l.argmax.data(), l.y.data(), Grad{l.x.data()});
};
const auto average_forward = [](const auto& lane, const Pool2dShape& s, const auto& l) {
  BENCH_OP(average_pool2d_forward)(lane, s, l.x.data(), l.y.data());
};
const auto average_backward = [](const auto& lane, const Pool2dShape& s, const auto& l) {
  BENCH_OP(average_pool2d_backward)(lane, s, l.y.data(), Grad{l.x.data()});
};

template <class F>
auto setup(const Pool2dShape& s, F f) {
  return [=](auto lane) { return [=, layer = Layer<typename decltype(lane)::type>(lane, s)] { f(lane, s, layer); }; };
}

}  // namespace

int main(int argc, char** argv) {
  auto shapes = kPool2dTimed;
  if (kEmulated) shapes.push_back(kPool2dCases.front());
  for (const Pool2dShape& s : shapes) {
    const std::string shape =
        extents({s.N, s.H, s.W, s.C}) + "_" + extents({s.R, s.S}) + "s" + std::to_string(s.stride_h);
    const double x = 1.0 * s.N * s.H * s.W * s.C, y = 1.0 * s.N * s.P * s.Q * s.C;
    const Work with_argmax{.bytes = 4 * y, .elements = x + y}, plain{.elements = x + y};
    add_forms_bf16({"max_pool2d_forward", shape}, with_argmax, setup(s, max_forward));
    add_forms_bf16({"max_pool2d_backward", shape}, with_argmax, setup(s, max_backward));
    add_forms_bf16({"average_pool2d_forward", shape}, plain, setup(s, average_forward));
    add_forms_bf16({"average_pool2d_backward", shape}, plain, setup(s, average_backward));
  }
  return run(argc, argv);
}
