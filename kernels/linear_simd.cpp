// SPDX-License-Identifier: Apache-2.0
// The timed float layer: matrix products tile by tile, with bias and activation applied to a tile of y while it is in
// the cache. Backward first turns dy into dz and sums the bias gradient in the same pass, then runs the tiles of both
// products as one job.
#include <algorithm>

#include "kernels/base/activation_functions.h"
#include "kernels/base/gemm_tile.h"
#include "kernels/base/linear_check.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::cpu {
namespace {

/// y = f(y + b) for a tile of y; b may be null.
template <Activation A>
HOURGLASS_INLINE void finish_rows(int rows, int columns, const float* b, float* y, int64_t stride) {
  for (int r = 0; r < rows; ++r, y += stride) {
    if (b) {
      for (int j = 0; j < columns; ++j) y[j] = activate<A>(y[j] + b[j]);
    } else {
      for (int j = 0; j < columns; ++j) y[j] = activate<A>(y[j]);
    }
  }
}

HOURGLASS_SIMD void finish_tile(Activation activation, int rows, int columns, const float* b, float* y,
                                int64_t stride) {
  with_activation(activation, [&](auto a) HOURGLASS_INLINE_LAMBDA {
    if constexpr (a != Activation::kGelu) finish_rows<a>(rows, columns, b, y, stride);
  });
}

constexpr int kBand = 64;      // columns of a tile of the pass below
constexpr int kRunRows = 128;  // rows summed before their sum joins the total: two levels round less than one

/// dz = dy f'(y) and sums[j] = sum_n dz[n,j] for one band of columns. dz is null where dy itself is dz.
template <Activation A>
HOURGLASS_INLINE void band(int N, int columns, int64_t stride, const float* y, const float* dy, float* dz,
                           float* __restrict sums) {
  float run[kBand];
  std::fill_n(sums, kBand, 0.0f);
  for (int first = 0; first < N; first += kRunRows) {
    std::fill_n(run, kBand, 0.0f);
    const int last = std::min(N, first + kRunRows);
    for (int64_t at = first * stride; at < last * stride; at += stride) {
      for (int j = 0; j < columns; ++j) {
        float value = dy[at + j];
        if constexpr (A != Activation::kNone) {
          value *= derivative_from_output<A>(y[at + j]);
          dz[at + j] = value;
        }
        run[j] += value;
      }
    }
    for (int j = 0; j < kBand; ++j) sums[j] += run[j];
  }
}

HOURGLASS_SIMD void any_band(Activation activation, int N, int columns, int64_t stride, const float* y, const float* dy,
                             float* dz, float* sums) {
  with_activation(activation, [&](auto a) HOURGLASS_INLINE_LAMBDA {
    if constexpr (a != Activation::kGelu) band<a>(N, columns, stride, y, dy, dz, sums);
  });
}

/// dz into `dz` (unless the activation is none) and the bias gradient.
void pass_through_activation(const Context& ctx, const LinearShape& s, const float* y, const float* dy, float* dz,
                             Grad<float> db) {
  if (s.activation == Activation::kNone && !db) return;
  const auto at = [](auto* p, int64_t i) { return p ? p + i : nullptr; };
  parallel_for(ctx, (s.K + kBand - 1) / kBand, [&](int64_t tile) {
    const int first = static_cast<int>(tile) * kBand, columns = std::min(kBand, s.K - first);
    float sums[kBand];
    any_band(s.activation, s.N, columns, s.K, at(y, first), at(dy, first), at(dz, first), sums);
    for (int j = 0; db && j < columns; ++j) write(db.data[first + j], sums[j], db.mode);
  });
}

/// A product and its tiles; none where the result is not wanted.
struct Product {
  GemmShape shape;
  const float* a;
  const float* b;
  Grad<float> c;
  GemmTiles tiles = GemmTiles(c ? shape : GemmShape{}, tile_columns());

  void run(int64_t tile) const { multiply(tile_of(shape, tiles, tile, a, b, c)); }
};

}  // namespace

void linear_forward(const Context& ctx, LinearShape s, const float* x, const float* w, const float* b, float* y) {
  check_linear(s);
  const Product product{{s.N, s.K, s.C, false, !s.transposed_weight}, x, w, Grad<float>{y}};
  parallel_for(ctx, product.tiles.count(), [&](int64_t i) {
    const GemmTile t = tile_of(product.shape, product.tiles, i, product.a, product.b, product.c);
    multiply(t);
    if (!b && s.activation == Activation::kNone) return;
    const int64_t column = (t.c - y) % s.K;
    finish_tile(s.activation, t.M, t.N, b ? b + column : nullptr, t.c, t.ldc);
  });
}

void linear_backward(const Context& ctx, LinearShape s, const float* x, const float* w, const float* y, const float* dy,
                     void* scratch, Grad<float> dx, Grad<float> dw, Grad<float> db) {
  check_linear(s);
  const bool plain = s.activation == Activation::kNone;
  float* result = plain ? nullptr : static_cast<float*>(scratch);
  pass_through_activation(ctx, s, y, dy, result, db);
  const float* dz = plain ? dy : result;
  const Product input{{s.N, s.C, s.K, false, s.transposed_weight}, dz, w, dx};
  const Product weight = s.transposed_weight ? Product{{s.C, s.K, s.N, true, false}, x, dz, dw}
                                             : Product{{s.K, s.C, s.N, true, false}, dz, x, dw};
  const int64_t first = weight.tiles.count();
  parallel_for(ctx, first + input.tiles.count(), [&](int64_t i) { i < first ? weight.run(i) : input.run(i - first); });
}

}  // namespace hourglass::cpu
