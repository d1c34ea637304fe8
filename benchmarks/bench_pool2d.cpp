// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "tests/cases/pool2d.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

struct Buffers {
  std::vector<float> x, y;
  std::vector<int32_t> argmax;
};

template <class F>
auto setup(const Pool2dShape& s, F f) {
  return [=](const Context& ctx) {
    Buffers b{values<float>(int64_t{s.N} * s.H * s.W * s.C, 1), values<float>(int64_t{s.N} * s.P * s.Q * s.C, 2), {}};
    b.argmax.resize(b.y.size());
    cpu::max_pool2d_forward(ctx, s, b.x.data(), b.y.data(), b.argmax.data());
    return [=]() mutable { f(ctx, s, b); };
  };
}

}  // namespace

int main(int argc, char** argv) {
  for (const Pool2dShape& s : kPool2dTimed) {
    const std::string shape =
        extents({s.N, s.H, s.W, s.C}) + "_" + extents({s.R, s.S}) + "s" + std::to_string(s.stride_h);
    const double x = 4.0 * s.N * s.H * s.W * s.C, y = 4.0 * s.N * s.P * s.Q * s.C;
    add_threads({"max_pool2d_forward", "reference", shape}, {.bytes = x + 2 * y}, 1,
                setup(s, [](const Context& ctx, const Pool2dShape& p, Buffers& b) {
                  cpu::max_pool2d_forward<float>(ctx, p, b.x.data(), b.y.data(), b.argmax.data());
                }));
    add({"max_pool2d_forward", "simd", shape}, {.bytes = x + 2 * y},
        setup(s, [](const Context& ctx, const Pool2dShape& p, Buffers& b) {
          cpu::max_pool2d_forward(ctx, p, b.x.data(), b.y.data(), b.argmax.data());
        }));
    add({"max_pool2d_backward", "simd", shape}, {.bytes = x + 2 * y},
        setup(s, [](const Context& ctx, const Pool2dShape& p, Buffers& b) {
          cpu::max_pool2d_backward(ctx, p, b.argmax.data(), b.y.data(), Grad<float>{b.x.data()});
        }));
    add({"average_pool2d_forward", "simd", shape}, {.bytes = x + y},
        setup(s, [](const Context& ctx, const Pool2dShape& p, Buffers& b) {
          cpu::average_pool2d_forward(ctx, p, b.x.data(), b.y.data());
        }));
    add({"average_pool2d_backward", "simd", shape}, {.bytes = x + y},
        setup(s, [](const Context& ctx, const Pool2dShape& p, Buffers& b) {
          cpu::average_pool2d_backward(ctx, p, b.y.data(), Grad<float>{b.x.data()});
        }));
  }
  return run(argc, argv);
}
