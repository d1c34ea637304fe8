// SPDX-License-Identifier: Apache-2.0
#include "kernels/codebook_ema.h"

#include <algorithm>

#include "kernels/base/codebook_ema_rules.h"

namespace hourglass::cpu {

template <class T>
void codebook_ema_update(const Context&, CodebookEmaShape s, CodebookEmaOptions options, const Fault* fault,
                         const T* counts, const T* sums, const T* x, Noise noise, CodebookEma<T> state) {
  check_codebook_ema(s, options);
  if (fault && fault->code != 0) return;
  const double decay = options.decay, fresh = 1 - options.decay;
  double total = 0;
  for (int64_t k = 0; k < s.K; ++k) {
    state.counts[k] = static_cast<T>(decay * state.counts[k] + fresh * counts[k]);
    total += state.counts[k];
  }
  const double share = total / s.K;
  for (int32_t k = 0; k < s.K; ++k) {
    const bool dead = state.counts[k] < options.restart_threshold;
    if (dead) state.counts[k] = static_cast<T>(std::max(share, 2 * options.restart_threshold));
    const double smoothed = (state.counts[k] + options.epsilon) * total / (total + s.K * options.epsilon);
    const T* row = dead ? x + int64_t{restart_row(noise, k, s.N)} * s.D : nullptr;
    for (int64_t i = int64_t{k} * s.D, d = 0; d < s.D; ++i, ++d) {
      if (dead) {
        state.codebook[i] = row[d];
        state.sums[i] = static_cast<T>(static_cast<double>(state.counts[k]) * row[d]);
      } else {
        state.sums[i] = static_cast<T>(decay * state.sums[i] + fresh * sums[i]);
        if (smoothed > 0) state.codebook[i] = static_cast<T>(state.sums[i] / smoothed);
      }
    }
  }
}

template <class T>
void start_codebook_ema(const Context&, CodebookEmaShape s, CodebookEma<T> state) {
  check_codebook_ema(s, {});
  std::fill_n(state.counts, s.K, T(1));
  std::copy_n(state.codebook, int64_t{s.K} * s.D, state.sums);
}

template void codebook_ema_update<float>(const Context&, CodebookEmaShape, CodebookEmaOptions, const Fault*,
                                         const float*, const float*, const float*, Noise, CodebookEma<float>);
template void codebook_ema_update<double>(const Context&, CodebookEmaShape, CodebookEmaOptions, const Fault*,
                                          const double*, const double*, const double*, Noise, CodebookEma<double>);
template void start_codebook_ema<float>(const Context&, CodebookEmaShape, CodebookEma<float>);
template void start_codebook_ema<double>(const Context&, CodebookEmaShape, CodebookEma<double>);

}  // namespace hourglass::cpu
