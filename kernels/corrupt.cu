// SPDX-License-Identifier: Apache-2.0
// One Philox block serves the four columns of a quad (row_tasks.cuh): a thread draws what it needs, nothing is stored.
#include "kernels/base/corrupt_check.h"
#include "kernels/base/philox.h"
#include "kernels/base/row_tasks.cuh"
#include "kernels/corrupt.h"

namespace hourglass::cuda {
namespace {

template <class T, bool kVector, bool kGaussian>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    corrupt_quad_kernel(gpu::RowTasks tasks, float sigma, Replacement chances, const T* x, Noise noise, T* y) {
  const uint32_t step = noise.step_of();
  gpu::for_each_quad<kVector>(tasks, [&](int64_t row) {
    const uint32_t draw = noise.draw_of(row), of_row = noise.row_of(row), seed = noise.seed, stream = noise.stream;
    const int64_t at = row * tasks.columns;
    return [=](int quad, int count) {
      gpu::Vec4 v = gpu::load_quad<kVector>(x + at + 4 * quad, count);
      const PhiloxWords words = philox(seed, stream, static_cast<uint32_t>(quad), draw, of_row, step);
      if constexpr (kGaussian) {
        gpu::Vec4 eps;
        normal4(words, eps.v);
#pragma unroll
        for (int j = 0; j < 4; ++j) v[j] = clip_unit(v[j] + sigma * eps[j]);
      } else {
#pragma unroll
        for (int j = 0; j < 4; ++j) v[j] = replaced(v[j], uniform_of_word<float>(words.w[j]), chances);
      }
      gpu::write_quad<kVector>(y + at + 4 * quad, v, count, Write::kSet);
      return 0.0f;
    };
  });
}

}  // namespace

template <class T>
void corrupt(const Context& ctx, const CorruptShape& s, const T* x, const Noise& noise, T* y) {
  check_corrupt(s, noise);
  if (s.N == 0 || s.D == 0) return;
  const gpu::RowTasks tasks(s.N, s.D);
  gpu::with_constant(gpu::can_load4(s.D, x, y), [&](auto vectors) {
    gpu::with_constant(s.corruption.kind == CorruptionKind::kGaussian, [&](auto gaussian) {
      gpu::launch(corrupt_quad_kernel<T, decltype(vectors)::value, decltype(gaussian)::value>, tasks.blocks,
                  gpu::kTaskThreads, 0, gpu::stream(ctx), tasks, static_cast<float>(s.corruption.amount),
                  replacement(s.corruption), x, noise, y);
    });
  });
}

template void corrupt(const Context&, const CorruptShape&, const float*, const Noise&, float*);
template void corrupt(const Context&, const CorruptShape&, const bf16*, const Noise&, bf16*);

}  // namespace hourglass::cuda
