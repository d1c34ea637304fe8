// SPDX-License-Identifier: Apache-2.0
// Blocks and threads: base/row_tasks.cuh, one task a sample.
#include "kernels/base/gaussian_kl_check.h"
#include "kernels/base/log_precision.h"
#include "kernels/base/math.h"
#include "kernels/base/row_tasks.cuh"
#include "kernels/gaussian_kl.h"

namespace hourglass::cuda {
namespace {

/// The posterior's rows are `stride` apart, the prior's contiguous. Null prior pointers: standard normal.
template <class T>
struct Inputs {
  int64_t stride;
  const T *mu, *logvar, *prior_mu, *prior_logvar;
};

/// Four columns, the prior's as those of the standard normal where there is none.
struct Columns {
  gpu::Vec4 difference, logvar, prior_logvar = {};
};
template <bool kVector, class T>
__device__ __forceinline__ Columns load_columns(const Inputs<T>& in, int64_t at, int64_t prior, int count) {
  Columns c;
  c.difference = gpu::load_quad<kVector>(in.mu + at, count);
  c.logvar = gpu::load_quad<kVector>(in.logvar + at, count);
  if (in.prior_mu) {
    const gpu::Vec4 prior_mu = gpu::load_quad<kVector>(in.prior_mu + prior, count);
    c.prior_logvar = gpu::load_quad<kVector>(in.prior_logvar + prior, count);
#pragma unroll
    for (int j = 0; j < 4; ++j) c.difference[j] -= prior_mu[j];
  }
  return c;
}

constexpr float kLimit = static_cast<float>(kMaxLogPrecision);

template <class T, bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    gaussian_kl_forward_rows_kernel(gpu::RowTasks tasks, Inputs<T> in, float* kl, float* partials, unsigned* ticket) {
  const auto at_row = [&](int64_t row) {
    const int64_t at = row * in.stride, prior = row * tasks.columns;
    return [=, &in](int quad, int count) {
      const Columns c = load_columns<kVector>(in, at + 4 * quad, prior + 4 * quad, count);
      gpu::Vec4 terms;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float precision = in.prior_mu ? math::exp_linear(-c.prior_logvar[j], kLimit) : 1.0f;
        const float square = c.difference[j] * c.difference[j];
        // With the standard normal, v - 1 first: where the KL is small, v is close to 1.
        terms[j] = in.prior_mu
                       ? precision * (math::variance(c.logvar[j]) + square) - 1.0f - c.logvar[j] + c.prior_logvar[j]
                       : math::variance(c.logvar[j]) - 1.0f - c.logvar[j] + square;
      }
      return gpu::quad_sum(terms, count);
    };
  };
  gpu::sum_rows<kVector>(tasks, partials, ticket, at_row, [=](int64_t row, float sum) { kl[row] = 0.5f * sum; });
}

template <class T, bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    gaussian_kl_backward_rows_kernel(gpu::RowTasks tasks, Inputs<T> in, const float* dkl, Grad<T> dmu, Grad<T> dlogvar,
                                     Grad<T> dprior_mu, Grad<T> dprior_logvar) {
  gpu::for_each_quad<kVector>(tasks, [&](int64_t row) {
    const int64_t row_at = row * in.stride, row_prior = row * tasks.columns;
    const float g = dkl[row];
    return [=, &in](int quad, int count) {
      const int64_t at = row_at + 4 * quad, prior = row_prior + 4 * quad;
      const Columns c = load_columns<kVector>(in, at, prior, count);
      gpu::Vec4 of_mu, of_logvar, of_prior_mu = {}, of_prior_logvar = {};
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float precision = in.prior_mu ? math::exp_linear(-c.prior_logvar[j], kLimit) : 1.0f;
        of_mu[j] = g * precision * c.difference[j];
        of_prior_mu[j] = -of_mu[j];
        of_logvar[j] = 0.5f * g * (precision * math::variance_gradient(c.logvar[j]) - 1.0f);
        if (in.prior_mu) {
          const float slope = math::exp_linear_gradient(-c.prior_logvar[j], kLimit);
          const float scaled = slope * (math::variance(c.logvar[j]) + c.difference[j] * c.difference[j]);
          of_prior_logvar[j] = 0.5f * g * (1.0f - scaled);
        }
      }
      if (dmu) gpu::write_quad<kVector>(dmu.data + at, of_mu, count, dmu.mode);
      if (dlogvar) gpu::write_quad<kVector>(dlogvar.data + at, of_logvar, count, dlogvar.mode);
      if (dprior_mu) gpu::write_quad<kVector>(dprior_mu.data + prior, of_prior_mu, count, dprior_mu.mode);
      if (dprior_logvar) {
        gpu::write_quad<kVector>(dprior_logvar.data + prior, of_prior_logvar, count, dprior_logvar.mode);
      }
      return 0.0f;
    };
  });
}

