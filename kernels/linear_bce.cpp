// SPDX-License-Identifier: Apache-2.0
#include "kernels/linear_bce.h"

#include <cmath>

#include "kernels/base/linear_bce_check.h"
#include "kernels/base/math.h"

namespace hourglass::cpu {

template <class T>
void linear_bce_loss(const Context&, LinearBceShape s, const T* x, const T* w, const T* b, const T* target,
                     Weight weight, void*, Grad<acc_t<T>> value, T* dlogits) {
  check_linear_bce(s);
  const T scale = static_cast<T>(weight.value() / s.N);
  double total = 0;
  for (int64_t n = 0; n < s.N; ++n) {
    for (int64_t k = 0; k < s.K; ++k) {
      T logit = b ? b[k] : T(0);
      for (int64_t c = 0; c < s.C; ++c)
        logit += x[n * s.C + c] * (s.transposed_weight ? w[c * s.K + k] : w[k * s.C + c]);
      const T t = target[n / s.draws * s.K + k];
      total += (logit > 0 ? logit : T(0)) - t * logit + math::log1p_exp(-std::abs(logit));
      dlogits[n * s.K + k] = scale * (math::sigmoid(logit) - t);
    }
  }
  if (value) write(*value.data, total / s.N, value.mode);
}

template void linear_bce_loss<float>(const Context&, LinearBceShape, const float*, const float*, const float*,
                                     const float*, Weight, void*, Grad<float>, float*);
template void linear_bce_loss<double>(const Context&, LinearBceShape, const double*, const double*, const double*,
                                      const double*, Weight, void*, Grad<double>, double*);

}  // namespace hourglass::cpu
