// SPDX-License-Identifier: Apache-2.0
// A pixel is a row of C channels (row_tasks.cuh): a thread computes four channels of one output pixel (forward) or of
// one input pixel (backward), so that neighbouring threads read neighbouring channels of the same window. Every value
// is read once a window that holds it; windows that overlap find it in the cache. Backward gathers instead of
// scattering: no atomics, no zeroing, and kSet and kAdd are one store.
#include "kernels/base/pool2d_check.h"
#include "kernels/base/pool2d_windows.h"
#include "kernels/base/row_tasks.cuh"
#include "kernels/pool2d.h"

namespace hourglass::cuda {
namespace {

/// Pixel `row` of a batch of images of `height` x `width`.
struct Pixel {
  int n, h, w;
};
__device__ __forceinline__ Pixel pixel_of(int64_t row, int height, int width) {
  const int pixel = static_cast<int>(row), line = pixel / width, n = line / height;
  return {n, line - n * height, pixel - line * width};
}

struct Index4 {
  int32_t v[4];
};
template <bool kVector>
__device__ __forceinline__ Index4 load_indices(const int32_t* p, int count) {
  Index4 x = {};
  if constexpr (kVector) {
    const int4 whole = *reinterpret_cast<const int4*>(p);
    x = {{whole.x, whole.y, whole.z, whole.w}};
  } else {
#pragma unroll
    for (int j = 0; j < 4; ++j) x.v[j] = j < count ? p[j] : 0;
  }
  return x;
}
template <bool kVector>
__device__ __forceinline__ void store_indices(int32_t* p, const Index4& x, int count) {
  if constexpr (kVector) {
    *reinterpret_cast<int4*>(p) = make_int4(x.v[0], x.v[1], x.v[2], x.v[3]);
  } else {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (j < count) p[j] = x.v[j];
    }
  }
}

struct Window {
  Span rows, columns;
  int64_t first;  ///< pixel of x at r = s = 0, which may lie outside the image
  __device__ Window(const Pool2dShape& s, const Pixel& at)
      : rows(pixels_of_window(at.h, s.H, s.R, s.stride_h, s.pad_h)),
        columns(pixels_of_window(at.w, s.W, s.S, s.stride_w, s.pad_w)),
        first((int64_t{at.n} * s.H + at.h * s.stride_h - s.pad_h) * s.W + at.w * s.stride_w - s.pad_w) {}
  __device__ float share(const Pool2dShape& s) const {
    const int count = s.count_padding ? s.R * s.S : (rows.end - rows.first) * (columns.end - columns.first);
    return 1.0f / static_cast<float>(count);
  }
};

template <class T, bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    max_pool2d_forward_quad_kernel(gpu::RowTasks tasks, Pool2dShape s, const T* x, T* y, int32_t* argmax) {
  gpu::for_each_quad<kVector>(tasks, [&](int64_t row) {
    const Window window(s, pixel_of(row, s.P, s.Q));
    return [=](int quad, int count) {
      gpu::Vec4 best = {};
      Index4 where = {{-1, -1, -1, -1}};
      for (int r = window.rows.first; r < window.rows.end; ++r) {
        for (int t = window.columns.first; t < window.columns.end; ++t) {
          const int64_t pixel = window.first + int64_t{r} * s.W + t;
          const gpu::Vec4 v = gpu::load_quad<kVector>(x + pixel * s.C + 4 * quad, count);
#pragma unroll
          for (int j = 0; j < 4; ++j) {
            // A NaN is better than a number, and nothing is better than a NaN.
            const bool better = where.v[j] < 0 || (!(v[j] <= best[j]) && best[j] == best[j]);
            best[j] = better ? v[j] : best[j];
            where.v[j] = better ? r * s.S + t : where.v[j];
          }
        }
      }
      const int64_t at = row * s.C + 4 * quad;
      gpu::write_quad<kVector>(y + at, best, count, Write::kSet);
      if (argmax) store_indices<kVector>(argmax + at, where, count);
      return 0.0f;
    };
  });
}

template <class T, bool kVector>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    average_pool2d_forward_quad_kernel(gpu::RowTasks tasks, Pool2dShape s, const T* x, T* y) {
  gpu::for_each_quad<kVector>(tasks, [&](int64_t row) {
    const Window window(s, pixel_of(row, s.P, s.Q));
    const float share = window.share(s);
    return [=](int quad, int count) {
      gpu::Vec4 sum = {};
      for (int r = window.rows.first; r < window.rows.end; ++r) {
        for (int t = window.columns.first; t < window.columns.end; ++t) {
          const int64_t pixel = window.first + int64_t{r} * s.W + t;
          const gpu::Vec4 v = gpu::load_quad<kVector>(x + pixel * s.C + 4 * quad, count);
#pragma unroll
          for (int j = 0; j < 4; ++j) sum[j] += v[j];
        }
      }
#pragma unroll
      for (int j = 0; j < 4; ++j) sum[j] *= share;
      gpu::write_quad<kVector>(y + row * s.C + 4 * quad, sum, count, Write::kSet);
      return 0.0f;
    };
  });
}

/// dx of one pixel from the windows that hold it: kMax by their argmax, otherwise by their share.
template <class T, bool kVector, bool kMax>
__global__ void __launch_bounds__(gpu::kTaskThreads)
    pool2d_backward_gather_kernel(gpu::RowTasks tasks, Pool2dShape s, const int32_t* argmax, const T* dy, Grad<T> dx) {
  gpu::for_each_quad<kVector>(tasks, [&](int64_t row) {
    const Pixel pixel = pixel_of(row, s.H, s.W);
    const Span rows = windows_of_pixel(pixel.h, s.P, s.R, s.stride_h, s.pad_h);
    const Span columns = windows_of_pixel(pixel.w, s.Q, s.S, s.stride_w, s.pad_w);
    return [=](int quad, int count) {
      gpu::Vec4 sum = {};
      for (int p = rows.first; p < rows.end; ++p) {
#pragma unroll 1  // unrolled, the index arithmetic spills a register
        for (int q = columns.first; q < columns.end; ++q) {
          const int64_t at = ((int64_t{pixel.n} * s.P + p) * s.Q + q) * s.C + 4 * quad;
          const gpu::Vec4 g = gpu::load_quad<kVector>(dy + at, count);
          if constexpr (kMax) {
            const Index4 where = load_indices<kVector>(argmax + at, count);
            const int mine = (pixel.h - p * s.stride_h + s.pad_h) * s.S + pixel.w - q * s.stride_w + s.pad_w;
#pragma unroll
            for (int j = 0; j < 4; ++j) sum[j] += where.v[j] == mine ? g[j] : 0.0f;
          } else {
            const float share = Window(s, {pixel.n, p, q}).share(s);
#pragma unroll
            for (int j = 0; j < 4; ++j) sum[j] += g[j] * share;
          }
        }
      }
      gpu::write_quad<kVector>(dx.data + row * s.C + 4 * quad, sum, count, dx.mode);
      return 0.0f;
    };
  });
}

template <class T, bool kMax>
void backward(const Context& ctx, const Pool2dShape& s, const int32_t* argmax, const T* dy, Grad<T> dx) {
  const gpu::RowTasks tasks(int64_t{s.N} * s.H * s.W, s.C);
  if (!dx || tasks.rows == 0 || s.C == 0) return;
  gpu::with_constant(gpu::can_load4(s.C, argmax, dy, dx.data), [&](auto vectors) {
    gpu::launch(pool2d_backward_gather_kernel<T, decltype(vectors)::value, kMax>, tasks.blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, s, argmax, dy, dx);
  });
}

}  // namespace

