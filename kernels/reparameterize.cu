// SPDX-License-Identifier: Apache-2.0
// The sampling kernels are those of the fused layer without its KL (base/latent.cuh).
#include "kernels/base/latent.cuh"
#include "kernels/reparameterize.h"

namespace hourglass::cuda {
namespace {

template <class T, bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    normal_fill_rows_kernel(gpu::RowTasks tasks, int draws, Noise noise, T* z) {
  gpu::for_each_quad<kVector>(tasks, [&](int64_t row) {
    const int64_t sample = draws == 1 ? row : row / draws;
    const gpu::RowNoise of_row(noise, sample, row - sample * draws);
    T* const row_z = z + row * tasks.columns;
    return [=](int quad, int count) {
      gpu::write_quad<kVector>(row_z + 4 * quad, of_row.normals(quad), count, Write::kSet);
      return 0.0f;
    };
  });
}

}  // namespace

template <class T>
void reparameterize_forward(const Context& ctx, LatentShape s, const T* mu, const T* logvar, const Noise& noise, T* z) {
  check_latent("reparameterize", s, noise);
  if (s.N == 0 || s.D == 0) return;
  launch_latent_sample<false>(ctx, s, mu, logvar, noise, z, nullptr);
}

template <class T>
void reparameterize_backward(const Context& ctx, LatentShape s, const T* logvar, const Noise& noise, const T* dz,
                             Grad<T> dmu, Grad<T> dlogvar) {
  check_latent("reparameterize", s, noise);
  if (s.N == 0 || s.D == 0 || (!dmu && !dlogvar)) return;
  launch_latent_gradient<false, T>(ctx, s, nullptr, logvar, noise, dz, {}, nullptr, {}, dmu, dlogvar);
}

template <class T>
void normal_fill(const Context& ctx, LatentShape s, const Noise& noise, T* z) {
  check_latent("normal_fill", s, noise);
  if (s.N == 0 || s.D == 0) return;
  const gpu::RowTasks tasks(int64_t{s.N} * s.draws, s.D);
  gpu::with_constant(gpu::can_load4(s.D, z), [&](auto vectors) {
    gpu::launch(normal_fill_rows_kernel<T, decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, s.draws, noise, z);
  });
}

template void reparameterize_forward(const Context&, LatentShape, const float*, const float*, const Noise&, float*);
template void reparameterize_forward(const Context&, LatentShape, const bf16*, const bf16*, const Noise&, bf16*);
template void reparameterize_backward(const Context&, LatentShape, const float*, const Noise&, const float*,
                                      Grad<float>, Grad<float>);
template void reparameterize_backward(const Context&, LatentShape, const bf16*, const Noise&, const bf16*, Grad<bf16>,
                                      Grad<bf16>);
template void normal_fill(const Context&, LatentShape, const Noise&, float*);
template void normal_fill(const Context&, LatentShape, const Noise&, bf16*);

}  // namespace hourglass::cuda
