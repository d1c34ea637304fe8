// SPDX-License-Identifier: Apache-2.0
#include "kernels/pool2d.h"

#include "kernels/base/pool2d_check.h"

namespace hourglass::cpu {
namespace {

/// Calls f(output pixel) for each window, and g(r S + s, input pixel) for each of its pixels that lie in the image.
template <class F>
void for_each_window(const Pool2dShape& s, F&& f) {
  for (int n = 0; n < s.N; ++n) {
    for (int p = 0; p < s.P; ++p) {
      for (int q = 0; q < s.Q; ++q) f(n, p, q, (int64_t{n} * s.P + p) * s.Q + q);
    }
  }
}
template <class G>
void for_each_pixel(const Pool2dShape& s, int n, int p, int q, G&& g) {
  for (int r = 0; r < s.R; ++r) {
    for (int t = 0; t < s.S; ++t) {
      const int64_t h = int64_t{p} * s.stride_h - s.pad_h + r, w = int64_t{q} * s.stride_w - s.pad_w + t;
      if (h >= 0 && h < s.H && w >= 0 && w < s.W) g(r * s.S + t, (int64_t{n} * s.H + h) * s.W + w);
    }
  }
}

/// 1 / count of a window.
template <class T>
T share(const Pool2dShape& s, int p, int q) {
  int64_t count = 0;
  for_each_pixel(s, 0, p, q, [&](int, int64_t) { ++count; });
  return T(1) / static_cast<T>(s.count_padding ? int64_t{s.R} * s.S : count);
}

template <class T>
void clear(const Pool2dShape& s, Grad<T> dx) {
  if (dx.mode == Write::kAdd) return;
  for (int64_t i = 0; i < int64_t{s.N} * s.H * s.W * s.C; ++i) dx.data[i] = 0;
}

}  // namespace

template <class T>
void max_pool2d_forward(const Context&, const Pool2dShape& s, const T* x, T* y, int32_t* argmax) {
  check_pool2d("max_pool2d", s);
  for_each_window(s, [&](int n, int p, int q, int64_t output) {
    for (int c = 0; c < s.C; ++c) {
      T best = 0;
      int32_t where = -1;
      for_each_pixel(s, n, p, q, [&](int index, int64_t pixel) {
        const T value = x[pixel * s.C + c];
        if (where < 0 || value > best || (value != value && best == best)) best = value, where = index;
      });
      y[output * s.C + c] = best;
      if (argmax) argmax[output * s.C + c] = where;
    }
  });
}

template <class T>
void max_pool2d_backward(const Context&, const Pool2dShape& s, const int32_t* argmax, const T* dy, Grad<T> dx) {
  check_pool2d("max_pool2d", s);
  if (!dx) return;
  clear(s, dx);
  for_each_window(s, [&](int n, int p, int q, int64_t output) {
    for_each_pixel(s, n, p, q, [&](int index, int64_t pixel) {
      for (int c = 0; c < s.C; ++c) {
        if (argmax[output * s.C + c] == index) dx.data[pixel * s.C + c] += dy[output * s.C + c];
      }
    });
  });
}

template <class T>
void average_pool2d_forward(const Context&, const Pool2dShape& s, const T* x, T* y) {
  check_pool2d("average_pool2d", s);
  for_each_window(s, [&](int n, int p, int q, int64_t output) {
    for (int c = 0; c < s.C; ++c) {
      T sum = 0;
      for_each_pixel(s, n, p, q, [&](int, int64_t pixel) { sum += x[pixel * s.C + c]; });
      y[output * s.C + c] = sum * share<T>(s, p, q);
    }
  });
}

template <class T>
void average_pool2d_backward(const Context&, const Pool2dShape& s, const T* dy, Grad<T> dx) {
  check_pool2d("average_pool2d", s);
  if (!dx) return;
  clear(s, dx);
  for_each_window(s, [&](int n, int p, int q, int64_t output) {
    const T of_each = share<T>(s, p, q);
    for_each_pixel(s, n, p, q, [&](int, int64_t pixel) {
      for (int c = 0; c < s.C; ++c) dx.data[pixel * s.C + c] += dy[output * s.C + c] * of_each;
    });
  });
}

#define HOURGLASS_INSTANTIATE(T)                                                                               \
  template void max_pool2d_forward<T>(const Context&, const Pool2dShape&, const T*, T*, int32_t*);             \
  template void max_pool2d_backward<T>(const Context&, const Pool2dShape&, const int32_t*, const T*, Grad<T>); \
  template void average_pool2d_forward<T>(const Context&, const Pool2dShape&, const T*, T*);                   \
  template void average_pool2d_backward<T>(const Context&, const Pool2dShape&, const T*, Grad<T>);
HOURGLASS_INSTANTIATE(float)
HOURGLASS_INSTANTIATE(double)
#undef HOURGLASS_INSTANTIATE

}  // namespace hourglass::cpu
