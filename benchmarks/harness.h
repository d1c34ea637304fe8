// SPDX-License-Identifier: Apache-2.0
// What every benchmark program is made of. A case is named `op/technique/shape/dtype/device`, for example
// `gemm/onednn/128x400x784/f32/cpu-2t` (-2t: two threads), and reports
//   GFLOP/s, GB/s  from the work that the case states: the least arithmetic and the least memory traffic of the op;
//   roofline_%     the share of the time a perfect kernel would need: max(flops / peak, bytes / copy), where peak
//   (fused
//                  multiply-add in registers; tensor cores for bf16) and copy (same footprint, so that a cached case is
//                  held to the cache's speed) are measured in the same run; the label says which of the two it is.
//
//   int main(int argc, char** argv) {
//     for (const ElementwiseShape& s : kElementwiseCases)
//       add_forms({.op = "add_forward", .shape = extents({s.n})}, {.elements = 3.0 * s.n}, [=](auto lane) {
//         using T = typename decltype(lane)::type;
//         return [=, a = values<T>(lane, s.n), b = values<T>(lane, s.n, 2), y = zeros<T>(lane, s.n)] {
//           BENCH_OP(add_forward)(lane, s, a.data(), b.data(), y.data());
//         };
//       });
//     return run(argc, argv);
//   }
//
// registers the reference, the timed float form on one thread and on every core and, where the build has CUDA kernels
// and a device is there, the CUDA form in f32 and bf16. On the device time is that of events around captured calls
// (device.h); in an emulated build the device is named `emulated`, and small cases run once.
// `bench_<family> --case NAME --once` runs one case once, inside the profiler's range, for ncu; without --case all of
// the device's, for scripts/profile-kernels.sh.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "benchmarks/cpu_ceilings.h"
#include "benchmarks/device.h"
#include "kernels/base/bf16.h"
#include "kernels/base/cuda_device.h"
#include "kernels/base/error.h"

namespace hourglass::bench {

// ---------------------------------------------------------------- data

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
    const double x = low + (high - low) * (static_cast<double>(state >> 40) * 0x1p-24);
    value = static_cast<T>(static_cast<std::conditional_t<std::is_same_v<T, bf16>, float, double>>(x));
  }
  return result;
}

/// Elements in the memory of a context's device. Copies share them, so that a closure can hold one.
template <class T>
class Array {
 public:
  Array(const Context& ctx, std::vector<T> host) : size_(host.size()) {
    if (ctx.device != Device::kCuda) {
      const auto owner = std::make_shared<std::vector<T>>(std::move(host));
      data_ = std::shared_ptr<T>(owner, owner->data());
      return;
    }
    void* memory = cuda::allocate(std::max<size_t>(1, size_ * sizeof(T)));
    if (!memory) throw Error(Exit::kDevice, "benchmark: too little device memory");
    data_ = std::shared_ptr<T>(static_cast<T*>(memory), [](T* p) { cuda::release(p); });
    if (size_) cuda::copy_to_device(ctx.stream, memory, host.data(), size_ * sizeof(T));
  }
  /// `size` elements of the device, all zero, or of random signs and mantissas.
  static Array on_device(const Context& ctx, int64_t size, bool random) {
    Array array(ctx, {});
    array.size_ = static_cast<size_t>(size);
    const size_t bytes = std::max<size_t>(4, (array.size_ * sizeof(T) + 3) / 4 * 4);
    void* memory = cuda::allocate(bytes);
    if (!memory) throw Error(Exit::kDevice, "benchmark: too little device memory");
    array.data_ = std::shared_ptr<T>(static_cast<T*>(memory), [](T* p) { cuda::release(p); });
    random ? device_fill_random(memory, static_cast<int64_t>(bytes)) : cuda::zero(ctx.stream, memory, bytes);
    return array;
  }
  T* data() const { return data_.get(); }
  size_t size() const { return size_; }

