// SPDX-License-Identifier: Apache-2.0
// A task is a sample and a set of its groups: as many as make a band of channels, or one that is wider and takes
// several bands. It sums each channel over the pixels, then the channels of each group, and maps its rows
// (base/channel_rows.h). A sample is small enough to be in the cache when it is read again.
#include <algorithm>
#include <cmath>

#include "kernels/base/channel_rows.h"
#include "kernels/base/group_norm_check.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::cpu {
namespace {

constexpr int kBand = ChannelRows::kMostChannels;

/// Groups [first, last) of sample n, in bands of channels.
struct GroupSet {
  const GroupNormShape& s;
  int64_t n;
  int first, last, width;

  template <class F>
  void for_each_band(F&& f) const {
    for (int at = first * width; at < last * width; at += kBand) {
      f(channel_rows(s.C, n * s.pixels, s.pixels, at, std::min(kBand, last * width - at)));
    }
  }
  /// The group of a channel, counted over the samples.
  int64_t group(int64_t channel) const { return n * s.G + channel / width; }
};

/// Calls f(set) for all of them.
template <class F>
void for_each_set(const Context& ctx, const GroupNormShape& s, F&& f) {
  const int width = s.C / s.G, groups = std::max(1, kBand / std::max(1, width)), sets = (s.G + groups - 1) / groups;
  parallel_for(ctx, int64_t{s.N} * sets, [&](int64_t task) {
    const int first = static_cast<int>(task % sets) * groups;
    f(GroupSet{s, task / sets, first, std::min(s.G, first + groups), width});
  });
}

float value_of(const float* parameter, int64_t c, float otherwise) { return parameter ? parameter[c] : otherwise; }

/// Mean and rstd of the groups of a set.
void group_moments(const GroupSet& set, const float* x, float* mean, float* rstd) {
  const double pixels = set.s.pixels;
  double center = 0, squares = 0, before = 0;
  set.for_each_band([&](const ChannelRows& p) {
    float means[kBand], of_channel[kBand];
    channel_moments(p, x + p.at, means, of_channel);
    for (int c = 0; c < p.channels; ++c) {
      const int64_t channel = p.first_channel + c;
      if (channel % set.width == 0) center = squares = before = 0;
      const double difference = means[c] - center;
      center += difference * pixels / (before + pixels);
      squares += of_channel[c] + difference * difference * before * pixels / (before + pixels);
      before += pixels;
      if ((channel + 1) % set.width != 0) continue;
      mean[set.group(channel)] = static_cast<float>(center);
      rstd[set.group(channel)] = static_cast<float>(1 / std::sqrt(squares / before + set.s.eps));
    }
  });
}

}  // namespace

void group_norm_forward(const Context& ctx, const GroupNormShape& s, const float* x, const float* gamma,
                        const float* beta, float* y, float* mean, float* rstd) {
  check_group_norm(s);
  if (s.pixels == 0 || s.C == 0) return;
  for_each_set(ctx, s, [&](const GroupSet& set) {
    group_moments(set, x, mean, rstd);
    set.for_each_band([&](const ChannelRows& p) {
      const ChannelConstants center(p, [&](int64_t c) { return mean[set.group(c)]; });
      const ChannelConstants scale(p, [&](int64_t c) { return value_of(gamma, c, 1) * rstd[set.group(c)]; });
      const ChannelConstants shift(p, [&](int64_t c) { return value_of(beta, c, 0); });
      normalize_channels(p, x + p.at, center, scale, shift, y + p.at);
    });
  });
}

void group_norm_backward(const Context& ctx, const GroupNormShape& s, const float* x, const float* gamma,
                         const float* mean, const float* rstd, const float* dy, void* scratch, Grad<float> dx,
                         Grad<float> dgamma, Grad<float> dbeta) {
  check_group_norm(s);
  if (s.C == 0 || (!dx && !dgamma && !dbeta)) return;
  const double count = static_cast<double>(s.pixels) * (s.C / s.G);
  float* const sums = static_cast<float*>(scratch);  // (N, 2, C): of dy, of dy h
  for_each_set(ctx, s, [&](const GroupSet& set) {
    float* const of_sample = sums + 2 * set.n * s.C;
    const auto center = [&](int64_t c) { return mean[set.group(c)]; };
    const auto scale = [&](int64_t c) { return rstd[set.group(c)]; };
    set.for_each_band([&](const ChannelRows& p) {
      const ChannelConstants centers(p, center), scales(p, scale);
      float* const out = of_sample + p.first_channel;
      channel_gradient_sums(p, x + p.at, dy + p.at, centers, scales, out, out + s.C);
    });
    if (!dx || s.pixels == 0) return;
    // Bands are whole groups or parts of one: the averages of a band's groups are at hand when it is mapped.
    float shifts[kBand], factors[kBand];
    for (int g = set.first; g < set.last; ++g) {
      double average = 0, average_h = 0;
      for (int c = g * set.width; c < (g + 1) * set.width; ++c) {
        average += static_cast<double>(value_of(gamma, c, 1)) * of_sample[c];
        average_h += static_cast<double>(value_of(gamma, c, 1)) * of_sample[s.C + c];
      }
      const float scale_of_group = rstd[set.n * s.G + g];
      shifts[g - set.first] = scale_of_group * static_cast<float>(average / count);
      factors[g - set.first] = scale_of_group * scale_of_group * static_cast<float>(average_h / count);
    }
    set.for_each_band([&](const ChannelRows& p) {
      const ChannelConstants centers(p, center);
      const ChannelConstants slopes(p, [&](int64_t c) { return value_of(gamma, c, 1) * scale(c); });
      const ChannelConstants shift(p, [&](int64_t c) { return shifts[c / set.width - set.first]; });
      const ChannelConstants factor(p, [&](int64_t c) { return factors[c / set.width - set.first]; });
      channel_input_gradient(p, x + p.at, dy + p.at, centers, slopes, shift, factor, {dx.data + p.at, dx.mode});
    });
  });
  if (!dgamma && !dbeta) return;
  for (int c = 0; c < s.C; ++c) {
    double of_gamma = 0, of_beta = 0;
    for (int64_t n = 0; n < s.N; ++n) {
      of_beta += sums[2 * n * s.C + c];
      of_gamma += sums[(2 * n + 1) * s.C + c];
    }
    if (dgamma) write(dgamma.data[c], of_gamma, dgamma.mode);
    if (dbeta) write(dbeta.data[c], of_beta, dbeta.mode);
  }
}

}  // namespace hourglass::cpu
