// SPDX-License-Identifier: Apache-2.0
// The ceilings that the other programs measure themselves against: copies from the cache to memory, and arithmetic; of
// the device also single instructions and the latencies of device_cases.h. `GB/s` counts bytes read plus bytes written.
// On the device, sets of 4 MiB and more are copied round a working set three times the L2 cache.
// HOURGLASS_SUSTAINED_SECONDS=30 adds the library's product and the copy for that long each, since a card under power
// slows down: `last_%` is the rate of the last tenth in per cent of that of the first.
#include <chrono>
#include <cstdlib>
#include <map>

#include "benchmarks/device_cases.h"
#include "benchmarks/harness.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

const char* const kDevice = kEmulated ? "emulated" : "cuda";
constexpr int kBlocks = kEmulated ? 1 : 30;
const char* const kProduct = kEmulated ? "32x32x32" : "8192x8192x8192";
constexpr double kProductFlops = kEmulated ? 0x1p16 : 0x1p40;

/// A ceiling of the CPU is measured once, in setup, as the other programs do; the case repeats the number.
void add_ceiling(const Name& name, const std::string& device, const char* unit, double (*measured)(double),
                 double size) {
  const auto function = [=](benchmark::State& state) {
    const double rate = measured(size);
    for (auto _ : state) state.SetIterationTime(1e-6);
    state.counters[unit] = 1e-9 * rate;
  };
  benchmark::RegisterBenchmark(label(name, device).c_str(), function)->UseManualTime()->Iterations(1);
}

/// Each block is one measurement. What a device cannot do is an error of its case, and the next one goes on.
void add_samples(const Name& name, int blocks, const std::function<std::function<Sample()>()>& prepare) {
  const auto function = [=](benchmark::State& state) {
    try {
      const auto measure = prepare();
      measure();
      std::vector<double> seconds;
      std::map<std::string, std::vector<double>> counters;
      for (auto _ : state) {
        const Sample sample = measure();
        seconds.push_back(sample.seconds);
        for (const auto& [unit, value] : sample.counters) counters[unit].push_back(value);
        state.SetIterationTime(sample.seconds);
      }
      report_blocks(state, seconds);
      for (const auto& [unit, all] : counters) state.counters[unit] = quantile(all, 0.5);
    } catch (const Error& error) {
      state.SkipWithError(error.what());
    }
  };
  benchmark::RegisterBenchmark(label(name, kDevice).c_str(), function)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond)
      ->Iterations(blocks);
}

/// Amounts of `work` a block, at the rate measured.
std::function<Sample()> samples_of(const Rate& rate, double work, const char* unit) {
  return [=] {
    const double measured = rate();
    return Sample{work / measured, {{unit, 1e-9 * measured}}};
  };
}

/// One block: the rate over so many seconds, and what is left of it at their end.
std::function<Sample()> sustained(const Rate& rate, double seconds, double work, const char* unit) {
  return [=] {
    std::vector<double> rates;
    const auto start = std::chrono::steady_clock::now();
    const auto passed = [start] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    while (passed() < seconds) rates.push_back(rate());
    const auto tenth = static_cast<std::ptrdiff_t>((rates.size() + 9) / 10);
    const double first = quantile({rates.begin(), rates.begin() + tenth}, 0.5);
    const double last = quantile({rates.end() - tenth, rates.end()}, 0.5), middle = quantile(rates, 0.5);
    return Sample{work / middle, {{unit, 1e-9 * middle}, {"last_%", 100 * last / first}}};
  };
}

void add_copy(int64_t bytes) {
  add_samples({"copy", "quads", extents({bytes})}, kBlocks, [=] {
    const auto size = static_cast<double>(bytes);
    if (static_cast<double>(cuda::available()) < 2.2 * size) throw Error(Exit::kDevice, "needs more device memory");
    return samples_of(device_copy_rate(size), size, "GB/s");
  });
}

void add_product(Dtype dtype, Math math, const char* type) {
  add_samples({"multiply_add", "tensor_cores", kProduct, type}, kBlocks,
              [=] { return samples_of(device_product_rate(dtype, math), kProductFlops, "GFLOP/s"); });
}

void add_device() {
  for (const int log_bytes : {16, 20, 22, 24, 26, 28, 30, 33}) {
    if (!kEmulated || log_bytes <= 16) add_copy(int64_t{1} << log_bytes);
  }
  add_ceiling(
      {"multiply_add", "registers", "peak"}, kDevice, "GFLOP/s", [](double) { return device_peak_flops(Dtype::kF32); },
      0);
  add_product(Dtype::kBF16, Math::kFp32, "bf16");
  add_product(Dtype::kF32, Math::kTf32, "tf32");
  for (const auto& cases : {ceiling_cases(), launch_cases(), barrier_cases()}) {
    for (const DeviceCase& c : cases) add_samples({c.op, c.technique, c.shape, c.dtype}, kBlocks, c.prepare);
  }
  const char* given = std::getenv("HOURGLASS_SUSTAINED_SECONDS");
  const double seconds = given ? std::atof(given) : 0;
  if (seconds <= 0) return;
  add_samples({"multiply_add", "tensor_cores-sustained", kProduct, "bf16"}, 1, [=] {
    return sustained(device_product_rate(Dtype::kBF16, Math::kFp32), seconds, kProductFlops, "GFLOP/s");
  });
  const double size = kEmulated ? 1 << 16 : 1 << 30;
  add_samples({"copy", "quads-sustained", extents({static_cast<int64_t>(size)})}, 1,
              [=] { return sustained(device_copy_rate(size), seconds, size, "GB/s"); });
}

}  // namespace

int main(int argc, char** argv) {
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  const std::string all = cores > 1 ? "cpu-" + std::to_string(cores) + "t" : "cpu";
  for (const int log_bytes : {16, 20, 22, 24, 26, 28}) {
    add_ceiling(
        {"copy", "memcpy", extents({int64_t{1} << log_bytes}), "u8"}, all, "GB/s",
        [](double size) { return copy_bandwidth(static_cast<int>(std::thread::hardware_concurrency()), size); },
        static_cast<double>(int64_t{1} << log_bytes));
  }
  add_ceiling(
      {"multiply_add", "registers", "peak"}, all, "GFLOP/s",
      [](double) { return peak_flops(static_cast<int>(std::thread::hardware_concurrency())); }, 0);
  if (device_usable()) add_device();
  return run(argc, argv);
}