 private:
  size_t size_;
  std::shared_ptr<T> data_;
};

template <class T>
Array<T> values(const Context& ctx, int64_t n, uint64_t seed = 1, double low = -1, double high = 1) {
  return {ctx, values<T>(n, seed, low, high)};
}
/// The same where seconds would pass before hundreds of megabytes were made on the host.
template <class T>
Array<T> random(const Context& ctx, int64_t n, uint64_t seed) {
  return ctx.device == Device::kCuda && !kEmulated ? Array<T>::on_device(ctx, n, true) : values<T>(ctx, n, seed);
}
template <class T>
Array<T> zeros(const Context& ctx, int64_t n) {
  if (ctx.device == Device::kCuda) return Array<T>::on_device(ctx, n, false);
  return {ctx, std::vector<T>(static_cast<size_t>(n))};
}
/// One scalar or struct behind a pointer, as kernels read steps, faults and rates.
template <class T>
Array<T> one(const Context& ctx, T value = {}) {
  return {ctx, std::vector<T>{value}};
}

// ---------------------------------------------------------------- cases

struct Name {
  std::string op, technique, shape, dtype = "f32";
};

/// Least work of one call: `elements` numbers of the storage type read or written, and `bytes` of other types.
struct Work {
  double flops = 0, bytes = 0, elements = 0;
  Work of(size_t element_bytes) const { return {flops, bytes + elements * static_cast<double>(element_bytes)}; }
};

/// Reports what a call's work amounts to a second.
inline void report(benchmark::State& state, Work work, const std::string& note, double calls_per_second, double peak,
                   double copy) {
  const double compute = work.flops > 0 ? work.flops / peak : 0, memory = work.bytes > 0 ? work.bytes / copy : 0;
  if (work.flops > 0) state.counters["GFLOP/s"] = work.flops * 1e-9 * calls_per_second;
  if (work.bytes > 0) state.counters["GB/s"] = work.bytes * 1e-9 * calls_per_second;
  if (compute <= 0 && memory <= 0) return;
  state.counters["roofline_%"] = 100 * std::max(compute, memory) * calls_per_second;
  state.SetLabel((compute > memory ? "of peak" : "of copy") + (note.empty() ? "" : "; " + note));
}

/// Times `body` on `threads` threads.
template <class Body>
void measure(benchmark::State& state, Work work, int threads, Body&& body) {
  body();
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    body();
    benchmark::ClobberMemory();
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  report(state, work, "", static_cast<double>(state.iterations()) / elapsed.count(),
         work.flops > 0 ? peak_flops(threads) : 1, work.bytes > 0 ? copy_bandwidth(threads, work.bytes) : 1);
}

inline double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
}

/// What the medians of the two halves of blocks of the same work differ by, in per cent of the median of all.
inline double difference_of_halves(const std::vector<double>& blocks) {
  const auto half = blocks.begin() + static_cast<std::ptrdiff_t>((blocks.size() + 1) / 2);
  if (half == blocks.end()) return 0;
  const double first = quantile({blocks.begin(), half}, 0.5), second = quantile({half, blocks.end()}, 0.5);
  return 100 * std::abs(first - second) / quantile(blocks, 0.5);
}

/// Of blocks in seconds, in order of time. No difference between two cases that is smaller than aa_% means anything.
inline void report_blocks(benchmark::State& state, const std::vector<double>& blocks) {
  const double median = quantile(blocks, 0.5);
  state.counters["median_us"] = 1e6 * median;
  state.counters["spread_%"] = 100 * (quantile(blocks, 0.9) - quantile(blocks, 0.1)) / median;
  state.counters["aa_%"] = difference_of_halves(blocks);
}

