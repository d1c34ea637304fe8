// SPDX-License-Identifier: Apache-2.0
// The ceilings that the other programs measure themselves against: copies from the cache to memory, and arithmetic.
// `GB/s` counts bytes read plus bytes written. On the device, sets of 4 MiB and more are copied round a working set
// three times the L2 cache.
#include "benchmarks/harness.h"

using namespace hourglass;
using namespace hourglass::bench;

namespace {

/// A ceiling is measured once, in setup, as the other programs do; the case repeats the number.
void add_ceiling(const Name& name, const std::string& device, const char* unit, double (*measured)(double),
                 double size) {
  const auto function = [=](benchmark::State& state) {
    const double rate = measured(size);
    for (auto _ : state) state.SetIterationTime(1e-6);
    state.counters[unit] = 1e-9 * rate;
  };
  benchmark::RegisterBenchmark(label(name, device).c_str(), function)->UseManualTime()->Iterations(1);
}

}  // namespace

int main(int argc, char** argv) {
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  const std::string all = cores > 1 ? "cpu-" + std::to_string(cores) + "t" : "cpu";
  for (const int log_bytes : {16, 20, 22, 24, 26, 28, 30}) {
    const double bytes = static_cast<double>(int64_t{1} << log_bytes);
    const std::string shape = extents({int64_t{1} << log_bytes});
    if (log_bytes <= 28) {
      add_ceiling(
          {"copy", "memcpy", shape, "u8"}, all, "GB/s",
          [](double size) { return copy_bandwidth(static_cast<int>(std::thread::hardware_concurrency()), size); },
          bytes);
    }
    if (device_usable() && (!kEmulated || log_bytes <= 16)) {
      add_ceiling({"copy", "quads", shape}, kEmulated ? "emulated" : "cuda", "GB/s", device_copy_bandwidth, bytes);
    }
  }
  add_ceiling(
      {"multiply_add", "registers", "peak"}, all, "GFLOP/s",
      [](double) { return peak_flops(static_cast<int>(std::thread::hardware_concurrency())); }, 0);
  if (device_usable()) {
    const std::string device = kEmulated ? "emulated" : "cuda";
    add_ceiling(
        {"multiply_add", "registers", "peak"}, device, "GFLOP/s", [](double) { return device_peak_flops(Dtype::kF32); },
        0);
    add_ceiling(
        {"multiply_add", "tensor_cores", "8192x8192x8192", "bf16"}, device, "GFLOP/s",
        [](double) { return device_peak_flops(Dtype::kBF16); }, 0);
  }
  return run(argc, argv);
}
