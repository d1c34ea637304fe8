// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "kernels/optimizer.h"
#include "tests/cases/optimizer.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

struct Buffers {
  std::vector<OptimizerRange> table;
  Array<float> values, grads, first, second;
  Array<Fault> fault;
  Array<double> lr;
  Array<SgdState> sgd;
  Array<AdamState> adam;
  Array<AdadeltaState> adadelta;

  Buffers(const Context& ctx, const std::vector<OptimizerRange>& ranges, int64_t n)
      : table(ranges),
        values(bench::values<float>(ctx, n, 1)),
        grads(bench::values<float>(ctx, n, 2)),
        first(zeros<float>(ctx, n)),
        second(zeros<float>(ctx, n)),
        fault(one<Fault>(ctx)),
        lr(one(ctx, 1e-3)),
        sgd(one<SgdState>(ctx)),
        adam(one<AdamState>(ctx)),
        adadelta(one<AdadeltaState>(ctx)) {}
  OptimizerRanges ranges() const { return {table.data(), static_cast<int>(table.size())}; }
  OptimizerStep step() const { return {fault.data(), lr.data()}; }
};

/// `slabs`: reads and writes of the element by the rule. `update(lane, buffers)` runs it once.
template <class Update>
void add_rule(const char* rule, const std::vector<OptimizerRange>& ranges, int slabs, Update update) {
  double n = 0;
  for (const OptimizerRange& range : ranges) n += static_cast<double>(range.count);
  const std::string shape = extents({static_cast<int64_t>(n)}) + "in" + std::to_string(ranges.size());
  add_forms({rule, shape}, {.elements = slabs * n}, [=](auto lane) {
    return [=, b = Buffers(lane, ranges, ranges.back().first + ranges.back().count)] { update(lane, b); };
  });
}

}  // namespace

int main(int argc, char** argv) {
  auto cases = test::kOptimizerCases;
  cases.push_back({{0, 1 << 24, 1, 1}});  // beyond every cache
  for (const auto& ranges : cases) {
    if (ranges.empty() || ranges.back().count < 10000) continue;
    add_rule("adam", ranges, 7, [](const auto& lane, const Buffers& b) {
      BENCH_OP(adam_update)
      (lane, b.ranges(), AdamOptions{}, b.step(), b.values.data(), b.grads.data(), b.first.data(), b.second.data(),
       b.adam.data());
    });
    add_rule("sgd_momentum", ranges, 5, [](const auto& lane, const Buffers& b) {
      BENCH_OP(sgd_update)
      (lane, b.ranges(), SgdOptions{.momentum = 0.9}, b.step(), b.values.data(), b.grads.data(), b.first.data(),
       b.sgd.data());
    });
    add_rule("sgd", ranges, 3, [](const auto& lane, const Buffers& b) {
      float* const none = nullptr;
      BENCH_OP(sgd_update)
      (lane, b.ranges(), SgdOptions{}, b.step(), b.values.data(), b.grads.data(), none, b.sgd.data());
    });
    add_rule("adadelta", ranges, 7, [](const auto& lane, const Buffers& b) {
      BENCH_OP(adadelta_update)
      (lane, b.ranges(), AdadeltaOptions{}, b.step(), b.values.data(), b.grads.data(), b.first.data(), b.second.data(),
       b.adadelta.data());
    });
  }
  return run(argc, argv);
}
