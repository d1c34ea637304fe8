// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "kernels/optimizer.h"
#include "tests/cases/optimizer.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

struct Buffers {
  std::vector<OptimizerRange> table;
  std::vector<float> values, grads, first, second;
  Fault fault;
  double lr = 1e-3;
  SgdState sgd;
  AdamState adam;
  AdadeltaState adadelta;

  explicit Buffers(const std::vector<OptimizerRange>& ranges)
      : table(ranges),
        values(bench::values<float>(ranges.back().first + ranges.back().count, 1)),
        grads(bench::values<float>(static_cast<int64_t>(values.size()), 2)),
        first(values.size()),
        second(values.size()) {}
  OptimizerRanges ranges() const { return {table.data(), static_cast<int>(table.size())}; }
  OptimizerStep step() const { return {&fault, &lr}; }
};

/// `slabs`: reads and writes of the element by the rule.
template <class Update>
void add_case(const char* rule, const char* technique, const std::vector<OptimizerRange>& ranges, int slabs,
              Update update) {
  int64_t n = 0;
  for (const OptimizerRange& range : ranges) n += range.count;
  add({rule, technique, std::to_string(n) + "in" + std::to_string(ranges.size())},
      {.bytes = 4.0 * slabs * static_cast<double>(n)},
      [=](const Context& ctx) { return [=, b = Buffers(ranges)]() mutable { update(ctx, b); }; });
}

}  // namespace

int main(int argc, char** argv) {
  for (const auto& ranges : test::kOptimizerCases) {
    if (ranges.empty() || ranges.back().count < 10000) continue;
    add_case("adam", "reference", ranges, 7, [](const Context& ctx, Buffers& b) {
      cpu::adam_update<float>(ctx, b.ranges(), {}, b.step(), b.values.data(), b.grads.data(), b.first.data(),
                              b.second.data(), &b.adam);
    });
    add_case("adam", "simd", ranges, 7, [](const Context& ctx, Buffers& b) {
      cpu::adam_update(ctx, b.ranges(), {}, b.step(), b.values.data(), b.grads.data(), b.first.data(), b.second.data(),
                       &b.adam);
    });
    add_case("sgd_momentum", "simd", ranges, 5, [](const Context& ctx, Buffers& b) {
      cpu::sgd_update(ctx, b.ranges(), {.momentum = 0.9}, b.step(), b.values.data(), b.grads.data(), b.first.data(),
                      &b.sgd);
    });
    add_case("sgd", "simd", ranges, 3, [](const Context& ctx, Buffers& b) {
      cpu::sgd_update(ctx, b.ranges(), {}, b.step(), b.values.data(), b.grads.data(), nullptr, &b.sgd);
    });
    add_case("adadelta", "simd", ranges, 7, [](const Context& ctx, Buffers& b) {
      cpu::adadelta_update(ctx, b.ranges(), {}, b.step(), b.values.data(), b.grads.data(), b.first.data(),
                           b.second.data(), &b.adadelta);
    });
  }
  return run(argc, argv);
}
