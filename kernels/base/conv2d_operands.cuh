// SPDX-License-Identifier: Apache-2.0
// The matrices that a convolution multiplies, without their being in memory: implicit GEMM. What the tiles of
// gemm_tile.cuh (CUDA cores) and mma_tile.cuh (tensor cores) read and write.
//
//   product            | rows     columns     depth       | A                   B
//   forward, a phase   | pixels   columns     tap, channel | patches             filter
//   backward_weight    | K        tap, C      pixels       | dy, transposed      patches, transposed
//
// A row of `patches` is what the window covers for one output pixel. An operand is a struct with
//
//   static constexpr bool kAlongDepth      whether neighbours in memory differ in the term k, or in the outer index o
//   Outer outer(int o) const               what one index says by itself, so that it is worked out once for many
//   Depth depth(int k) const               elements of a row or column
//   const T* at(Outer, Depth) const        the element, null where it is zero
#pragma once

#include "kernels/base/activation_functions.h"
#include "kernels/base/conv2d_gather.h"
#include "kernels/base/gemm_tile.cuh"

namespace hourglass::gpu {

/// The input side of a gather; pixels first_pixel .. end_pixel - 1 of it, counted from 0.
template <class T>
struct Patches {
  struct Position {
    const T* image;  ///< null: no such pixel
    int h, w;
  };
  struct Tap {
    int h, w, channel;  ///< channel < 0: no such term
  };
  const Conv2dGather& g;
  const T* in;
  int first_pixel, end_pixel;

  __device__ __forceinline__ Position position(int pixel) const {
    pixel += first_pixel;
    if (pixel >= end_pixel) return {nullptr, 0, 0};
    int inside, j;
    const int n = g.by_image.divide(pixel, &inside), i = g.by_row.divide(inside, &j);
    return {in + int64_t{n} * g.h.inputs * g.w.inputs * g.channels, g.h.input(i, 0), g.w.input(j, 0)};
  }
  __device__ __forceinline__ Tap tap(int k) const {
    if (k >= g.depth) return {0, 0, -1};
    int channel, u;
    const int t = g.by_tap_row.divide(g.by_channels.divide(k, &channel), &u);
    return {t * g.h.input_per_tap, u * g.w.input_per_tap, channel};
  }
  __device__ __forceinline__ const T* at(const Position& p, const Tap& tap) const {
    const int h = p.h + tap.h, w = p.w + tap.w;
    const bool inside = p.image && tap.channel >= 0 && static_cast<unsigned>(h) < static_cast<unsigned>(g.h.inputs) &&
                        static_cast<unsigned>(w) < static_cast<unsigned>(g.w.inputs);
    return inside ? p.image + (int64_t{h} * g.w.inputs + w) * g.channels + tap.channel : nullptr;
  }
};

/// (pixel, term): A of a gather.
template <class T>
struct PatchRows : Patches<T> {
  using Element = T;
  static constexpr bool kAlongDepth = true;
  using Outer = typename Patches<T>::Position;
  using Depth = typename Patches<T>::Tap;
  __device__ __forceinline__ Outer outer(int o) const { return this->position(o); }
  __device__ __forceinline__ Depth depth(int k) const { return this->tap(k); }
};

/// (term, pixel): B of backward_weight.
template <class T>
struct PatchColumns : Patches<T> {
  using Element = T;
  static constexpr bool kAlongDepth = false;
  using Outer = typename Patches<T>::Tap;
  using Depth = typename Patches<T>::Position;
  __device__ __forceinline__ Outer outer(int o) const { return this->tap(o); }
  __device__ __forceinline__ Depth depth(int k) const { return this->position(k); }
  __device__ __forceinline__ const T* at(const Outer& o, const Depth& k) const { return Patches<T>::at(k, o); }
};

/// A dense matrix: element (o, k) at data[o depth + k] if kAlongDepth_, else at data[k outer + o].
template <class T, bool kAlongDepth_>
struct Dense {
  using Element = T;
  static constexpr bool kAlongDepth = kAlongDepth_;
  using Outer = int;
  using Depth = int;
  const T* data;
  int outers, depths;
  __device__ __forceinline__ int outer(int o) const { return o; }
  __device__ __forceinline__ int depth(int k) const { return k; }
  __device__ __forceinline__ const T* at(int o, int k) const {
    if (o >= outers || k >= depths) return nullptr;
    return data + (kAlongDepth ? int64_t{o} * depths + k : int64_t{k} * outers + o);
  }
};

/// (column c, term (tap, k)) of a phase of backward_input: w[k, r, s, c].
template <class T>
struct PhaseFilter {
  using Element = T;
  static constexpr bool kAlongDepth = false;
  using Outer = int;
  using Depth = int64_t;  ///< of w[k, r, s, 0], in elements; negative: no such term
  const Conv2dGather& g;
  const T* w;
  int window;  ///< R S
  __device__ __forceinline__ Outer outer(int o) const { return o; }
  __device__ __forceinline__ Depth depth(int k) const {
    if (k >= g.depth) return -1;
    int channel, u;
    const int t = g.by_tap_row.divide(g.by_channels.divide(k, &channel), &u);
    return (int64_t{channel} * window + g.h.tap(t) * g.window_w + g.w.tap(u)) * g.columns;
  }
  __device__ __forceinline__ const T* at(Outer o, Depth k) const {
    return o < g.columns && k >= 0 ? w + k + o : nullptr;
  }
};

/// An operand as gemm_tile.cuh wants it: four neighbours at a time. kVector: they lie inside or outside together, and
/// aligned.
template <class Operand, bool kVector>
struct Fetched : Operand {
  using Raw = Vec4;
  using Operand::kAlongDepth;
  __device__ __forceinline__ Raw fetch(int o, int k) const {
    Vec4 four = {};
    if constexpr (kVector) {
      const auto* const p = this->at(this->outer(o), this->depth(k));
      if (p) four = load4(p);
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const auto* const p =
            kAlongDepth ? this->at(this->outer(o), this->depth(k + i)) : this->at(this->outer(o + i), this->depth(k));
        if (p) four[i] = to_float(*p);
      }
    }
    return four;
  }
  __device__ __forceinline__ Vec4 value(const Raw& raw) const { return raw; }
};