/// `weight` is already divided by N.
template <class T, bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    gaussian_kl_loss_rows_kernel(gpu::RowTasks tasks, Inputs<T> in, Weight weight, Grad<float> value, Grad<T> dmu,
                                 Grad<T> dlogvar, float* partials, unsigned* ticket) {
  const float g = static_cast<float>(weight.value());
  const auto at_row = [&](int64_t row) {
    const int64_t row_at = row * in.stride;
    return [=, &in](int quad, int count) {
      const int64_t at = row_at + 4 * quad;
      const gpu::Vec4 m = gpu::load_quad<kVector>(in.mu + at, count);
      const gpu::Vec4 lv = gpu::load_quad<kVector>(in.logvar + at, count);
      gpu::Vec4 terms, of_mu, of_logvar;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        terms[j] = math::variance(lv[j]) - 1.0f - lv[j] + m[j] * m[j];
        of_mu[j] = g * m[j];
        of_logvar[j] = 0.5f * g * (math::variance_gradient(lv[j]) - 1.0f);
      }
      if (dmu) gpu::write_quad<kVector>(dmu.data + at, of_mu, count, dmu.mode);
      if (dlogvar) gpu::write_quad<kVector>(dlogvar.data + at, of_logvar, count, dlogvar.mode);
      return gpu::quad_sum(terms, count);
    };
  };
  gpu::sum_all<kVector>(tasks, partials, ticket, 0.5f / static_cast<float>(tasks.rows), value, at_row);
}

}  // namespace

template <class T>
void gaussian_kl_forward(const Context& ctx, GaussianKlShape s, const T* mu, const T* logvar, const T* prior_mu,
                         const T* prior_logvar, acc_t<T>* kl) {
  check_gaussian_kl(s, prior_mu, prior_logvar);
  if (s.N == 0) return;
  const gpu::RowTasks tasks(s.N, s.D);
  const Inputs<T> in{s.stride ? s.stride : s.D, mu, logvar, prior_mu, prior_logvar};
  gpu::with_constant(gpu::can_load4(s.D | in.stride, mu, logvar, prior_mu, prior_logvar), [&](auto vectors) {
    gpu::launch(gaussian_kl_forward_rows_kernel<T, decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, in, kl, gpu::partials<float>(ctx), gpu::tickets(ctx));
  });
}

template <class T>
void gaussian_kl_backward(const Context& ctx, GaussianKlShape s, const T* mu, const T* logvar, const T* prior_mu,
                          const T* prior_logvar, const acc_t<T>* dkl, Grad<T> dmu, Grad<T> dlogvar, Grad<T> dprior_mu,
                          Grad<T> dprior_logvar) {
  check_gaussian_kl(s, prior_mu, prior_logvar);
  check_prior_gradients(s, dprior_mu || dprior_logvar);
  if (s.N == 0 || s.D == 0 || !(dmu || dlogvar || dprior_mu || dprior_logvar)) return;
  const gpu::RowTasks tasks(s.N, s.D);
  const Inputs<T> in{s.stride ? s.stride : s.D, mu, logvar, prior_mu, prior_logvar};
  const bool aligned = gpu::can_load4(s.D | in.stride, mu, logvar, prior_mu, prior_logvar, dmu.data, dlogvar.data,
                                      dprior_mu.data, dprior_logvar.data);
  gpu::with_constant(aligned, [&](auto vectors) {
    gpu::launch(gaussian_kl_backward_rows_kernel<T, decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, in, dkl, dmu, dlogvar, dprior_mu, dprior_logvar);
  });
}

template <class T>
void gaussian_kl_loss(const Context& ctx, GaussianKlShape s, const T* mu, const T* logvar, Weight weight,
                      Grad<acc_t<T>> value, Grad<T> dmu, Grad<T> dlogvar) {
  check_gaussian_kl_loss(s);
  if (!value && !dmu && !dlogvar) return;
  const gpu::RowTasks tasks(s.N, s.D);
  const Inputs<T> in{s.stride ? s.stride : s.D, mu, logvar, nullptr, nullptr};
  gpu::with_constant(gpu::can_load4(s.D | in.stride, mu, logvar, dmu.data, dlogvar.data), [&](auto vectors) {
    gpu::launch(gaussian_kl_loss_rows_kernel<T, decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, in, gpu::per_sample(weight, s.N), value, dmu, dlogvar,
                gpu::partials<float>(ctx), gpu::tickets(ctx));
  });
}

template void gaussian_kl_forward(const Context&, GaussianKlShape, const float*, const float*, const float*,
                                  const float*, float*);
template void gaussian_kl_forward(const Context&, GaussianKlShape, const bf16*, const bf16*, const bf16*, const bf16*,
                                  float*);
template void gaussian_kl_backward(const Context&, GaussianKlShape, const float*, const float*, const float*,
                                   const float*, const float*, Grad<float>, Grad<float>, Grad<float>, Grad<float>);
template void gaussian_kl_backward(const Context&, GaussianKlShape, const bf16*, const bf16*, const bf16*, const bf16*,
                                   const float*, Grad<bf16>, Grad<bf16>, Grad<bf16>, Grad<bf16>);
template void gaussian_kl_loss(const Context&, GaussianKlShape, const float*, const float*, Weight, Grad<float>,
                               Grad<float>, Grad<float>);
template void gaussian_kl_loss(const Context&, GaussianKlShape, const bf16*, const bf16*, Weight, Grad<float>,
                               Grad<bf16>, Grad<bf16>);

}  // namespace hourglass::cuda
