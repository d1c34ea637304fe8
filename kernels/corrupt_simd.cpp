// SPDX-License-Identifier: Apache-2.0
// Sixteen Philox blocks side by side serve 64 elements of a row; normals come from normal_rows.h.
#include <algorithm>

#include "kernels/base/corrupt_check.h"
#include "kernels/base/lanes.h"
#include "kernels/base/normal_rows.h"
#include "kernels/base/philox.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::cpu {
namespace {

constexpr int kTileRows = 8;

HOURGLASS_SIMD void add_normals(int count, const float* x, float amount, const float* eps, float* y) {
  for (int i = 0; i < count; ++i) y[i] = clip_unit(x[i] + amount * eps[i]);
}

void gaussian_row(const CorruptShape& s, int64_t n, const float* x, const Noise& noise, float* y) {
  alignas(64) float eps[kMostNormals];
  for (int d = 0; d < s.D; d += kMostNormals) {
    const int count = std::min(kMostNormals, s.D - d);
    normal_rows(noise, n, 1, d / 4, (count + 3) / 4, eps);
    add_normals(count, x + d, static_cast<float>(s.corruption.amount), eps, y + d);
  }
}

/// Uniform numbers of elements 4 first_block .. 4 first_block + 63.
HOURGLASS_SIMD void uniforms(const Noise& noise, int64_t row, uint32_t first_block, float* __restrict u) {
  const uint32_t draw = noise.draw_of(row), of_row = noise.row_of(row), step = noise.step_of();
  uint32_t w[4][kLanes];
  for (int j = 0; j < kLanes; ++j) {
    const PhiloxWords block =
        philox(noise.seed, noise.stream, first_block + static_cast<uint32_t>(j), draw, of_row, step);
    w[0][j] = block.w[0];
    w[1][j] = block.w[1];
    w[2][j] = block.w[2];
    w[3][j] = block.w[3];
  }
  for (int j = 0; j < kLanes; ++j) {
    for (int k = 0; k < 4; ++k) u[4 * j + k] = uniform_of_word<float>(w[k][j]);
  }
}

HOURGLASS_SIMD void replace(int count, const float* x, const float* u, Replacement chances, float* y) {
  for (int i = 0; i < count; ++i) y[i] = replaced(x[i], u[i], chances);
}

void replacing_row(const CorruptShape& s, int64_t n, const float* x, const Noise& noise, float* y) {
  float u[4 * kLanes];
  const Replacement chances = replacement(s.corruption);
  for (int d = 0; d < s.D; d += 4 * kLanes) {
    uniforms(noise, n, static_cast<uint32_t>(d / 4), u);
    replace(std::min(4 * kLanes, s.D - d), x + d, u, chances, y + d);
  }
}

}  // namespace

void corrupt(const Context& ctx, const CorruptShape& s, const float* x, const Noise& noise, float* y) {
  check_corrupt(s, noise);
  const auto row = s.corruption.kind == CorruptionKind::kGaussian ? gaussian_row : replacing_row;
  parallel_for(ctx, (s.N + kTileRows - 1) / kTileRows, [&](int64_t tile) {
    for (int64_t n = tile * kTileRows; n < std::min<int64_t>(s.N, (tile + 1) * kTileRows); ++n) {
      row(s, n, x + n * s.D, noise, y + n * s.D);
    }
  });
}

}  // namespace hourglass::cpu
