// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "kernels/batch.h"
#include "tests/cases/batch.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

template <class S, class Gather>
void add_case(const char* technique, const char* type, BatchShape s, Binarization mode, Gather gather) {
  const std::string op = mode == Binarization::kNone ? "gather_batch" : "gather_batch_binarize";
  const double size = static_cast<double>(s.N) * s.D;
  add({op, technique, extents({s.N, s.D}), type}, {.bytes = size * (sizeof(S) + 4)}, [=](const Context& ctx) {
    return [=, data = values<S>(int64_t{s.dataset} * s.D, 1, 0, sizeof(S) == 1 ? 255 : 1),
            x = std::vector<float>(static_cast<size_t>(s.N) * static_cast<size_t>(s.D)),
            indices = std::vector<int32_t>(static_cast<size_t>(s.N)), step = int64_t{0}]() mutable {
      gather(ctx, s, data.data(), BatchOrder{1, &step}, Binarize{mode}, x.data(), indices.data());
      ++step;
    };
  });
}

template <class S>
void add_type(const char* type, BatchShape s) {
  for (const Binarization mode : {Binarization::kNone, Binarization::kDynamic}) {
    add_case<S>("reference", type, s, mode, [](auto&&... arguments) { cpu::gather_batch<S, float>(arguments...); });
    add_case<S>("simd", type, s, mode, [](auto&&... arguments) { cpu::gather_batch(arguments...); });
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (const BatchShape& s : test::kBatchCases) {
    if (int64_t{s.N} * s.D < 10000) continue;
    add_type<uint8_t>("u8", s);
    add_type<float>("f32", s);
  }
  return run(argc, argv);
}
