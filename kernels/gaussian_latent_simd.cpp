// SPDX-License-Identifier: Apache-2.0
// The work is cut into rectangles of at most 512 elements whose intermediate values stay in the first-level cache:
// first the noise of the whole rectangle (vector lanes are Philox blocks, base/normal_rows.h), then elementwise passes
// over rows padded to whole blocks (vector lanes are columns, across rows where these are short). One exponential
// serves sigma and v: with e = exp(min(logvar / 2, 10)), sigma = e (1 + max(logvar / 2 - 10, 0)) and
// v = e^2 (1 + max(logvar - 20, 0)).
#include <algorithm>
#include <bit>

#include "kernels/base/lanes.h"
#include "kernels/base/math.h"
#include "kernels/base/normal_rows.h"
#include "kernels/base/row_loss.h"
#include "kernels/base/simd.h"
#include "kernels/base/thread_pool.h"
#include "kernels/gaussian_latent.h"

namespace hourglass::cpu {
namespace {

constexpr int kTileBlocks = 2048;  // 8192 elements: about 5 us, well above the cost of a dispatch

/// Blocks of columns [first, first + count) of samples [first_sample, first_sample + samples): the work of one tile.
struct Tile {
  int64_t first_sample, samples, first_block, blocks;
};

/// Tiles are groups of whole samples, except for a few very long rows, which are cut into segments of columns.
struct Tiling {
  int64_t samples, blocks;  // of the whole problem
  int64_t samples_a_tile, segments, groups;

