// SPDX-License-Identifier: Apache-2.0
// Rectangles of at most 512 elements: the noise of the whole rectangle, then its rows one by one.
#include <algorithm>

#include "kernels/base/math.h"
#include "kernels/base/normal_rows.h"
#include "kernels/base/simd.h"
#include "kernels/base/thread_pool.h"
#include "kernels/reparameterize.h"

namespace hourglass::cpu {
namespace {

/// Samples a tile: about 8192 elements of z.
int64_t samples_a_tile(LatentShape s) {
  return std::max<int64_t>(1, 8192 / std::max<int64_t>(1, int64_t{s.D} * s.draws));
}

template <class F>
void for_tiles(const Context& ctx, LatentShape s, F&& tile) {
  const int64_t samples = samples_a_tile(s);
  parallel_for(ctx, (s.N + samples - 1) / samples,
               [&](int64_t t) { tile(t * samples, std::min<int64_t>(s.N, (t + 1) * samples)); });
}

HOURGLASS_INLINE void transform(int n, const float* __restrict mu, const float* __restrict logvar,
                                const float* __restrict eps, float* __restrict z) {
  for (int d = 0; d < n; ++d) z[d] = mu[d] + math::stddev(logvar[d]) * eps[d];
}

/// Rows of the samples [first, end). Without mu and logvar the noise itself.
HOURGLASS_SIMD void sample_rows(LatentShape s, const float* mu, const float* logvar, const Noise& noise, int64_t first,
                                int64_t end, float* z) {
  alignas(64) float eps[kMostNormals];
  const int64_t stride = s.stride ? s.stride : s.D, all_blocks = (int64_t{s.D} + 3) / 4, end_row = end * s.draws;
  for (int64_t b = 0; b < all_blocks; b += kMostNormalBlocks) {
    const int blocks = static_cast<int>(std::min<int64_t>(kMostNormalBlocks, all_blocks - b));
    const int columns = static_cast<int>(std::min<int64_t>(4 * blocks, s.D - 4 * b));
    const int most_rows = kMostNormalBlocks / blocks;
    for (int64_t r = first * s.draws; r < end_row; r += most_rows) {
      const int rows = static_cast<int>(std::min<int64_t>(most_rows, end_row - r));
      normal_rows(noise, r, rows, b, blocks, eps);
      for (int i = 0; i < rows; ++i) {
        const int64_t from = (r + i) / s.draws * stride + 4 * b;
        float* const to = z + (r + i) * s.D + 4 * b;
        if (mu) {
          transform(columns, mu + from, logvar + from, eps + 4 * i * blocks, to);
        } else {
          std::copy_n(eps + 4 * i * blocks, columns, to);
        }
      }
    }
  }
}

HOURGLASS_INLINE void add_row(int n, Write mode, const float* __restrict from, float* __restrict to) {
  if (mode == Write::kAdd) {
    for (int d = 0; d < n; ++d) to[d] += from[d];
  } else {
    for (int d = 0; d < n; ++d) to[d] = from[d];
  }
}

HOURGLASS_SIMD void gradient_rows(LatentShape s, const float* logvar, const Noise& noise, const float* dz,
                                  int64_t first, int64_t end, Grad<float> dmu, Grad<float> dlogvar) {
  alignas(64) float eps[kMostNormals], sum[kMostNormals], sum_eps[kMostNormals];
  const int64_t stride = s.stride ? s.stride : s.D, all_blocks = (int64_t{s.D} + 3) / 4;
  for (int64_t n = first; n < end; ++n) {
    for (int64_t b = 0; b < all_blocks; b += kMostNormalBlocks) {
      const int blocks = static_cast<int>(std::min<int64_t>(kMostNormalBlocks, all_blocks - b));
      const int columns = static_cast<int>(std::min<int64_t>(4 * blocks, s.D - 4 * b));
      const int64_t at = n * stride + 4 * b;
      for (int d = 0; d < columns; ++d) sum[d] = sum_eps[d] = 0;
      for (int k = 0; k < s.draws; k += kMostNormalBlocks / blocks) {
        const int rows = std::min(kMostNormalBlocks / blocks, s.draws - k);
        normal_rows(noise, n * s.draws + k, rows, b, blocks, eps);
        for (int i = 0; i < rows; ++i) {
          const float* __restrict from = dz + (n * s.draws + k + i) * s.D + 4 * b;
          for (int d = 0; d < columns; ++d) {
            sum[d] += from[d];
            sum_eps[d] += from[d] * eps[4 * i * blocks + d];
          }
        }
      }
      for (int d = 0; d < columns; ++d) sum_eps[d] *= math::stddev_gradient(logvar[at + d]);
      if (dmu) add_row(columns, dmu.mode, sum, dmu.data + at);
      if (dlogvar) add_row(columns, dlogvar.mode, sum_eps, dlogvar.data + at);
    }
  }
}

}  // namespace

void reparameterize_forward(const Context& ctx, LatentShape s, const float* mu, const float* logvar, const Noise& noise,
                            float* z) {
  check_latent("reparameterize", s, noise);
  for_tiles(ctx, s, [&](int64_t first, int64_t end) { sample_rows(s, mu, logvar, noise, first, end, z); });
}

void reparameterize_backward(const Context& ctx, LatentShape s, const float* logvar, const Noise& noise,
                             const float* dz, Grad<float> dmu, Grad<float> dlogvar) {
  check_latent("reparameterize", s, noise);
  if (!dmu && !dlogvar) return;
  for_tiles(ctx, s, [&](int64_t first, int64_t end) { gradient_rows(s, logvar, noise, dz, first, end, dmu, dlogvar); });
}

void normal_fill(const Context& ctx, LatentShape s, const Noise& noise, float* z) {
  check_latent("normal_fill", s, noise);
  for_tiles(ctx, s, [&](int64_t first, int64_t end) { sample_rows(s, nullptr, nullptr, noise, first, end, z); });
}

}  // namespace hourglass::cpu
