// SPDX-License-Identifier: Apache-2.0
#include "kernels/base/chunks.h"
#include "kernels/base/elementwise_check.h"
#include "kernels/base/simd.h"

namespace hourglass::cpu {
namespace {

// y = p a + q b and y = a b, set or added: all the ops of this family. p and q of 1 or -1 round nothing.
HOURGLASS_SIMD void combine(int64_t n, float p, const float* a, float q, const float* b, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = p * a[i] + q * b[i];
}
HOURGLASS_SIMD void scaled(int64_t n, float p, const float* a, float* y, bool add) {
  if (add) {
    for (int64_t i = 0; i < n; ++i) y[i] += p * a[i];
  } else {
    for (int64_t i = 0; i < n; ++i) y[i] = p * a[i];
  }
}
HOURGLASS_SIMD void product(int64_t n, const float* a, const float* b, float* y, bool add) {
  if (add) {
    for (int64_t i = 0; i < n; ++i) y[i] += a[i] * b[i];
  } else {
    for (int64_t i = 0; i < n; ++i) y[i] = a[i] * b[i];
  }
}

void combine_all(const Context& ctx, int64_t n, float p, const float* a, float q, const float* b, float* y) {
  parallel_chunks(ctx, n, [&](int64_t i, int64_t count) { combine(count, p, a + i, q, b + i, y + i); });
}

/// dx = p dy; nothing where dx is not wanted.
void scaled_all(const Context& ctx, int64_t n, float p, const float* dy, Grad<float> dx) {
  if (!dx) return;
  parallel_chunks(ctx, n,
                  [&](int64_t i, int64_t count) { scaled(count, p, dy + i, dx.data + i, dx.mode == Write::kAdd); });
}

}  // namespace

void add_forward(const Context& ctx, ElementwiseShape s, const float* a, const float* b, float* y) {
  check_elementwise("add", s);
  combine_all(ctx, s.n, 1, a, 1, b, y);
}
void add_backward(const Context& ctx, ElementwiseShape s, const float* dy, Grad<float> da, Grad<float> db) {
  check_elementwise("add", s);
  scaled_all(ctx, s.n, 1, dy, da);
  scaled_all(ctx, s.n, 1, dy, db);
}

void sub_forward(const Context& ctx, ElementwiseShape s, const float* a, const float* b, float* y) {
  check_elementwise("sub", s);
  combine_all(ctx, s.n, 1, a, -1, b, y);
}
void sub_backward(const Context& ctx, ElementwiseShape s, const float* dy, Grad<float> da, Grad<float> db) {
  check_elementwise("sub", s);
  scaled_all(ctx, s.n, 1, dy, da);
  scaled_all(ctx, s.n, -1, dy, db);
}

void mul_forward(const Context& ctx, ElementwiseShape s, const float* a, const float* b, float* y) {
  check_elementwise("mul", s);
  parallel_chunks(ctx, s.n, [&](int64_t i, int64_t count) { product(count, a + i, b + i, y + i, false); });
}
void mul_backward(const Context& ctx, ElementwiseShape s, const float* a, const float* b, const float* dy,
                  Grad<float> da, Grad<float> db) {
  check_elementwise("mul", s);
  parallel_chunks(ctx, s.n, [&](int64_t i, int64_t count) {
    if (da) product(count, dy + i, b + i, da.data + i, da.mode == Write::kAdd);
    if (db) product(count, dy + i, a + i, db.data + i, db.mode == Write::kAdd);
  });
}

void scale_forward(const Context& ctx, ElementwiseShape s, const float* x, double factor, float* y) {
  check_elementwise("scale", s);
  scaled_all(ctx, s.n, static_cast<float>(factor), x, Grad<float>{y});
}
void scale_backward(const Context& ctx, ElementwiseShape s, const float* dy, double factor, Grad<float> dx) {
  check_elementwise("scale", s);
  scaled_all(ctx, s.n, static_cast<float>(factor), dy, dx);
}

}  // namespace hourglass::cpu