template <class T>
void max_pool2d_forward(const Context& ctx, const Pool2dShape& s, const T* x, T* y, int32_t* argmax) {
  check_pool2d("max_pool2d", s);
  const gpu::RowTasks tasks(int64_t{s.N} * s.P * s.Q, s.C);
  if (tasks.rows == 0 || s.C == 0) return;
  gpu::with_constant(gpu::can_load4(s.C, x, y, argmax), [&](auto vectors) {
    gpu::launch(max_pool2d_forward_quad_kernel<T, decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, s, x, y, argmax);
  });
}

template <class T>
void max_pool2d_backward(const Context& ctx, const Pool2dShape& s, const int32_t* argmax, const T* dy, Grad<T> dx) {
  check_pool2d("max_pool2d", s);
  backward<T, true>(ctx, s, argmax, dy, dx);
}

template <class T>
void average_pool2d_forward(const Context& ctx, const Pool2dShape& s, const T* x, T* y) {
  check_pool2d("average_pool2d", s);
  const gpu::RowTasks tasks(int64_t{s.N} * s.P * s.Q, s.C);
  if (tasks.rows == 0 || s.C == 0) return;
  gpu::with_constant(gpu::can_load4(s.C, x, y), [&](auto vectors) {
    gpu::launch(average_pool2d_forward_quad_kernel<T, decltype(vectors)::value>, tasks.blocks, gpu::kTaskThreads, 0,
                gpu::stream(ctx), tasks, s, x, y);
  });
}

template <class T>
void average_pool2d_backward(const Context& ctx, const Pool2dShape& s, const T* dy, Grad<T> dx) {
  check_pool2d("average_pool2d", s);
  backward<T, false>(ctx, s, nullptr, dy, dx);
}

#define HOURGLASS_INSTANTIATE(T)                                                                            \
  template void max_pool2d_forward(const Context&, const Pool2dShape&, const T*, T*, int32_t*);             \
  template void max_pool2d_backward(const Context&, const Pool2dShape&, const int32_t*, const T*, Grad<T>); \
  template void average_pool2d_forward(const Context&, const Pool2dShape&, const T*, T*);                   \
  template void average_pool2d_backward(const Context&, const Pool2dShape&, const T*, Grad<T>);
HOURGLASS_INSTANTIATE(float)
HOURGLASS_INSTANTIATE(bf16)
#undef HOURGLASS_INSTANTIATE

}  // namespace hourglass::cuda
