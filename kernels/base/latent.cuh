// SPDX-License-Identifier: Apache-2.0
// What the CUDA kernels of the Gaussian latent layer share: scales of a log-variance from one exponential, and noise.
//
//   e = e^min(logvar / 2, 10),   over = max(logvar / 2 - 10, 0)
//   sigma = e (1 + over),  d sigma / d logvar = e / 2,   v = e^2 (1 + 2 over),  d v / d logvar = e^2
//
// These are stddev and variance of math.h: both bounds lie at logvar = 20.
#pragma once

#include "kernels/base/math.h"
#include "kernels/base/philox.h"
#include "kernels/base/row_tasks.cuh"
#include "kernels/reparameterize.h"

namespace hourglass::gpu {

struct Scale {
  float e, over;
  __device__ __forceinline__ explicit Scale(float logvar) {
    constexpr float kLimit = static_cast<float>(math::kMaxLogVariance / 2);
    const float half = 0.5f * logvar;
    e = math::exp(half > kLimit ? kLimit : half);
    over = half > kLimit ? half - kLimit : 0.0f;
  }
  __device__ __forceinline__ float sigma() const { return e + e * over; }
  __device__ __forceinline__ float variance() const { return e * e + e * e * (over + over); }
};

/// Noise of one row: normal4 of philox_block for each of its quads, with what belongs to the row computed once.
struct RowNoise {
  uint32_t seed, stream, draw, row, step;

  /// Row sample * draws + draw_.
  __device__ __forceinline__ RowNoise(const Noise& noise, int64_t sample, int64_t draw_)
      : seed(noise.seed),
        stream(noise.stream),
        draw(static_cast<uint32_t>((noise.first_draw ? *noise.first_draw : 0) + draw_)),
        row(static_cast<uint32_t>(noise.rows ? noise.rows[sample] : noise.first_row + sample)),
        step(noise.step_of()) {}
  __device__ __forceinline__ Vec4 normals(int quad) const {
    Vec4 eps;
    normal4(philox(seed, stream, static_cast<uint32_t>(quad), draw, row, step), eps.v);
    return eps;
  }
};

}  // namespace hourglass::gpu

namespace hourglass::cuda {

/// z = mu + sigma eps for every draw, one task a row of z, and with kKl the KL of each sample: kl[n] is summed in the
/// task of the sample's first draw. Draws are rows of their own, so that a few samples of many draws fill the device;
/// they read the same mu and logvar from the cache.
template <class T, bool kVector, bool kKl>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    latent_sample_kernel(gpu::RowTasks tasks, int draws, int64_t stride, const T* mu, const T* logvar, Noise noise,
                         T* z, float* kl, float* partials, unsigned* ticket) {
  const auto at_row = [&](int64_t row) {
    const int64_t sample = draws == 1 ? row : row / draws;
    const gpu::RowNoise of_row(noise, sample, row - sample * draws);
    const T* const row_mu = mu + sample * stride;
    const T* const row_logvar = logvar + sample * stride;
    T* const row_z = z + row * tasks.columns;
    return [=](int quad, int count) {
      const gpu::Vec4 m = gpu::load_quad<kVector>(row_mu + 4 * quad, count);
      const gpu::Vec4 lv = gpu::load_quad<kVector>(row_logvar + 4 * quad, count);
      const gpu::Vec4 eps = of_row.normals(quad);
      gpu::Vec4 value, terms;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const gpu::Scale scale(lv[j]);
        value[j] = m[j] + scale.sigma() * eps[j];
        terms[j] = ((scale.variance() - 1.0f) - lv[j]) + m[j] * m[j];
      }
      gpu::write_quad<kVector>(row_z + 4 * quad, value, count, Write::kSet);
      return kKl ? gpu::quad_sum(terms, count) : 0.0f;
    };
  };
  if constexpr (kKl) {
    gpu::sum_rows<kVector>(tasks, partials, ticket, at_row, [=](int64_t row, float sum) {
      const int64_t sample = draws == 1 ? row : row / draws;
      if (sample * draws == row) kl[sample] = 0.5f * sum;
    });
  } else {
    gpu::for_each_quad<kVector>(tasks, at_row);
  }
}