  explicit Tiling(LatentShape s) : samples(s.N), blocks((int64_t{s.D} + 3) / 4) {
    const int64_t blocks_a_sample = std::max<int64_t>(1, blocks * s.draws);
    samples_a_tile = std::max<int64_t>(1, kTileBlocks / blocks_a_sample);
    groups = (samples + samples_a_tile - 1) / samples_a_tile;
    segments = samples < 16 ? std::clamp<int64_t>(blocks / kTileBlocks, 1, kMostSegments) : 1;
  }
  static constexpr int64_t kMostSegments = 64;
  int64_t count() const { return groups * segments; }
  Tile tile(int64_t t) const {
    const int64_t first = t / segments * samples_a_tile, segment = t % segments;
    const int64_t from = blocks * segment / segments, to = blocks * (segment + 1) / segments;
    return {first, std::min(samples_a_tile, samples - first), from, to - from};
  }
};

struct Inputs {
  LatentShape s;
  int64_t stride;
  const float *mu, *logvar;
  Noise noise;
};

/// rows x columns elements of a tensor into rows `padded` apart, zeros between.
HOURGLASS_INLINE void load_rows(const float* from, int64_t stride, int rows, int columns, int padded,
                                float* __restrict to) {
  for (int r = 0; r < rows; ++r) {
    for (int d = 0; d < columns; ++d) to[r * padded + d] = from[r * stride + d];
    for (int d = columns; d < padded; ++d) to[r * padded + d] = 0;
  }
}
/// And back.
HOURGLASS_INLINE void store_rows(const float* __restrict from, int padded, int rows, int columns, float* to,
                                 int64_t stride, Write mode) {
  for (int r = 0; r < rows; ++r) {
    const float* __restrict source = from + r * padded;
    float* __restrict target = to + r * stride;
    if (mode == Write::kAdd) {
      for (int d = 0; d < columns; ++d) target[d] += source[d];
    } else {
      for (int d = 0; d < columns; ++d) target[d] = source[d];
    }
  }
}

HOURGLASS_INLINE float row_sum(const float* __restrict x, int columns) {
  float sums[4] = {};
  int d = 0;
  if (columns >= kLanes) {
    float lanes[kLanes] = {};
    for (; d + kLanes <= columns; d += kLanes) {
      for (int j = 0; j < kLanes; ++j) lanes[j] += x[d + j];
    }
    for (int j = 0; j < 4; ++j) sums[j] = (lanes[j] + lanes[j + 8]) + (lanes[j + 4] + lanes[j + 12]);
  }
  for (; d + 4 <= columns; d += 4) {
    for (int j = 0; j < 4; ++j) sums[j] += x[d + j];
  }
  for (; d < columns; ++d) sums[0] += x[d];
  return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

/// logvar / 2, but not below where sigma is smaller than any float that matters.
HOURGLASS_INLINE float half_logvar(float logvar) {
  const float half = 0.5f * logvar;
  return half < -87.0f ? -87.0f : half;
}

/// min(half, 10), except for NaN, as a comparison of bits: the compiler makes one instruction of it, and of a
/// comparison of floats a choice between several copies of what follows.
HOURGLASS_INLINE float at_most_ten(float half) {
  return std::bit_cast<float>(std::min(std::bit_cast<int32_t>(half), std::bit_cast<int32_t>(10.0f)));
}

/// z and twice the KL terms of n elements.
HOURGLASS_INLINE void sample(int n, const float* __restrict mu, const float* __restrict logvar,
                             const float* __restrict eps, float* __restrict z, float* __restrict terms) {
  for (int i = 0; i < n; ++i) {
    const float half = half_logvar(logvar[i]), bounded = at_most_ten(half);
    const float e = math::detail::exp_normal_range(bounded), square = e * e;
    const float over = half - bounded;  // brings a NaN back
    const float sigma = e + e * over, variance = square + square * (over + over);
    z[i] = mu[i] + sigma * eps[i];
    terms[i] = ((variance - 1.0f) - logvar[i]) + mu[i] * mu[i];
  }
}

/// dmu and dlogvar of n elements from the sums over the draws of dz and of dz eps; g = w / N.
/// With kOneDraw `sum` is dz, and `sum_eps` is eps itself.
template <bool kOneDraw>
HOURGLASS_INLINE void gradients(int n, float g, const float* __restrict mu, const float* __restrict logvar,
                                const float* __restrict sum, const float* __restrict sum_eps, float* __restrict dmu,
                                float* __restrict dlogvar) {
  for (int i = 0; i < n; ++i) {
    const float half = half_logvar(logvar[i]);
    const float e = math::detail::exp_normal_range(half > 10.0f ? 10.0f : half);
    const float of_sigma = kOneDraw ? sum[i] * sum_eps[i] : sum_eps[i];
    dmu[i] = sum[i] + g * mu[i];
    dlogvar[i] = 0.5f * (e * of_sigma + g * (e * e - 1.0f));
  }
}

/// Long or packed rows are worked on where they are, short ones in a padded copy.
constexpr int kLongRow = 64;

/// Whether rows of mu lie in memory as the blocks of the noise do, without gaps.
HOURGLASS_INLINE bool lie_packed(const Inputs& in, int rows, int columns, int padded) {
  return rows == 1 || (in.stride == in.s.D && columns == in.s.D && columns == padded);
}

/// Writes z, and adds to kl (one float a sample) the tile's share of twice the KL.
HOURGLASS_SIMD void forward_tile(const Inputs& in, Tile tile, float* z, float* kl) {
  alignas(64) float mu[kMostNormals], logvar[kMostNormals], eps[kMostNormals], out[kMostNormals], terms[kMostNormals];
  const LatentShape s = in.s;
  const int64_t end_row = (tile.first_sample + tile.samples) * s.draws;
  const int64_t end_block = tile.first_block + tile.blocks;
  for (int64_t b = tile.first_block; b < end_block; b += kMostNormalBlocks) {
    const int blocks = static_cast<int>(std::min<int64_t>(kMostNormalBlocks, end_block - b)), padded = 4 * blocks;
    const int columns = static_cast<int>(std::min<int64_t>(padded, s.D - 4 * b));
    const int most_rows = kMostNormalBlocks / blocks;
    for (int64_t r = tile.first_sample * s.draws; r < end_row; r += most_rows) {
      const int rows = static_cast<int>(std::min<int64_t>(most_rows, end_row - r));
      normal_rows(in.noise, r, rows, b, blocks, eps);
      const bool packed = s.draws == 1 && lie_packed(in, rows, columns, padded);
      float* const to = z + r * s.D + 4 * b;
      if (packed || columns >= kLongRow) {
        const int runs = packed ? 1 : rows, length = packed ? rows * columns : columns;
        for (int i = 0; i < runs; ++i) {
          const int64_t from = (r + i) / s.draws * in.stride + 4 * b;
          sample(length, in.mu + from, in.logvar + from, eps + i * padded, to + i * s.D, terms + i * padded);
        }
      } else {
        for (int i = 0; i < rows; ++i) {
          const int64_t at = (r + i) / s.draws * in.stride + 4 * b;
          load_rows(in.mu + at, 0, 1, columns, padded, mu + i * padded);
          load_rows(in.logvar + at, 0, 1, columns, padded, logvar + i * padded);
        }
        sample(rows * padded, mu, logvar, eps, out, terms);
        store_rows(out, padded, rows, columns, to, s.D, Write::kSet);
      }
      if (!kl) continue;
      for (int i = 0; i < rows; ++i) {
        if ((r + i) % s.draws == 0) kl[(r + i) / s.draws] += row_sum(terms + i * padded, columns);
      }
    }
  }
}

/// Sums over the draws of one sample of dz and dz eps, for one stretch of columns.
HOURGLASS_INLINE void sum_draws(const Inputs& in, int64_t n, int64_t first_block, int blocks, int columns,
                                const float* dz, float* __restrict eps, float* __restrict sum,
                                float* __restrict sum_eps) {
  const LatentShape s = in.s;
  for (int d = 0; d < 4 * blocks; ++d) sum[d] = sum_eps[d] = 0;
  for (int k = 0; k < s.draws; k += kMostNormalBlocks / blocks) {
    const int rows = std::min(kMostNormalBlocks / blocks, s.draws - k);
    normal_rows(in.noise, n * s.draws + k, rows, first_block, blocks, eps);
    for (int i = 0; i < rows; ++i) {
      const float* __restrict from = dz + (n * s.draws + k + i) * s.D + 4 * first_block;
      for (int d = 0; d < columns; ++d) {
        sum[d] += from[d];
        sum_eps[d] += from[d] * eps[i * 4 * blocks + d];
      }
    }
  }
}

HOURGLASS_SIMD void backward_tile(const Inputs& in, Tile tile, const float* dz, float g, Grad<float> dmu,
                                  Grad<float> dlogvar) {
  alignas(64) float mu[kMostNormals], logvar[kMostNormals], eps[kMostNormals], sum[kMostNormals];
  alignas(64) float sum_eps[kMostNormals], of_mu[kMostNormals], of_logvar[kMostNormals];
  const LatentShape s = in.s;
  const bool one_draw = dz && s.draws == 1;
  const bool set_mu = dmu && dmu.mode == Write::kSet, set_logvar = dlogvar && dlogvar.mode == Write::kSet;
  const int64_t end_sample = tile.first_sample + tile.samples, end_block = tile.first_block + tile.blocks;
  if (!dz) std::fill_n(sum, kMostNormals, 0.0f), std::fill_n(sum_eps, kMostNormals, 0.0f);
  for (int64_t b = tile.first_block; b < end_block; b += kMostNormalBlocks) {
    const int blocks = static_cast<int>(std::min<int64_t>(kMostNormalBlocks, end_block - b)), padded = 4 * blocks;
    const int columns = static_cast<int>(std::min<int64_t>(padded, s.D - 4 * b));
    const int most_rows = kMostNormalBlocks / blocks;
    for (int64_t n = tile.first_sample; n < end_sample; n += most_rows) {
      const int rows = static_cast<int>(std::min<int64_t>(most_rows, end_sample - n));
      const int64_t at = n * in.stride + 4 * b;
      const bool packed = lie_packed(in, rows, columns, padded), in_place = packed || columns >= kLongRow;
      if (one_draw) {
        normal_rows(in.noise, n, rows, b, blocks, eps);
        if (!in_place) load_rows(dz + n * s.D + 4 * b, s.D, rows, columns, padded, sum);
      } else if (dz) {
        for (int i = 0; i < rows; ++i) {
          sum_draws(in, n + i, b, blocks, columns, dz, eps, sum + i * padded, sum_eps + i * padded);
        }
      }
      if (!in_place) {
        load_rows(in.mu + at, in.stride, rows, columns, padded, mu);
        load_rows(in.logvar + at, in.stride, rows, columns, padded, logvar);
      }
      const int runs = packed || !in_place ? 1 : rows;
      const int length = in_place ? (packed ? rows : 1) * columns : rows * padded;
      for (int i = 0; i < runs; ++i) {
        const int64_t row = at + i * in.stride;
        const float* const mu_row = in_place ? in.mu + row : mu;
        const float* const logvar_row = in_place ? in.logvar + row : logvar;
        float* const to_mu = in_place && set_mu ? dmu.data + row : of_mu + i * padded;
        float* const to_logvar = in_place && set_logvar ? dlogvar.data + row : of_logvar + i * padded;
        if (one_draw) {
          const float* const dz_row = in_place ? dz + (n + i) * s.D + 4 * b : sum;
          gradients<true>(length, g, mu_row, logvar_row, dz_row, eps + i * padded, to_mu, to_logvar);
        } else {
          gradients<false>(length, g, mu_row, logvar_row, sum + i * padded, sum_eps + i * padded, to_mu, to_logvar);
        }
      }
      if (dmu && !(in_place && set_mu)) {
        store_rows(of_mu, padded, rows, columns, dmu.data + at, in.stride, dmu.mode);
      }
      if (dlogvar && !(in_place && set_logvar)) {
        store_rows(of_logvar, padded, rows, columns, dlogvar.data + at, in.stride, dlogvar.mode);
      }
    }
  }
}

Inputs inputs(LatentShape s, const float* mu, const float* logvar, const Noise& noise) {
  return {s, s.stride ? s.stride : s.D, mu, logvar, noise};
}

}  // namespace

void gaussian_latent_forward(const Context& ctx, LatentShape s, const float* mu, const float* logvar,
                             const Noise& noise, float* z, float* kl) {
  check_latent("gaussian_latent", s, noise);
  const Inputs in = inputs(s, mu, logvar, noise);
  const Tiling tiling(s);
  float partial[16 * Tiling::kMostSegments] = {};  // (segments, samples) of the few samples that are cut
  parallel_for(ctx, tiling.count(), [&](int64_t t) {
    const Tile tile = tiling.tile(t);
    if (kl && tiling.segments == 1) std::fill_n(kl + tile.first_sample, tile.samples, 0.0f);
    float* const sums = tiling.segments == 1 ? kl : partial + t % tiling.segments * s.N;
    forward_tile(in, tile, z, kl ? sums : nullptr);
  });
  if (!kl) return;
  for (int64_t n = 0; n < s.N; ++n) {
    float sum = tiling.segments == 1 ? kl[n] : 0.0f;
    for (int64_t i = 0; tiling.segments > 1 && i < tiling.segments; ++i) sum += partial[i * s.N + n];
    kl[n] = 0.5f * sum;
  }
}

void gaussian_latent_backward(const Context& ctx, LatentShape s, const float* mu, const float* logvar,
                              const Noise& noise, const float* dz, Weight weight, const float* kl, Grad<float> value,
                              Grad<float> dmu, Grad<float> dlogvar) {
  check_latent("gaussian_latent", s, noise);
  check_mean("gaussian_latent", s.N);
  const Inputs in = inputs(s, mu, logvar, noise);
  const float g = static_cast<float>(weight.value() / s.N);
  const Tiling tiling(s);
  if (dmu || dlogvar) {
    parallel_for(ctx, tiling.count(), [&](int64_t t) { backward_tile(in, tiling.tile(t), dz, g, dmu, dlogvar); });
  }
  if (!value) return;
  double total = 0;
  for (int64_t n = 0; n < s.N; ++n) total += kl[n];
  write(*value.data, total / s.N, value.mode);
}

}  // namespace hourglass::cpu
