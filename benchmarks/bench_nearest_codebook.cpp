// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "kernels/base/codebook_search.h"
#include "kernels/nearest_codebook.h"
#include "tests/cases/nearest_codebook.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

template <class Search>
void add_case(const std::string& technique, NearestCodebookShape s, Search search) {
  const double pairs = static_cast<double>(s.N) * s.K;
  add({"nearest_codebook", technique, extents({s.N, s.D, s.K})}, {.flops = 2 * pairs * s.D}, [=](const Context& ctx) {
    // Sums of twelve uniform numbers are nearly normal, as the data of the peers are.
    const auto normals = [](int64_t n, uint64_t seed) {
      std::vector<float> sums(static_cast<size_t>(n), -6);
      for (uint64_t i = 0; i < 12; ++i) {
        const auto term = values<float>(n, 100 * seed + i, 0, 1);
        for (size_t j = 0; j < sums.size(); ++j) sums[j] += term[j];
      }
      return sums;
    };
    std::vector<char> scratch(cpu::nearest_codebook_scratch_bytes(ctx, s));
    return [=, x = normals(int64_t{s.N} * s.D, 1), c = normals(int64_t{s.K} * s.D, 2),
            index = std::vector<int32_t>(static_cast<size_t>(s.N)),
            distance = std::vector<float>(static_cast<size_t>(s.N)), scratch = std::move(scratch)]() mutable {
      search(ctx, s, x.data(), c.data(), scratch.data(), index.data(), distance.data(), FaultReport{});
    };
  });
}

}  // namespace

int main(int argc, char** argv) {
  for (const NearestCodebookShape& s : test::kNearestCodebookTimed) {
    if (s.K <= 1024 && s.D == 64) add_case("reference", s, cpu::nearest_codebook<float>);
    const auto& levels = cpu::codebook_search_levels();
    for (const cpu::CodebookSearchLevel& level : levels) {
      add_case(&level == &levels.front() ? "simd" : level.name, s, level.search);
    }
  }
  return run(argc, argv);
}
