// SPDX-License-Identifier: Apache-2.0
// The batch of one step: the position stands still, the order of the rows is random all the same.
#include "benchmarks/harness.h"
#include "kernels/batch.h"
#include "tests/cases/batch.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

/// The reference has two template parameters, which BENCH_OP does not know.
template <class Lane, class S, class T>
void gather(const Lane& lane, BatchShape s, const S* data, BatchOrder order, Binarize binarize, T* x,
            int32_t* indices) {
  if constexpr (std::is_same_v<Lane, ReferenceLane>) {
    cpu::gather_batch<S, T>(lane, s, data, order, binarize, x, indices);
  } else {
    gather_batch(lane, s, data, order, binarize, x, indices);
  }
}

/// The data set, once for all cases and sets of buffers: a batch reads other rows than the last one anyway.
template <class S, class Lane>
Array<S> dataset(const Lane& lane, int64_t n) {
  static std::map<int64_t, Array<S>> known;
  const auto found = known.find(n);
  if (found != known.end()) return found->second;
  return known.emplace(n, values<S>(lane, n, 1, 0, sizeof(S) == 1 ? 255 : 1)).first->second;
}

template <class S>
void add_case(const char* type, BatchShape s, Binarization mode) {
  const std::string op = mode == Binarization::kNone ? "gather_batch" : "gather_batch_binarize";
  const double size = static_cast<double>(s.N) * s.D;
  add_forms_bf16({op, extents({s.N, s.D}) + "-" + type}, {.bytes = size * sizeof(S), .elements = size}, [=](auto lane) {
    using T = typename decltype(lane)::type;
    return [=, data = dataset<S>(lane, int64_t{s.dataset} * s.D), x = zeros<T>(lane, int64_t{s.N} * s.D),
            indices = zeros<int32_t>(lane, s.N), step = one<int64_t>(lane)] {
      const S* from = data.data();
      gather(lane, s, from, BatchOrder{1, step.data()}, Binarize{mode}, x.data(), indices.data());
    };
  });
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<BatchShape> cases = test::kBatchCases;
  cases.push_back({4096, 784, 0, 4096, 60000});
  for (const BatchShape& s : cases) {
    if (int64_t{s.N} * s.D < 10000) continue;
    for (const Binarization mode : {Binarization::kNone, Binarization::kDynamic}) {
      add_case<uint8_t>("u8", s, mode);
      add_case<float>("f32", s, mode);
    }
  }
  return run(argc, argv);
}
