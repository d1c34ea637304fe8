// SPDX-License-Identifier: Apache-2.0
#include "kernels/reparameterize.h"

#include <string>

#include "kernels/base/error.h"
#include "kernels/base/math.h"
#include "kernels/base/philox.h"

namespace hourglass {

void check_latent(const char* op, LatentShape s, const Noise& noise) {
  if (s.N < 0 || s.D < 0 || s.draws < 1 || s.stride < 0 || (s.stride != 0 && s.stride < s.D)) {
    throw Error(Exit::kUsage, std::string(op) + ": expected N >= 0, D >= 0, draws >= 1 and stride 0 or >= D, got N = " +
                                  std::to_string(s.N) + ", D = " + std::to_string(s.D) +
                                  ", draws = " + std::to_string(s.draws) + ", stride = " + std::to_string(s.stride));
  }
  if (noise.draws != s.draws) {
    throw Error(Exit::kUsage, std::string(op) + ": the shape has " + std::to_string(s.draws) +
                                  " draws a sample, the noise has " + std::to_string(noise.draws));
  }
}

namespace cpu {

template <class T>
void reparameterize_forward(const Context&, LatentShape s, const T* mu, const T* logvar, const Noise& noise, T* z) {
  check_latent("reparameterize", s, noise);
  const int64_t stride = s.stride ? s.stride : s.D;
  for (int64_t r = 0; r < int64_t{s.N} * s.draws; ++r) {
    const int64_t n = r / s.draws;
    for (int64_t d = 0; d < s.D; ++d) {
      z[r * s.D + d] = mu[n * stride + d] + math::stddev(logvar[n * stride + d]) * normal<T>(noise, r, d);
    }
  }
}

template <class T>
void reparameterize_backward(const Context&, LatentShape s, const T* logvar, const Noise& noise, const T* dz,
                             Grad<T> dmu, Grad<T> dlogvar) {
  check_latent("reparameterize", s, noise);
  const int64_t stride = s.stride ? s.stride : s.D;
  for (int64_t n = 0; n < s.N; ++n) {
    for (int64_t d = 0; d < s.D; ++d) {
      T sum = 0, sum_eps = 0;
      for (int64_t r = n * s.draws; r < (n + 1) * s.draws; ++r) {
        sum += dz[r * s.D + d];
        sum_eps += dz[r * s.D + d] * normal<T>(noise, r, d);
      }
      const int64_t i = n * stride + d;
      if (dmu) write(dmu.data[i], sum, dmu.mode);
      if (dlogvar) write(dlogvar.data[i], math::stddev_gradient(logvar[i]) * sum_eps, dlogvar.mode);
    }
  }
}

template <class T>
void normal_fill(const Context&, LatentShape s, const Noise& noise, T* z) {
  check_latent("normal_fill", s, noise);
  for (int64_t r = 0; r < int64_t{s.N} * s.draws; ++r) {
    for (int64_t d = 0; d < s.D; ++d) z[r * s.D + d] = normal<T>(noise, r, d);
  }
}

template void reparameterize_forward(const Context&, LatentShape, const float*, const float*, const Noise&, float*);
template void reparameterize_forward(const Context&, LatentShape, const double*, const double*, const Noise&, double*);
template void reparameterize_backward(const Context&, LatentShape, const float*, const Noise&, const float*,
                                      Grad<float>, Grad<float>);
template void reparameterize_backward(const Context&, LatentShape, const double*, const Noise&, const double*,
                                      Grad<double>, Grad<double>);
template void normal_fill(const Context&, LatentShape, const Noise&, float*);
template void normal_fill(const Context&, LatentShape, const Noise&, double*);

}  // namespace cpu
}  // namespace hourglass
