// SPDX-License-Identifier: Apache-2.0
#include "kernels/corrupt.h"

#include "kernels/base/corrupt_check.h"
#include "kernels/base/philox.h"

namespace hourglass::cpu {

template <class T>
void corrupt(const Context&, const CorruptShape& s, const T* x, const Noise& noise, T* y) {
  check_corrupt(s, noise);
  const Replacement chances = replacement(s.corruption);
  for (int64_t n = 0; n < s.N; ++n) {
    for (int d = 0; d < s.D; ++d) {
      const int64_t i = n * s.D + d;
      y[i] = s.corruption.kind == CorruptionKind::kGaussian
                 ? clip_unit(x[i] + static_cast<T>(s.corruption.amount) * normal<T>(noise, n, d))
                 : replaced(x[i], uniform<T>(noise, n, d), chances);
    }
  }
}

template void corrupt<float>(const Context&, const CorruptShape&, const float*, const Noise&, float*);
template void corrupt<double>(const Context&, const CorruptShape&, const double*, const Noise&, double*);

}  // namespace hourglass::cpu