/// Adds bias and residual, applies the activation: at `offset` of the output, columns `column` ... + 3.
template <bool kVector, class T>
__device__ __forceinline__ void store_activated(const Conv2dEpilogue<T>& epilogue, Grad<T> out, int64_t offset,
                                                int column, int columns, const Vec4& sums) {
  Vec4 z = sums;
  if (epilogue.bias) {
    const Vec4 bias = load_four<kVector>(epilogue.bias, 0, 1, column, columns);
#pragma unroll
    for (int i = 0; i < 4; ++i) z[i] += bias[i];
  }
  if (epilogue.residual) {
    const Vec4 residual = load_four<kVector>(epilogue.residual + offset, 0, 1, column, columns);
#pragma unroll
    for (int i = 0; i < 4; ++i) z[i] += residual[i];
  }
  with_activation(epilogue.activation, [&](auto f) {
    if constexpr (f.value != Activation::kGelu && f.value != Activation::kNone) {
#pragma unroll
      for (int i = 0; i < 4; ++i) z[i] = activate<f.value>(z[i]);
    }
  });
  write_four<kVector>(out.data + offset, 0, 1, column, columns, z, out.mode);
}

/// The output side of a gather.
template <class T, bool kVector>
struct StorePixels {
  const Conv2dGather& g;
  const Conv2dEpilogue<T>& epilogue;
  Grad<T> out;
  __device__ __forceinline__ void operator()(int row, int column, const Vec4& sums) const {
    if (row >= g.pixels || column >= g.columns) return;
    store_activated<kVector>(epilogue, out, g.output_pixel(row) * g.columns, column, g.columns, sums);
  }
};

}  // namespace hourglass::gpu
