// SPDX-License-Identifier: Apache-2.0
#include "kernels/gradient_norm.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/error.h"

namespace hourglass::cpu {

template <class T>
void gradient_check(const Context&, GradientNormShape s, const T* slab, double clip_norm, Norm* norm, Fault* fault,
                    const int64_t* step) {
  double squares = 0;
  for (int64_t i = 0; i < s.total; ++i) {
    const double g = slab[i];
    if (!std::isfinite(g)) {
      if (fault->code == 0) *fault = {static_cast<int32_t>(Exit::kNotFinite), kFaultGradient, *step, s.first + i};
      return;
    }
    if (i < s.gradients) squares += g * g;
  }
  norm->norm = std::sqrt(squares);
  norm->scale = clip_norm > 0 ? std::min(1.0, clip_norm / (norm->norm + 1e-6)) : 1.0;
}

template void gradient_check<float>(const Context&, GradientNormShape, const float*, double, Norm*, Fault*,
                                    const int64_t*);
template void gradient_check<double>(const Context&, GradientNormShape, const double*, double, Norm*, Fault*,
                                     const int64_t*);

}  // namespace hourglass::cpu
