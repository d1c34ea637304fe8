// SPDX-License-Identifier: Apache-2.0
// What every benchmark program is made of. A case is named `op/technique/shape/dtype/device`, for example
// `gemm/onednn/128x400x784/f32/cpu-2t` (-2t: two threads), and reports
//   GFLOP/s, GB/s  from the work that the case states: the least arithmetic and the least memory traffic of the op;
//   roofline_%     the share of the time a perfect kernel would need: max(flops / peak, bytes / copy), where peak
//   (fused
//                  multiply-add in registers) and copy (same footprint, so that a cached case is held to the cache's
//                  speed) are measured in the same run on the same threads.
//
//   int main(int argc, char** argv) {
//     for (const GemmShape& s : kGemmCases)
//       add({"gemm", "blocked", extents({s.M, s.N, s.K})}, {.flops = 2.0 * s.M * s.N * s.K}, [=](const Context& ctx) {
//         return [=, a = values<float>(...), c = ...]() mutable { cpu::gemm(ctx, s, a.data(), ...); };
//       });
//     return run(argc, argv);
//   }
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/base/context.h"
#include "kernels/base/simd.h"
#include "kernels/base/thread_pool.h"

namespace hourglass::bench {

/// extents({128, 400, 784}) = "128x400x784".
inline std::string extents(std::initializer_list<int64_t> values) {
  std::string text;
  for (int64_t value : values) {
    if (!text.empty()) text += 'x';  // "x" + string draws a false -Wrestrict from g++ 12 in some callers
    text += std::to_string(value);
  }
  return text;
}

/// Deterministic values in [low, high) (an integer low and high with an integer T: among them).
template <class T>
std::vector<T> values(int64_t n, uint64_t seed = 1, double low = -1, double high = 1) {
  std::vector<T> result(static_cast<size_t>(n));
  uint64_t state = seed * 0x9e3779b97f4a7c15u;
  for (T& value : result) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    value = static_cast<T>(low + (high - low) * (static_cast<double>(state >> 40) * 0x1p-24));
  }
  return result;
}

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

struct Name {
  std::string op, technique, shape, dtype = "f32";
};

/// Least work of one call.
struct Work {
  double flops = 0, bytes = 0;
};

/// Times `body` and reports what its work amounts to a second.
template <class Body>
void measure(benchmark::State& state, Work work, int threads, Body&& body) {
  body();
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    body();
    benchmark::ClobberMemory();
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  const double calls_per_second = static_cast<double>(state.iterations()) / elapsed.count();
  double floor = 0;
  if (work.flops > 0) {
    floor = work.flops / peak_flops(threads);
    state.counters["GFLOP/s"] = work.flops * 1e-9 * calls_per_second;
  }
  if (work.bytes > 0) {
    floor = std::max(floor, work.bytes / copy_bandwidth(threads, work.bytes));
    state.counters["GB/s"] = work.bytes * 1e-9 * calls_per_second;
  }
  if (floor > 0) state.counters["roofline_%"] = 100 * floor * calls_per_second;
}

/// Registers one case on `threads` threads. `setup(ctx)` allocates and returns the callable that runs the op once.
template <class Setup>
void add_threads(const Name& name, Work work, int threads, Setup setup) {
  const std::string device = threads == 1 ? "cpu" : "cpu-" + std::to_string(threads) + "t";
  const std::string label = name.op + "/" + name.technique + "/" + name.shape + "/" + name.dtype + "/" + device;
  const auto function = [=](benchmark::State& state) { measure(state, work, threads, setup(context(threads))); };
  benchmark::RegisterBenchmark(label.c_str(), function)->UseRealTime()->Unit(benchmark::kMicrosecond);
}

/// Registers one case on one thread and on every core.
template <class Setup>
void add(const Name& name, Work work, Setup setup) {
  add_threads(name, work, 1, setup);
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  if (cores > 1) add_threads(name, work, cores, setup);
}

inline int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace hourglass::bench
