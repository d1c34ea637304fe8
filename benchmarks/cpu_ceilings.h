// SPDX-License-Identifier: Apache-2.0
// What a perfect kernel could reach on the CPU's threads, measured in the run that compares with it.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/base/context.h"
#include "kernels/base/simd.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::bench {

inline Context context(int threads) {
  static std::map<int, std::unique_ptr<ThreadPool>> pools;
  Context ctx;
  if (threads <= 1) return ctx;
  auto& pool = pools[threads];
  if (!pool) pool = std::make_unique<ThreadPool>(threads);
  ctx.threads = pool.get();
  return ctx;
}

/// Best seconds of one call of f over about 50 ms.
template <class F>
double best_seconds(F&& f) {
  using Clock = std::chrono::steady_clock;
  const auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
  double best = 1e30;
  const auto start = Clock::now();
  do {
    const auto before = Clock::now();
    f();
    best = std::min(best, seconds(Clock::now() - before));
  } while (seconds(Clock::now() - start) < 0.05);
  return best;
}

constexpr int kPeakChains = 10, kPeakLanes = 16, kPeakSteps = 1 << 18;

/// 2 * kPeakChains * kPeakLanes * kPeakSteps flops in registers, about 0.3 ms, which a waking thread does not disturb:
/// enough independent chains to fill two pipes.
HOURGLASS_SIMD __attribute__((optimize("fp-contract=fast"))) inline void multiply_add_chains(float* sums) {
  float acc[kPeakChains][kPeakLanes];
  std::memcpy(acc, sums, sizeof(acc));
  const float scale = sums[0] * 1e-9f + 0.999f, shift = sums[1] * 1e-9f + 1e-3f;
  for (int step = 0; step < kPeakSteps; ++step) {
#pragma GCC unroll 10
    for (int chain = 0; chain < kPeakChains; ++chain) {
#pragma GCC unroll 16
      for (int lane = 0; lane < kPeakLanes; ++lane) acc[chain][lane] = acc[chain][lane] * scale + shift;
    }
  }
  std::memcpy(sums, acc, sizeof(acc));
}

/// Measured arithmetic peak of `threads` threads, flop/s in fp32.
inline double peak_flops(int threads) {
  static std::map<int, double> known;
  double& peak = known[threads];
  if (peak > 0) return peak;
  const Context ctx = context(threads);
  std::vector<std::vector<float>> sums(static_cast<size_t>(threads), std::vector<float>(kPeakChains * kPeakLanes, 1));
  const double seconds = best_seconds([&] {
    parallel_for(ctx, threads, [&](int64_t i) { multiply_add_chains(sums[static_cast<size_t>(i)].data()); });
  });
  benchmark::DoNotOptimize(sums);
  return peak = 2.0 * kPeakChains * kPeakLanes * kPeakSteps * threads / seconds;
}

/// Measured copy bandwidth (bytes read plus bytes written a second) over a footprint of about `bytes`.
inline double copy_bandwidth(int threads, double bytes) {
  static std::map<std::pair<int, int64_t>, double> known;
  int64_t footprint = 1 << 14;
  while (static_cast<double>(footprint) < bytes && footprint < (int64_t{1} << 28)) footprint *= 2;
  double& bandwidth = known[{threads, footprint}];
  if (bandwidth > 0) return bandwidth;
  const Context ctx = context(threads);
  const int64_t half = footprint / 2, part = half / threads;
  std::vector<char> from(static_cast<size_t>(half), 1), to(static_cast<size_t>(half), 2);
  const int64_t repeats = std::max<int64_t>(1, (1 << 20) / footprint);
  const double seconds = best_seconds([&] {
    parallel_for(ctx, threads, [&](int64_t i) {
      for (int64_t r = 0; r < repeats; ++r) {
        std::memcpy(to.data() + i * part, from.data() + i * part, static_cast<size_t>(part));
        benchmark::ClobberMemory();
      }
    });
  });
  return bandwidth = 2.0 * static_cast<double>(part * threads * repeats) / seconds;
}

}  // namespace hourglass::bench