/// Times calls of `make()`, which allocates a set of buffers and returns the callable, on the device: the median of
/// blocks of captured calls that go round sets larger than the cache (rotation in device.h).
template <class Make>
void measure_device(benchmark::State& state, Work work, Dtype dtype, Make make,
                    const std::function<std::string()>& note = {}) {
  std::vector<decltype(make())> sets;
  for (int set = 0; set < rotation(work.bytes); ++set) sets.push_back(make());
  const int enough = work.flops > 2e10 ? 5 : 20;  // what takes long by itself need not be repeated as often
  const int calls = kEmulated ? 1 : std::max(enough, static_cast<int>(sets.size()));
  const Replay replay(calls, [&](int call) { sets[static_cast<size_t>(call) % sets.size()](); });
  std::vector<double> blocks;
  for (auto _ : state) {
    blocks.push_back(replay.seconds());
    state.SetIterationTime(blocks.back());
  }
  report_blocks(state, blocks);
  const std::string more = note ? note() : "";
  report(state, work, more, 1 / quantile(blocks, 0.5), work.flops > 0 ? device_peak_flops(dtype) : 1,
         work.bytes > 0 ? device_copy_bandwidth(work.bytes) : 1);
}

/// A registered case, for --once.
struct Single {
  std::string name;
  bool on_device;
  std::function<void()> run;
};
inline std::vector<Single>& singles() {
  static std::vector<Single> all;
  return all;
}

inline std::string label(const Name& name, const std::string& device) {
  return name.op + "/" + name.technique + "/" + name.shape + "/" + name.dtype + "/" + device;
}

/// Registers one case on `threads` threads. `setup(ctx)` allocates and returns the callable that runs the op once.
template <class Setup>
void add_threads(const Name& name, Work work, int threads, Setup setup) {
  const std::string text = label(name, threads == 1 ? "cpu" : "cpu-" + std::to_string(threads) + "t");
  const auto function = [=](benchmark::State& state) { measure(state, work, threads, setup(context(threads))); };
  benchmark::RegisterBenchmark(text.c_str(), function)->UseRealTime()->Unit(benchmark::kMicrosecond);
  singles().push_back({text, false, [=] { setup(context(threads))(); }});
}

/// Registers one case on one thread and on every core.
template <class Setup>
void add(const Name& name, Work work, Setup setup) {
  add_threads(name, work, 1, setup);
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  if (cores > 1) add_threads(name, work, cores, setup);
}

/// Whether the emulator is to run what models do, and nothing else: scripts/profile-kernels.sh sets it.
inline bool models_only() {
  static const bool set = kEmulated && std::getenv("HOURGLASS_BENCH_MODELS") != nullptr;
  return set;
}

/// Whether the emulator runs a case: what takes it a second or so. With models_only larger ones too, and none that is
/// smaller than the tensors of a model.
inline bool emulator_takes(Work work) {
  if (!models_only()) return work.flops <= 6e6 && work.bytes <= 1 << 21;
  if (work.flops + work.bytes > 0 && work.flops < 1e6 && work.bytes < 1e5) return false;
  return work.flops <= 2e7 && work.bytes <= 1 << 24;
}

/// Registers one case on the device. `setup(ctx)` as above, with memory of the device. `note` is asked while the sets
/// of buffers are there, and follows the label. What a device or a library refuses is an error of its case alone.
template <class Setup>
void add_device(const Name& name, Work work, Dtype dtype, Setup setup, std::function<std::string()> note = {}) {
  if (!device_usable() || (kEmulated && !emulator_takes(work))) return;
  const std::string text = label(name, kEmulated ? "emulated" : "cuda");
  const auto function = [=](benchmark::State& state) {
    try {
      measure_device(
          state, work, dtype, [=] { return setup(device_context()); }, note);
    } catch (const Error& error) {
      state.SkipWithError(error.what());
    }
  };
  benchmark::RegisterBenchmark(text.c_str(), function)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond)
      ->Iterations(kEmulated ? 1 : 30);
  singles().push_back({text, true, [=] { profile_once(setup(device_context())); }});
}

// ---------------------------------------------------------------- one op, all of its forms

