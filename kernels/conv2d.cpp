// SPDX-License-Identifier: Apache-2.0
#include "kernels/conv2d.h"

#include <algorithm>

#include "kernels/base/activation_functions.h"
#include "kernels/base/conv2d_check.h"

namespace hourglass {

int conv2d_output_extent(int extent, int window, int stride, int pad_before, int pad_after, int dilation) {
  if (window < 1 || stride < 1 || dilation < 1) {
    throw Error(Exit::kUsage, "conv2d: expected window, stride and dilation >= 1, got " + std::to_string(window) +
                                  ", " + std::to_string(stride) + " and " + std::to_string(dilation));
  }
  const int64_t room = int64_t{extent} + pad_before + pad_after - int64_t{dilation} * (window - 1) - 1;
  return room < 0 ? 0 : static_cast<int>(room / stride + 1);
}

namespace cpu {
namespace {

/// Where the elements of x, y and w lie.
struct Layout {
  const Conv2dShape& s;
  int64_t x(int64_t n, int64_t h, int64_t w, int64_t c) const { return ((n * s.H + h) * s.W + w) * s.C + c; }
  int64_t y(int64_t n, int64_t p, int64_t q, int64_t k) const { return ((n * s.P + p) * s.Q + q) * s.K + k; }
  int64_t w(int64_t k, int64_t r, int64_t t, int64_t c) const { return ((k * s.R + r) * s.S + t) * s.C + c; }
};

/// A coordinate, or none where it lies outside its image.
struct Coordinate {
  int64_t at = 0;
  bool inside = false;
};

/// The row (or column) of x under tap r of the window of output row p.
Coordinate input_of(int64_t p, int64_t r, int stride, int pad, int dilation, int extent) {
  const int64_t h = p * stride - pad + r * dilation;
  return {h, h >= 0 && h < extent};
}

/// The output row whose tap r lies on row h of x.
Coordinate output_of(int64_t h, int64_t r, int stride, int pad, int dilation, int extent) {
  const int64_t scaled = h + pad - r * dilation;
  return {scaled / stride, scaled >= 0 && scaled % stride == 0 && scaled / stride < extent};
}

template <class T>
T finish(T sum, const Conv2dEpilogue<T>& epilogue, int64_t channel, int64_t at) {
  if (epilogue.bias) sum += epilogue.bias[channel];
  if (epilogue.residual) sum += epilogue.residual[at];
  with_activation(epilogue.activation, [&](auto a) { sum = activate<a>(sum); });
  return sum;
}

template <class T>
T forward_sum(const Conv2dShape& s, const T* x, const T* w, int64_t n, int64_t p, int64_t q, int64_t k) {
  const Layout at{s};
  T sum = 0;
  for (int r = 0; r < s.R; ++r) {
    const Coordinate row = input_of(p, r, s.stride_h, s.pad_h, s.dilation_h, s.H);
    for (int t = 0; row.inside && t < s.S; ++t) {
      const Coordinate column = input_of(q, t, s.stride_w, s.pad_w, s.dilation_w, s.W);
      if (!column.inside) continue;
      for (int64_t c = 0; c < s.C; ++c) sum += x[at.x(n, row.at, column.at, c)] * w[at.w(k, r, t, c)];
    }
  }
  return sum;
}

template <class T>
T backward_input_sum(const Conv2dShape& s, const T* y, const T* w, int64_t n, int64_t h, int64_t column, int64_t c) {
  const Layout at{s};
  T sum = 0;
  for (int r = 0; r < s.R; ++r) {
    const Coordinate p = output_of(h, r, s.stride_h, s.pad_h, s.dilation_h, s.P);
    for (int t = 0; p.inside && t < s.S; ++t) {
      const Coordinate q = output_of(column, t, s.stride_w, s.pad_w, s.dilation_w, s.Q);
      if (!q.inside) continue;
      for (int64_t k = 0; k < s.K; ++k) sum += y[at.y(n, p.at, q.at, k)] * w[at.w(k, r, t, c)];
    }
  }
  return sum;
}

template <class T>
T backward_weight_sum(const Conv2dShape& s, const T* x, const T* dy, int64_t k, int64_t r, int64_t t, int64_t c) {
  const Layout at{s};
  T sum = 0;
  for (int64_t n = 0; n < s.N; ++n) {
    for (int64_t p = 0; p < s.P; ++p) {
      const Coordinate row = input_of(p, r, s.stride_h, s.pad_h, s.dilation_h, s.H);
      for (int64_t q = 0; row.inside && q < s.Q; ++q) {
        const Coordinate column = input_of(q, t, s.stride_w, s.pad_w, s.dilation_w, s.W);
        if (column.inside) sum += dy[at.y(n, p, q, k)] * x[at.x(n, row.at, column.at, c)];
      }
    }
  }
  return sum;
}

}  // namespace

template <class T>
void conv2d_forward(const Context&, const Conv2dShape& s, const T* x, const T* w, const Conv2dEpilogue<T>& epilogue,
                    Grad<T> y) {
  check_conv2d("conv2d_forward", s, epilogue.activation);
  if (!y) return;
  const Layout layout{s};
  for (int64_t n = 0; n < s.N; ++n) {
    for (int64_t p = 0; p < s.P; ++p) {
      for (int64_t q = 0; q < s.Q; ++q) {
        for (int64_t k = 0; k < s.K; ++k) {
          const int64_t at = layout.y(n, p, q, k);
          write(y.data[at], finish(forward_sum(s, x, w, n, p, q, k), epilogue, k, at), y.mode);
        }
      }
    }
  }
}

template <class T>
void conv2d_backward_input(const Context&, const Conv2dShape& s, const T* y, const T* w,
                           const Conv2dEpilogue<T>& epilogue, Grad<T> x) {
  check_conv2d("conv2d_backward_input", s, epilogue.activation);
  if (!x) return;
  const Layout layout{s};
  for (int64_t n = 0; n < s.N; ++n) {
    for (int64_t h = 0; h < s.H; ++h) {
      for (int64_t column = 0; column < s.W; ++column) {
        for (int64_t c = 0; c < s.C; ++c) {
          const int64_t at = layout.x(n, h, column, c);
          write(x.data[at], finish(backward_input_sum(s, y, w, n, h, column, c), epilogue, c, at), x.mode);
        }
      }
    }
  }
}

template <class T>
size_t conv2d_backward_weight_scratch_bytes(const Conv2dShape&) {
  return 0;
}

template <class T>
void conv2d_backward_weight(const Context&, const Conv2dShape& s, const T* x, const T* dy, void*, Grad<acc_t<T>> dw) {
  check_conv2d("conv2d_backward_weight", s);
  if (!dw) return;
  const Layout layout{s};
  for (int64_t k = 0; k < s.K; ++k) {
    for (int64_t r = 0; r < s.R; ++r) {
      for (int64_t t = 0; t < s.S; ++t) {
        for (int64_t c = 0; c < s.C; ++c) {
          write(dw.data[layout.w(k, r, t, c)], backward_weight_sum(s, x, dy, k, r, t, c), dw.mode);
        }
      }
    }
  }
}

template <class T>
void conv2d_backward_epilogue(const Context&, const Conv2dEpilogueShape& s, const T* y, T* dy, Grad<acc_t<T>> db) {
  check_conv2d_backward_epilogue(s, y);
  with_activation(s.activation, [&](auto a) {
    if constexpr (a != Activation::kNone && a != Activation::kGelu) {
      for (int64_t i = 0; i < s.rows * s.channels; ++i) dy[i] *= derivative_from_output<a>(y[i]);
    }
  });
  for (int64_t k = 0; db && k < s.channels; ++k) {
    acc_t<T> sum = 0;
    for (int64_t row = 0; row < s.rows; ++row) sum += dy[row * s.channels + k];
    write(db.data[k], sum, db.mode);
  }
}

template void conv2d_forward(const Context&, const Conv2dShape&, const float*, const float*,
                             const Conv2dEpilogue<float>&, Grad<float>);
template void conv2d_forward(const Context&, const Conv2dShape&, const double*, const double*,
                             const Conv2dEpilogue<double>&, Grad<double>);
template void conv2d_backward_input(const Context&, const Conv2dShape&, const float*, const float*,
                                    const Conv2dEpilogue<float>&, Grad<float>);
template void conv2d_backward_input(const Context&, const Conv2dShape&, const double*, const double*,
                                    const Conv2dEpilogue<double>&, Grad<double>);
template size_t conv2d_backward_weight_scratch_bytes<double>(const Conv2dShape&);
template void conv2d_backward_weight<float>(const Context&, const Conv2dShape&, const float*, const float*, void*,
                                            Grad<float>);
template void conv2d_backward_weight<double>(const Context&, const Conv2dShape&, const double*, const double*, void*,
                                             Grad<double>);
template void conv2d_backward_epilogue<float>(const Context&, const Conv2dEpilogueShape&, const float*, float*,
                                              Grad<float>);
template void conv2d_backward_epilogue<double>(const Context&, const Conv2dEpilogueShape&, const double*, double*,
                                               Grad<double>);

}  // namespace cpu
}  // namespace hourglass
