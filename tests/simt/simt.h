// SPDX-License-Identifier: Apache-2.0
// The SIMT emulator: runs CUDA kernels, compiled by a C++ compiler from their unmodified .cu files, on the CPU. This
// header is what tests see of it; kernels see the CUDA language and runtime through shim/cuda_runtime.h.
//
// Every CUDA thread is a fiber; one block runs at a time, and threads change places only at barriers, warp collectives
// and __nanosleep. The hardware promises no order between those points, so the emulator lets tests choose one:
//
//   environment variable          values                              default
//   HOURGLASS_SIMT_ORDER          forward, reverse, shuffled:SEED     forward
//   HOURGLASS_SIMT_POISON         ff, 7b, 00                          ff    bytes of memory nobody has written; ff: NaN
//   HOURGLASS_SIMT_STREAMS        eager, lazy                         eager lazy: work runs when something waits for it
//   HOURGLASS_SIMT_MEMORY         MiB                                 8192  device memory
//   HOURGLASS_SIMT_CUBLASLT       0, 1, incomplete                    0     1: the stand-in for cuBLASLt can be opened
//   HOURGLASS_SIMT_DRIVER         CUDA version it supports            13000 (13.0); 0: there is no driver
//   HOURGLASS_SIMT_DEVICES        0, 1                                1     0: a driver without a card
//   HOURGLASS_SIMT_IMAGE          0, 1                                1     0: a card that no kernel was compiled for
//   HOURGLASS_SIMT_PTX             folders of nvcc's PTX               none  runs that instead: ptx/module.h
//   HOURGLASS_SIMT_ABORT          0, 1                                0     1: the first report aborts, for a debugger
//
// What a kernel does wrong (divergent barrier, bad mask, endless wait) becomes a Report and fails the launch with
// cudaErrorLaunchFailure, as an unrecoverable fault does on the device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace simt {

/// Order in which blocks run and ready threads go on.
enum class Order : uint8_t { kForward, kReverse, kShuffled };

struct Config {
  Order order = Order::kForward;
  uint64_t seed = 1;          ///< of kShuffled
  uint8_t poison = 0xFF;      ///< byte of uninitialised device and shared memory
  bool lazy_streams = false;  ///< stream work runs only when something waits for it
  size_t device_bytes = size_t{8} << 30;
  bool cublaslt = false;  ///< asked when the program opens the library, once
  int driver = 13000;
  int devices = 1;
  bool starts = true;  ///< false: cards are there, and CUDA is not ready
  bool image = true;
  bool abort_on_report = false;
};

/// The configuration of the process, from the environment at first use. Change it between launches only.
Config& config();

/// Changes the configuration for a scope.
class ScopedConfig {
 public:
  explicit ScopedConfig(const Config& changed) : before_(config()) { config() = changed; }
  ~ScopedConfig() { config() = before_; }
  ScopedConfig(const ScopedConfig&) = delete;
  ScopedConfig& operator=(const ScopedConfig&) = delete;

 private:
  Config before_;
};

/// Three orders, three poisons, both kinds of streams.
std::vector<Config> all_schedules();
/// Those that every kernel test runs under: all of them, or fewer in builds with a sanitizer or the access checker.
std::vector<Config> test_schedules();
std::string describe(const Config& config);

/// Something a kernel or a caller of the runtime did that CUDA forbids or leaves undefined.
struct Report {
  std::string kind;  ///< "barrier-divergence", "warp-mask", "deadlock", "memcpy", "leak", ...
  std::string text;
};
/// Reports since the last call. It also forgives the device: calls work again after a kernel's fault.
std::vector<Report> take_reports();

/// Builds with HOURGLASS_SIMT_CHECK (checker.h).
bool has_access_checker();
/// From now on the access checker takes these bytes of device memory for never written, whatever stands in them.
void forget_contents(const void* device_memory, size_t bytes);

/// Counters of the process, for tests of launches, allocations and synchronisations a step.
struct Counters {
  int64_t launches = 0;      ///< kernels run, replayed ones included
  int64_t api_launches = 0;  ///< cudaLaunchKernelEx calls, captured ones included
  int64_t allocations = 0;   ///< cudaMalloc, cudaMallocHost
  int64_t live_bytes = 0;    ///< of cudaMalloc
  int64_t synchronizations = 0;
  int64_t graph_launches = 0;
  int64_t library_opens = 0;      ///< of cuBLASLt, tried
  int64_t profiled_launches = 0;  ///< kernels run between cudaProfilerStart and cudaProfilerStop
};
Counters& counters();

/// A kernel launch as it was asked for. With `record_launches(true)` every cudaLaunchKernelEx appends one.
struct LaunchRecord {
  std::string kernel;  ///< demangled
  unsigned grid[3], block[3];
  size_t shared_bytes = 0;
  std::vector<unsigned char> arguments;  ///< bytes of each parameter, in order
  bool operator==(const LaunchRecord&) const = default;
};
void record_launches(bool on);
std::vector<LaunchRecord> take_launches();

}  // namespace simt
