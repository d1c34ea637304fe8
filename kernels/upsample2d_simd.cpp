// SPDX-License-Identifier: Apache-2.0
// Vectors run along the channels. A tile is a few rows of x: forward widens a row once and copies the result to the
// other rows of its block.
#include <algorithm>
#include <cstring>

#include "kernels/base/pool2d_check.h"
#include "kernels/base/simd.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::cpu {
namespace {

constexpr int kLanes = 16;

HOURGLASS_SIMD void widen_row(const Upsample2dShape& s, const float* __restrict x, float* __restrict y) {
  for (int w = 0; w < s.W; ++w, x += s.C) {
    for (int j = 0; j < s.factor_w; ++j, y += s.C) {
      for (int c = 0; c < s.C; ++c) y[c] = x[c];
    }
  }
}

/// `count` channels of a pixel of dx from its block of dy; they stay in registers until they are summed.
HOURGLASS_INLINE void sum_run(const Upsample2dShape& s, const float* __restrict dy, int64_t pitch, int count, bool add,
                              float* __restrict dx) {
  float sum[kLanes];
  for (int c = 0; c < count; ++c) sum[c] = add ? dx[c] : 0.0f;
  for (int i = 0; i < s.factor_h; ++i) {
    for (int j = 0; j < s.factor_w; ++j) {
      const float* from = dy + i * pitch + int64_t{j} * s.C;
      for (int c = 0; c < count; ++c) sum[c] += from[c];
    }
  }
  for (int c = 0; c < count; ++c) dx[c] = sum[c];
}

/// One row of dx from the factor_h rows at dy.
HOURGLASS_SIMD void sum_row(const Upsample2dShape& s, const float* dy, bool add, float* dx) {
  const int64_t pitch = int64_t{s.W} * s.factor_w * s.C;
  for (int w = 0; w < s.W; ++w, dx += s.C, dy += int64_t{s.factor_w} * s.C) {
    int c = 0;
    for (; c + kLanes <= s.C; c += kLanes) sum_run(s, dy + c, pitch, kLanes, add, dx + c);
    if (c < s.C) sum_run(s, dy + c, pitch, s.C - c, add, dx + c);
  }
}

/// Calls f(row of x) for each, in tiles of about 16384 elements of y.
template <class F>
void for_each_row(const Context& ctx, const Upsample2dShape& s, F&& f) {
  const int64_t rows = int64_t{s.N} * s.H, elements = int64_t{s.W} * s.C * s.factor_h * s.factor_w;
  if (elements == 0) return;
  const int64_t in_tile = std::max<int64_t>(1, 16384 / elements);
  parallel_for(ctx, (rows + in_tile - 1) / in_tile, [&](int64_t tile) {
    for (int64_t row = tile * in_tile; row < std::min(rows, (tile + 1) * in_tile); ++row) f(row);
  });
}

}  // namespace

void upsample2d_forward(const Context& ctx, const Upsample2dShape& s, const float* x, float* y) {
  check_upsample2d(s);
  const int64_t from = int64_t{s.W} * s.C, to = from * s.factor_w;
  for_each_row(ctx, s, [&](int64_t row) {
    float* const first = y + row * s.factor_h * to;
    widen_row(s, x + row * from, first);
    for (int i = 1; i < s.factor_h; ++i) std::memcpy(first + i * to, first, static_cast<size_t>(to) * sizeof(float));
  });
}

void upsample2d_backward(const Context& ctx, const Upsample2dShape& s, const float* dy, Grad<float> dx) {
  check_upsample2d(s);
  if (!dx) return;
  const int64_t to = int64_t{s.W} * s.C, from = to * s.factor_w;
  for_each_row(ctx, s, [&](int64_t row) {
    sum_row(s, dy + row * s.factor_h * from, dx.mode == Write::kAdd, dx.data + row * to);
  });
}

}  // namespace hourglass::cpu
