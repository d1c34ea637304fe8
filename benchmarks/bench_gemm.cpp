// SPDX-License-Identifier: Apache-2.0
#include "benchmarks/harness.h"
#include "kernels/base/conv2d_technique.h"
#include "kernels/base/gemm_tile.h"
#include "kernels/base/tensor_map.h"
#include "tests/cases/gemm.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

std::string name_of(const GemmShape& s) {
  return extents({s.M, s.N, s.K}) + (s.transpose_a ? "-aT" : "") + (s.transpose_b ? "-bT" : "");
}

Work work_of(const GemmShape& s) {
  const double M = s.M, N = s.N, K = s.K;
  return {.flops = 2 * M * N * K, .elements = M * K + K * N + M * N};
}

/// Calls f(ctx, a, b, c) once a run.
template <class T, class F>
auto setup(const GemmShape& s, F f) {
  return [=](const Context& ctx) {
    return [=, a = values<T>(ctx, int64_t{s.M} * s.K, 1), b = values<T>(ctx, int64_t{s.K} * s.N, 2),
            c = zeros<T>(ctx, int64_t{s.M} * s.N)] { f(ctx, a.data(), b.data(), Grad{c.data()}); };
  };
}

#if defined(HOURGLASS_CUDA_KERNELS)
template <class T>
void add_cuda(const GemmShape& s, const char* type, Dtype dtype) {
  for (const bool own : {true, false}) {
    if (!own && !cuda::gemm_library().starts_with("cuBLASLt")) continue;
    add_device({"gemm", own ? "tiles" : "cublaslt", name_of(s), type}, work_of(s).of(sizeof(T)), dtype,
               setup<T>(s, [s, own](Context ctx, const T* a, const T* b, Grad<T> c) {
                 ctx.own_gemm = own;
                 cuda::gemm(ctx, s, a, b, c);
               }));
  }
}

/// The tiles of sm_90a for bf16, where the device and the shape allow them (base/conv2d_box.h).
void add_wgmma(const GemmShape& s) {
  if (!gemm_is_conv2d(s) || models_only() || !gpu::has_wgmma()) return;
  const Conv2dShape conv = conv2d_of_gemm(s);
  if (!conv2d_wgmma_accepts(conv)) return;
  add_device({"gemm", "wgmma", name_of(s), "bf16"}, work_of(s).of(sizeof(bf16)), Dtype::kBF16,
             setup<bf16>(s, [conv](const Context& ctx, const bf16* a, const bf16* b, Grad<bf16> c) {
               const Conv2dPlan plan{Conv2dTechnique::kWgmma, conv2d_wgmma_tile(conv)};
               cuda::conv2d_forward_by<bf16>(plan, ctx, conv, a, b, {}, c);
             }));
}

/// Products that show what the tensor cores can do.
constexpr GemmShape kSquares[] = {
    {2048, 2048, 2048, false, true}, {4096, 4096, 4096, false, true}, {8192, 8192, 8192, false, true}};
#endif

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
    const Work work = work_of(s).of(sizeof(float));
    if (work.flops < 1e6 && !kEmulated) continue;
    const auto reference = [s](const Context& ctx, const float* a, const float* b, Grad<float> c) {
      cpu::gemm<float>(ctx, s, a, b, c);
    };
    const auto blocked = [s](const Context& ctx, const float* a, const float* b, Grad<float> c) {
      gemm_blocked(ctx, s, a, b, c);
    };
    const auto library = [s](const Context& ctx, const float* a, const float* b, Grad<float> c) {
      cpu::gemm(ctx, s, a, b, c);
    };
    if (work.flops < 1e8) add_threads({"gemm", "reference", name_of(s)}, work, 1, setup<float>(s, reference));
    add({"gemm", "blocked", name_of(s)}, work, setup<float>(s, blocked));
    for (const cpu::GemmLevel& level : cpu::gemm_levels()) {
      const auto at_level = [s, level](const Context&, const float* a, const float* b, Grad<float> c) {
        const cpu::GemmTiles tiles(s, 48);
        for (int64_t i = 0; i < tiles.count(); ++i) level.multiply(tile_of(s, tiles, i, a, b, c));
      };
      add_threads({"gemm", std::string("blocked-") + level.name, name_of(s)}, work, 1, setup<float>(s, at_level));
    }
    if (with_library) add({"gemm", "onednn", name_of(s)}, work, setup<float>(s, library));
#if defined(HOURGLASS_CUDA_KERNELS)
    if (!device_usable()) continue;
    add_cuda<float>(s, "f32", Dtype::kF32);
    add_cuda<bf16>(s, "bf16", Dtype::kBF16);
    add_wgmma(s);
#endif
  }
#if defined(HOURGLASS_CUDA_KERNELS)
  for (const GemmShape& s : kSquares) {
    if (kEmulated || !device_usable()) continue;
    add_cuda<bf16>(s, "bf16", Dtype::kBF16);
    add_wgmma(s);
  }
#endif
  return run(argc, argv);
}
