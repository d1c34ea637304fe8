// SPDX-License-Identifier: Apache-2.0
#include "kernels/nearest_codebook.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/base/nearest_codebook_check.h"

namespace hourglass::cpu {
namespace {

template <class T>
bool is_finite(const T* row, int D) {
  return std::all_of(row, row + D, [](T value) { return std::isfinite(value); });
}

/// Summed in double for both types: a difference of floats, and its square's share of the sum, lose nothing there.
template <class T>
double squared_distance(const T* a, const T* b, int D) {
  double sum = 0;
  for (int d = 0; d < D; ++d) {
    const double difference = static_cast<double>(a[d]) - static_cast<double>(b[d]);
    sum += difference * difference;
  }
  return sum;
}

}  // namespace

template <class T>
void nearest_codebook(const Context&, NearestCodebookShape s, const T* x, const T* codebook, void*, int32_t* index,
                      acc_t<T>* distance, FaultReport report) {
  check_nearest_codebook(s);
  if (s.N == 0) return;
  for (int64_t k = 0; k < s.K; ++k) {
    if (!is_finite(codebook + k * s.D, s.D)) report_not_finite(report, kFaultCode, k);
  }
  for (int64_t n = 0; n < s.N; ++n) {
    const T* row = x + n * s.D;
    index[n] = -1;
    double best = std::numeric_limits<double>::quiet_NaN();
    if (is_finite(row, s.D)) {
      for (int64_t k = 0; k < s.K; ++k) {
        const T* code = codebook + k * s.D;
        const double d = squared_distance(row, code, s.D);
        if (!(index[n] < 0 || d < best) || !is_finite(code, s.D)) continue;
        index[n] = static_cast<int32_t>(k);
        best = d;
      }
    } else {
      report_not_finite(report, kFaultPosition, n);
    }
    if (distance) distance[n] = static_cast<acc_t<T>>(best);
  }
}

template void nearest_codebook<float>(const Context&, NearestCodebookShape, const float*, const float*, void*, int32_t*,
                                      float*, FaultReport);
template void nearest_codebook<double>(const Context&, NearestCodebookShape, const double*, const double*, void*,
                                       int32_t*, double*, FaultReport);

}  // namespace hourglass::cpu
