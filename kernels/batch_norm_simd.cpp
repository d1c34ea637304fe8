// SPDX-License-Identifier: Apache-2.0
// The rows are cut into shares, and wide rows into bands of channels. Each share of a band sums its channels, and
// shares combine in their order; then every share maps its rows (base/channel_rows.h).
#include <algorithm>
#include <cmath>

#include "kernels/base/batch_norm_check.h"
#include "kernels/base/channel_rows.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::cpu {
namespace {

struct Cut {
  explicit Cut(const BatchNormShape& shape)
      : s(shape), bands((s.C + kBand - 1) / kBand), shares(batch_norm_shares(s)) {}

  int64_t begin(int64_t share) const { return share * s.rows / shares; }
  int64_t rows(int64_t share) const { return begin(share + 1) - begin(share); }

  /// Calls f(channels of rows, share).
  template <class F>
  void for_each_share(const Context& ctx, F&& f) const {
    parallel_for(ctx, shares * bands, [&](int64_t i) {
      const int64_t share = i / bands, first = i % bands * kBand;
      const int channels = static_cast<int>(std::min<int64_t>(kBand, s.C - first));
      f(channel_rows(s.C, begin(share), rows(share), first, channels), share);
    });
  }
  template <class F>
  void for_each_channel(const Context& ctx, F&& f) const {
    parallel_for(ctx, bands, [&](int64_t band) {
      const int64_t last = std::min<int64_t>(s.C, (band + 1) * kBand);
      for (int64_t c = band * kBand; c < last; ++c) f(c);
    });
  }

  static constexpr int kBand = ChannelRows::kMostChannels;
  BatchNormShape s;
  int64_t bands, shares;
};

/// y of all rows, from mean(c) and rstd(c).
template <class Mean, class Rstd>
void normalize_all(const Context& ctx, const Cut& cut, const float* x, const float* gamma, const float* beta, float* y,
                   Mean mean, Rstd rstd) {
  cut.for_each_share(ctx, [&](const ChannelRows& p, int64_t) {
    const ChannelConstants center(p, mean), shift(p, [&](int64_t c) { return beta ? beta[c] : 0.0f; });
    const ChannelConstants scale(p, [&](int64_t c) { return gamma ? gamma[c] * rstd(c) : rstd(c); });
    normalize_channels(p, x + p.at, center, scale, shift, y + p.at);
  });
}

}  // namespace

void batch_norm_forward(const Context& ctx, const BatchNormShape& s, const float* x, const float* gamma,
                        const float* beta, void* scratch, float* y, float* mean, float* rstd, Grad<float> moments) {
  if (s.rows == 0) return batch_norm_forward<float>(ctx, s, x, gamma, beta, scratch, y, mean, rstd, moments);
  check_batch_norm_training(s);
  if (s.C == 0) return;
  const Cut cut(s);
  float* const of_shares = static_cast<float*>(scratch);  // (shares, 2, C): means, squares
  cut.for_each_share(ctx, [&](const ChannelRows& p, int64_t share) {
    float* const out = of_shares + 2 * share * s.C + p.first_channel;
    channel_moments(p, x + p.at, out, out + s.C);
  });
  cut.for_each_channel(ctx, [&](int64_t c) {
    double center = 0, squares = 0, before = 0;
    for (int64_t share = 0; share < cut.shares; ++share) {
      const float* const of_share = of_shares + 2 * share * s.C + c;
      const double rows = static_cast<double>(cut.rows(share)), difference = of_share[0] - center;
      center += difference * rows / (before + rows);
      squares += of_share[s.C] + difference * difference * before * rows / (before + rows);
      before += rows;
    }
    mean[c] = static_cast<float>(center);
    rstd[c] = static_cast<float>(1 / std::sqrt(squares / before + s.eps));
    if (!moments) return;
    write(moments.data[c], center, moments.mode);
    write(moments.data[s.C + c], squares / (before - 1), moments.mode);
    write(moments.data[2 * int64_t{s.C} + c], 1, moments.mode);
  });
  normalize_all(
      ctx, cut, x, gamma, beta, y, [&](int64_t c) { return mean[c]; }, [&](int64_t c) { return rstd[c]; });
}

void batch_norm_inference(const Context& ctx, const BatchNormShape& s, const float* x, const float* gamma,
                          const float* beta, const float* running_mean, const float* running_var, float* y) {
  check_batch_norm(s);
  if (s.C == 0) return;
  const auto rstd = [&](int64_t c) { return static_cast<float>(1 / std::sqrt(running_var[c] + s.eps)); };
  normalize_all(
      ctx, Cut(s), x, gamma, beta, y, [&](int64_t c) { return running_mean[c]; }, rstd);
}

void batch_norm_backward(const Context& ctx, const BatchNormShape& s, const float* x, const float* gamma,
                         const float* mean, const float* rstd, const float* dy, void* scratch, Grad<float> dx,
                         Grad<float> dgamma, Grad<float> dbeta) {
  check_batch_norm_training(s);
  if (s.C == 0 || (!dx && !dgamma && !dbeta)) return;
  const Cut cut(s);
  float* const of_shares = static_cast<float*>(scratch);  // (shares, 2, C): of dy, of dy h
  const auto center = [&](int64_t c) { return mean[c]; };
  cut.for_each_share(ctx, [&](const ChannelRows& p, int64_t share) {
    float* const out = of_shares + 2 * share * s.C + p.first_channel;
    const ChannelConstants centers(p, center), scales(p, [&](int64_t c) { return rstd[c]; });
    channel_gradient_sums(p, x + p.at, dy + p.at, centers, scales, out, out + s.C);
  });
  const auto slope = [&](int64_t c) { return gamma ? gamma[c] * rstd[c] : rstd[c]; };
  cut.for_each_channel(ctx, [&](int64_t c) {
    double sum = 0, sum_h = 0;
    for (int64_t share = 0; share < cut.shares; ++share) {
      sum += of_shares[2 * share * s.C + c];
      sum_h += of_shares[(2 * share + 1) * s.C + c];
    }
    if (dgamma) write(dgamma.data[c], sum_h, dgamma.mode);
    if (dbeta) write(dbeta.data[c], sum, dbeta.mode);
    of_shares[c] = slope(c) * static_cast<float>(sum / static_cast<double>(s.rows));
    of_shares[s.C + c] = slope(c) * rstd[c] * static_cast<float>(sum_h / static_cast<double>(s.rows));
  });
  if (!dx) return;
  cut.for_each_share(ctx, [&](const ChannelRows& p, int64_t) {
    const ChannelConstants centers(p, center), slopes(p, slope), shifts(p, [&](int64_t c) { return of_shares[c]; });
    const ChannelConstants factors(p, [&](int64_t c) { return of_shares[s.C + c]; });
    channel_input_gradient(p, x + p.at, dy + p.at, centers, slopes, shifts, factors, {dx.data + p.at, dx.mode});
  });
}

}  // namespace hourglass::cpu
