// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "kernels/base/gemm_tile.h"
#include "tests/cases/gemm.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

std::string name_of(const GemmShape& s) {
  return extents({s.M, s.N, s.K}) + (s.transpose_a ? "-aT" : "") + (s.transpose_b ? "-bT" : "");
}

Work work_of(const GemmShape& s) {
  const double M = s.M, N = s.N, K = s.K;
  return {.flops = 2 * M * N * K, .bytes = 4 * (M * K + K * N + M * N)};
}

/// Calls f(ctx, a, b, c) once a run.
template <class F>
auto setup(const GemmShape& s, F f) {
  return [=](const Context& ctx) {
    return [=, a = values<float>(int64_t{s.M} * s.K, 1), b = values<float>(int64_t{s.K} * s.N, 2),
            c = std::vector<float>(static_cast<size_t>(s.M) * static_cast<size_t>(s.N))]() mutable {
      f(ctx, a.data(), b.data(), Grad<float>{c.data()});
    };
  };
}

void gemm_blocked(const Context& ctx, const GemmShape& s, const float* a, const float* b, Grad<float> c) {
  const cpu::GemmTiles tiles(s, 48);
  parallel_for(ctx, tiles.count(), [&](int64_t i) { multiply_blocked(tile_of(s, tiles, i, a, b, c)); });
}

}  // namespace

int main(int argc, char** argv) {
  const bool with_library = std::string(cpu::gemm_library()).starts_with("oneDNN");
  auto shapes = kGemmCases;
  shapes.insert(shapes.end(), kLargeGemmCases.begin(), kLargeGemmCases.end());
  for (const GemmShape& s : shapes) {
    const Work work = work_of(s);
    if (work.flops < 1e6) continue;
    const auto reference = [s](const Context& ctx, const float* a, const float* b, Grad<float> c) {
      cpu::gemm<float>(ctx, s, a, b, c);
    };
    const auto blocked = [s](const Context& ctx, const float* a, const float* b, Grad<float> c) {
      gemm_blocked(ctx, s, a, b, c);
    };
    const auto library = [s](const Context& ctx, const float* a, const float* b, Grad<float> c) {
      cpu::gemm(ctx, s, a, b, c);
    };
    if (work.flops < 1e8) add_threads({"gemm", "reference", name_of(s)}, work, 1, setup(s, reference));
    add({"gemm", "blocked", name_of(s)}, work, setup(s, blocked));
    for (const cpu::GemmLevel& level : cpu::gemm_levels()) {
      const auto at_level = [s, level](const Context&, const float* a, const float* b, Grad<float> c) {
        const cpu::GemmTiles tiles(s, 48);
        for (int64_t i = 0; i < tiles.count(); ++i) level.multiply(tile_of(s, tiles, i, a, b, c));
      };
      add_threads({"gemm", std::string("blocked-") + level.name, name_of(s)}, work, 1, setup(s, at_level));
    }
    if (with_library) add({"gemm", "onednn", name_of(s)}, work, setup(s, library));
  }
  return run(argc, argv);
}
