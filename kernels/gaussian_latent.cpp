// SPDX-License-Identifier: Apache-2.0
#include "kernels/gaussian_latent.h"

#include "kernels/base/math.h"
#include "kernels/base/philox.h"
#include "kernels/base/row_loss.h"

namespace hourglass::cpu {

template <class T>
void gaussian_latent_forward(const Context&, LatentShape s, const T* mu, const T* logvar, const Noise& noise, T* z,
                             acc_t<T>* kl) {
  check_latent("gaussian_latent", s, noise);
  const int64_t stride = s.stride ? s.stride : s.D;
  for (int64_t n = 0; n < s.N; ++n) {
    acc_t<T> sum = 0;
    for (int64_t d = 0; d < s.D; ++d) {
      const T m = mu[n * stride + d], lv = logvar[n * stride + d];
      for (int64_t r = n * s.draws; r < (n + 1) * s.draws; ++r) {
        z[r * s.D + d] = m + math::stddev(lv) * normal<T>(noise, r, d);
      }
      sum += math::variance(lv) - 1 - lv + m * m;
    }
    if (kl) kl[n] = sum / 2;
  }
}

template <class T>
void gaussian_latent_backward(const Context&, LatentShape s, const T* mu, const T* logvar, const Noise& noise,
                              const T* dz, Weight weight, const acc_t<T>* kl, Grad<acc_t<T>> value, Grad<T> dmu,
                              Grad<T> dlogvar) {
  check_latent("gaussian_latent", s, noise);
  check_mean("gaussian_latent", s.N);
  const int64_t stride = s.stride ? s.stride : s.D;
  const T g = static_cast<T>(weight.value() / s.N);
  double total = 0;
  for (int64_t n = 0; n < s.N; ++n) {
    if (value) total += kl[n];
    for (int64_t d = 0; d < s.D; ++d) {
      T sum = 0, sum_eps = 0;
      for (int64_t r = n * s.draws; dz && r < (n + 1) * s.draws; ++r) {
        sum += dz[r * s.D + d];
        sum_eps += dz[r * s.D + d] * normal<T>(noise, r, d);
      }
      const int64_t i = n * stride + d;
      if (dmu) write(dmu.data[i], sum + g * mu[i], dmu.mode);
      if (dlogvar) {
        const T of_kl = g * T(0.5) * (math::variance_gradient(logvar[i]) - 1);
        write(dlogvar.data[i], math::stddev_gradient(logvar[i]) * sum_eps + of_kl, dlogvar.mode);
      }
    }
  }
  if (value) write(*value.data, total / s.N, value.mode);
}

template void gaussian_latent_forward(const Context&, LatentShape, const float*, const float*, const Noise&, float*,
                                      float*);
template void gaussian_latent_forward(const Context&, LatentShape, const double*, const double*, const Noise&, double*,
                                      double*);
template void gaussian_latent_backward(const Context&, LatentShape, const float*, const float*, const Noise&,
                                       const float*, Weight, const float*, Grad<float>, Grad<float>, Grad<float>);
template void gaussian_latent_backward(const Context&, LatentShape, const double*, const double*, const Noise&,
                                       const double*, Weight, const double*, Grad<double>, Grad<double>, Grad<double>);

}  // namespace hourglass::cpu
