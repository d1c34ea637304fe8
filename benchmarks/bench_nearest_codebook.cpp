// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "kernels/base/codebook_search.h"
#include "kernels/nearest_codebook.h"
#include "tests/cases/nearest_codebook.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

/// Sums of twelve uniform numbers are nearly normal, as the data of the peers are.
std::vector<float> normals(int64_t n, uint64_t seed) {
  std::vector<float> sums(static_cast<size_t>(n), -6);
  for (uint64_t i = 0; i < 12; ++i) {
    const auto term = values<float>(n, 100 * seed + i, 0, 1);
    for (size_t j = 0; j < sums.size(); ++j) sums[j] += term[j];
  }
  return sums;
}

/// search(ctx, s, ...) with the memory of one lookup.
template <class Search>
auto setup(const NearestCodebookShape& s, size_t (*scratch_bytes)(const Context&, NearestCodebookShape),
           Search search) {
  return [=](const Context& ctx) {
    return
        [=, x = Array<float>(ctx, normals(int64_t{s.N} * s.D, 1)),
         c = Array<float>(ctx, normals(int64_t{s.K} * s.D, 2)), index = zeros<int32_t>(ctx, s.N),
         distance = zeros<float>(ctx, s.N), scratch = zeros<char>(ctx, static_cast<int64_t>(scratch_bytes(ctx, s)))] {
          search(ctx, s, x.data(), c.data(), scratch.data(), index.data(), distance.data(), FaultReport{});
        };
  };
}

#if defined(HOURGLASS_CUDA_KERNELS)
void add_cuda(const std::string& technique, NearestCodebookShape s, Work work, cuda::CodebookSearch how) {
  add_device({"nearest_codebook", technique, extents({s.N, s.D, s.K})}, work, Dtype::kF32,
             setup(s, cuda::nearest_codebook_scratch_bytes,
                   [how](const auto&... arguments) { cuda::nearest_codebook<float>(arguments..., how); }));
}
#endif

}  // namespace

int main(int argc, char** argv) {
  auto shapes = test::kNearestCodebookTimed;
  if (kEmulated) shapes.push_back({300, 8, 100});
  for (const NearestCodebookShape& s : shapes) {
    const double N = s.N, D = s.D, K = s.K;
    const Work work{.flops = 2 * N * K * D, .bytes = 4 * (N * D + K * D + 2 * N)};
    const auto add_cpu = [&](const std::string& technique, auto search) {
      add({"nearest_codebook", technique, extents({s.N, s.D, s.K})}, work,
          setup(s, cpu::nearest_codebook_scratch_bytes, search));
    };
    if (s.K <= 1024 && s.D == 64) add_cpu("reference", cpu::nearest_codebook<float>);
    const auto& levels = cpu::codebook_search_levels();
    for (const cpu::CodebookSearchLevel& level : levels) {
      add_cpu(&level == &levels.front() ? "simd" : level.name, level.search);
    }
#if defined(HOURGLASS_CUDA_KERNELS)
    add_cuda("tiles", s, work, cuda::CodebookSearch::kTiles);
    if (s.D <= 16) add_cuda("thread-row", s, work, cuda::CodebookSearch::kThreadRow);
#endif
  }
  return run(argc, argv);
}
