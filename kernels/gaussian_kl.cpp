// SPDX-License-Identifier: Apache-2.0
#include "kernels/gaussian_kl.h"

#include "kernels/base/gaussian_kl_check.h"
#include "kernels/base/log_precision.h"
#include "kernels/base/math.h"

namespace hourglass::cpu {
template <class T>
void gaussian_kl_forward(const Context&, GaussianKlShape s, const T* mu, const T* logvar, const T* prior_mu,
                         const T* prior_logvar, acc_t<T>* kl) {
  check_gaussian_kl(s, prior_mu, prior_logvar);
  const int64_t stride = s.stride ? s.stride : s.D;
  for (int64_t n = 0; n < s.N; ++n) {
    acc_t<T> sum = 0;
    for (int64_t d = 0; d < s.D; ++d) {
      const T m = mu[n * stride + d], lv = logvar[n * stride + d];
      if (s.general_prior) {
        const T prior_lv = prior_logvar[n * s.D + d], difference = m - prior_mu[n * s.D + d];
        const T precision = math::exp_linear(-prior_lv, T(kMaxLogPrecision));
        sum += precision * (math::variance(lv) + difference * difference) - 1 - lv + prior_lv;
      } else {
        sum += math::variance(lv) - 1 - lv + m * m;
      }
    }
    kl[n] = sum / 2;
  }
}

template <class T>
void gaussian_kl_backward(const Context&, GaussianKlShape s, const T* mu, const T* logvar, const T* prior_mu,
                          const T* prior_logvar, const acc_t<T>* dkl, Grad<T> dmu, Grad<T> dlogvar, Grad<T> dprior_mu,
                          Grad<T> dprior_logvar) {
  check_gaussian_kl(s, prior_mu, prior_logvar);
  check_prior_gradients(s, dprior_mu || dprior_logvar);
  const int64_t stride = s.stride ? s.stride : s.D;
  for (int64_t n = 0; n < s.N; ++n) {
    for (int64_t d = 0; d < s.D; ++d) {
      const int64_t i = n * stride + d, prior = n * s.D + d;
      const T lv = logvar[i], prior_lv = s.general_prior ? prior_logvar[prior] : T(0);
      const T difference = s.general_prior ? mu[i] - prior_mu[prior] : mu[i];
      const T precision = s.general_prior ? math::exp_linear(-prior_lv, T(kMaxLogPrecision)) : T(1);
      const T of_mu = dkl[n] * precision * difference;
      if (dmu) write(dmu.data[i], of_mu, dmu.mode);
      if (dprior_mu) write(dprior_mu.data[prior], -of_mu, dprior_mu.mode);
      if (dlogvar) {
        write(dlogvar.data[i], dkl[n] / 2 * (precision * math::variance_gradient(lv) - 1), dlogvar.mode);
      }
      if (dprior_logvar) {
        const T slope = math::exp_linear_gradient(-prior_lv, T(kMaxLogPrecision));
        const T scaled = slope * (math::variance(lv) + difference * difference);
        write(dprior_logvar.data[prior], dkl[n] / 2 * (1 - scaled), dprior_logvar.mode);
      }
    }
  }
}

template <class T>
void gaussian_kl_loss(const Context&, GaussianKlShape s, const T* mu, const T* logvar, Weight weight,
                      Grad<acc_t<T>> value, Grad<T> dmu, Grad<T> dlogvar) {
  check_gaussian_kl_loss(s);
  const int64_t stride = s.stride ? s.stride : s.D;
  const T g = static_cast<T>(weight.value() / s.N);
  double total = 0;
  for (int64_t n = 0; n < s.N; ++n) {
    acc_t<T> sum = 0;
    for (int64_t d = 0; d < s.D; ++d) {
      const int64_t i = n * stride + d;
      const T m = mu[i], lv = logvar[i];
      sum += math::variance(lv) - 1 - lv + m * m;
      if (dmu) write(dmu.data[i], g * m, dmu.mode);
      if (dlogvar) write(dlogvar.data[i], g * T(0.5) * (math::variance_gradient(lv) - 1), dlogvar.mode);
    }
    total += sum / 2;
  }
  if (value) write(*value.data, total / s.N, value.mode);
}

template void gaussian_kl_forward(const Context&, GaussianKlShape, const float*, const float*, const float*,
                                  const float*, float*);
template void gaussian_kl_forward(const Context&, GaussianKlShape, const double*, const double*, const double*,
                                  const double*, double*);
template void gaussian_kl_backward(const Context&, GaussianKlShape, const float*, const float*, const float*,
                                   const float*, const float*, Grad<float>, Grad<float>, Grad<float>, Grad<float>);
template void gaussian_kl_backward(const Context&, GaussianKlShape, const double*, const double*, const double*,
                                   const double*, const double*, Grad<double>, Grad<double>, Grad<double>,
                                   Grad<double>);
template void gaussian_kl_loss(const Context&, GaussianKlShape, const float*, const float*, Weight, Grad<float>,
                               Grad<float>, Grad<float>);
template void gaussian_kl_loss(const Context&, GaussianKlShape, const double*, const double*, Weight, Grad<double>,
                               Grad<double>, Grad<double>);

}  // namespace hourglass::cpu