/// dmu and dlogvar, one task a sample; each thread adds the draws of its columns in order, the noise drawn again.
/// With kKl the gradient of weight * value is added to it, `weight` already divided by N, and value is written;
/// without, mu, kl and value are not read. dz may be null.
template <class T, bool kVector, bool kKl>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    latent_gradient_kernel(gpu::RowTasks tasks, int draws, int64_t stride, const T* mu, const T* logvar, Noise noise,
                           const T* dz, Weight weight, const float* kl, Grad<float> value, Grad<T> dmu, Grad<T> dlogvar,
                           float* partials, unsigned* ticket) {
  const float g = kKl ? static_cast<float>(weight.value()) : 0.0f;
  const auto at_row = [&](int64_t sample) {
    const int64_t at = sample * stride;
    return [=, &noise](int quad, int count) {
      gpu::Vec4 m = {}, sum = {}, sum_eps = {};
      if (kKl) m = gpu::load_quad<kVector>(mu + at + 4 * quad, count);
      const gpu::Vec4 lv = gpu::load_quad<kVector>(logvar + at + 4 * quad, count);
      for (int draw = 0; dz && draw < draws; ++draw) {
        const T* const from = dz + (sample * draws + draw) * tasks.columns;
        const gpu::Vec4 d = gpu::load_quad<kVector>(from + 4 * quad, count);
        const gpu::Vec4 eps = gpu::RowNoise(noise, sample, draw).normals(quad);
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          sum[j] += d[j];
          sum_eps[j] += d[j] * eps[j];
        }
      }
      gpu::Vec4 of_mu, of_logvar;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float e = gpu::Scale(lv[j]).e;
        of_mu[j] = sum[j] + g * m[j];
        of_logvar[j] = 0.5f * (e * sum_eps[j] + g * (e * e - 1.0f));
      }
      if (dmu) gpu::write_quad<kVector>(dmu.data + at + 4 * quad, of_mu, count, dmu.mode);
      if (dlogvar) gpu::write_quad<kVector>(dlogvar.data + at + 4 * quad, of_logvar, count, dlogvar.mode);
      return kKl && value && quad == 0 ? kl[sample] : 0.0f;
    };
  };
  if constexpr (kKl) {
    gpu::sum_all<kVector>(tasks, partials, ticket, 1.0f / static_cast<float>(tasks.rows), value, at_row);
  } else {
    gpu::for_each_quad<kVector>(tasks, at_row);
  }
}

template <bool kKl, class T>
void launch_latent_sample(const Context& ctx, LatentShape s, const T* mu, const T* logvar, const Noise& noise, T* z,
                          float* kl) {
  const gpu::RowTasks tasks(int64_t{s.N} * s.draws, s.D);
  const int64_t stride = s.stride ? s.stride : s.D;
  gpu::with_constant(gpu::can_load4(s.D | stride, mu, logvar, z), [&](auto vectors) {
    gpu::launch(latent_sample_kernel<T, decltype(vectors)::value, kKl>, tasks.blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, s.draws, stride, mu, logvar, noise, z, kl, gpu::partials<float>(ctx),
                gpu::tickets(ctx));
  });
}

template <bool kKl, class T>
void launch_latent_gradient(const Context& ctx, LatentShape s, const T* mu, const T* logvar, const Noise& noise,
                            const T* dz, Weight weight, const float* kl, Grad<float> value, Grad<T> dmu,
                            Grad<T> dlogvar) {
  const gpu::RowTasks tasks(s.N, s.D);
  const int64_t stride = s.stride ? s.stride : s.D;
  const bool aligned = gpu::can_load4(s.D | stride, mu, logvar, dz, dmu.data, dlogvar.data);
  gpu::with_constant(aligned, [&](auto vectors) {
    gpu::launch(latent_gradient_kernel<T, decltype(vectors)::value, kKl>, tasks.blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, s.draws, stride, mu, logvar, noise, dz, weight, kl, value, dmu, dlogvar,
                gpu::partials<float>(ctx), gpu::tickets(ctx));
  });
}

}  // namespace hourglass::cuda