/// A lane on which an op is its plain reference.
struct ReferenceLane : cpu::Lane<float> {};

/// The op as the engine calls it, found through the lane; on a ReferenceLane the reference.
#define BENCH_OP(name)                                                                  \
  [](const auto& bench_lane, const auto&... bench_arguments) {                          \
    using BenchLane = std::remove_cvref_t<decltype(bench_lane)>;                        \
    if constexpr (std::is_same_v<BenchLane, ::hourglass::bench::ReferenceLane>) {       \
      ::hourglass::cpu::name<typename BenchLane::type>(bench_lane, bench_arguments...); \
    } else {                                                                            \
      name(bench_lane, bench_arguments...);                                             \
    }                                                                                   \
  }

template <class Lane>
Lane lane_of(const Context& ctx) {
  Lane lane;
  static_cast<Context&>(lane) = ctx;
  return lane;
}

struct Forms {
  std::string op, shape;
  const char* simd = "simd";    ///< technique of the timed float form; null: there is none
  const char* cuda = "kernel";  ///< technique of the CUDA form
};

/// Registers one op in every float form of this build. `setup(lane)` allocates and returns the callable. The reference
/// is left out where it would take seconds.
template <class Setup>
void add_forms(const Forms& forms, Work work, Setup setup) {
  const Work f32 = work.of(sizeof(float));
  const auto on = [setup]<class Lane>(std::type_identity<Lane>) {
    return [setup](const Context& ctx) { return setup(lane_of<Lane>(ctx)); };
  };
  if (f32.flops < 1e8 && f32.bytes < 1 << 25) {
    add_threads({forms.op, "reference", forms.shape}, f32, 1, on(std::type_identity<ReferenceLane>()));
  }
  if (forms.simd) add({forms.op, forms.simd, forms.shape}, f32, on(std::type_identity<cpu::Lane<float>>()));
#if defined(HOURGLASS_CUDA_KERNELS)
  add_device({forms.op, forms.cuda, forms.shape}, f32, Dtype::kF32, on(std::type_identity<cuda::Lane<float>>()));
#endif
}

/// The same, with the CUDA form in bf16 too.
template <class Setup>
void add_forms_bf16(const Forms& forms, Work work, Setup setup) {
  add_forms(forms, work, setup);
#if defined(HOURGLASS_CUDA_KERNELS)
  add_device({forms.op, forms.cuda, forms.shape, "bf16"}, work.of(sizeof(bf16)), Dtype::kBF16,
             [setup](const Context& ctx) { return setup(lane_of<cuda::Lane<bf16>>(ctx)); });
#endif
}

// ---------------------------------------------------------------- the program

/// Runs every case of the device once.
inline int run_all_once() {
  int ran = 0;
  for (const Single& single : singles()) {
    if (!single.on_device) continue;
    single.run();
    ++ran;
  }
  std::printf("%d cases ran once\n", ran);
  return 0;
}

/// Runs the case of that name once; 2 and a line that says so if there is none.
inline int run_once(const std::string& name) {
  for (const Single& single : singles()) {
    if (single.name != name) continue;
    single.run();
    std::printf("%s: ran once\n", name.c_str());
    return 0;
  }
  std::fprintf(stderr, "no case '%s'; --benchmark_list_tests=true lists them\n", name.c_str());
  return 2;
}

inline int run(int argc, char** argv) try {
  if (argc == 2 && !std::strcmp(argv[1], "--once")) return run_all_once();
  if (argc > 1 && !std::strcmp(argv[1], "--case")) {
    if (argc == 4 && !std::strcmp(argv[3], "--once")) return run_once(argv[2]);
    std::fprintf(stderr, "usage: %s --case NAME --once\n", argv[0]);
    return 2;
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  if (device_usable()) benchmark::AddCustomContext("device", device_description());
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
  return 1;
}

}  // namespace hourglass::bench
