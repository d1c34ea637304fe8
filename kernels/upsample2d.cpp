// SPDX-License-Identifier: Apache-2.0
#include "kernels/upsample2d.h"

#include "kernels/base/pool2d_check.h"

namespace hourglass::cpu {

template <class T>
void upsample2d_forward(const Context&, const Upsample2dShape& s, const T* x, T* y) {
  check_upsample2d(s);
  const int P = s.H * s.factor_h, Q = s.W * s.factor_w;
  for (int64_t n = 0; n < s.N; ++n) {
    for (int p = 0; p < P; ++p) {
      for (int q = 0; q < Q; ++q) {
        const int64_t from = (n * s.H + p / s.factor_h) * s.W + q / s.factor_w, to = (n * P + p) * Q + q;
        for (int c = 0; c < s.C; ++c) y[to * s.C + c] = x[from * s.C + c];
      }
    }
  }
}

template <class T>
void upsample2d_backward(const Context&, const Upsample2dShape& s, const T* dy, Grad<T> dx) {
  check_upsample2d(s);
  if (!dx) return;
  const int P = s.H * s.factor_h, Q = s.W * s.factor_w;
  for (int64_t n = 0; n < s.N; ++n) {
    for (int h = 0; h < s.H; ++h) {
      for (int w = 0; w < s.W; ++w) {
        for (int c = 0; c < s.C; ++c) {
          T sum = 0;
          for (int p = h * s.factor_h; p < (h + 1) * s.factor_h; ++p) {
            for (int q = w * s.factor_w; q < (w + 1) * s.factor_w; ++q) sum += dy[((n * P + p) * Q + q) * s.C + c];
          }
          write(dx.data[((n * s.H + h) * s.W + w) * s.C + c], sum, dx.mode);
        }
      }
    }
  }
}

#define HOURGLASS_INSTANTIATE(T)                                                             \
  template void upsample2d_forward<T>(const Context&, const Upsample2dShape&, const T*, T*); \
  template void upsample2d_backward<T>(const Context&, const Upsample2dShape&, const T*, Grad<T>);
HOURGLASS_INSTANTIATE(float)
HOURGLASS_INSTANTIATE(double)
#undef HOURGLASS_INSTANTIATE

}  // namespace hourglass::cpu
