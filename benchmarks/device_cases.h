// SPDX-License-Identifier: Apache-2.0
// What bench_ceiling measures of a CUDA device: rates of single instructions (ceilings.cu), gaps between launches
// (launches.cu), and latencies of what happens between multiprocessors (barriers.cu). No CUDA header in sight. The
// emulator has those cases that it can run; their numbers mean nothing there.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace hourglass::bench {

/// One measurement: the seconds of a loop, or of one gap, barrier or way; and what they amount to.
struct Sample {
  double seconds = 0;
  std::vector<std::pair<const char*, double>> counters = {};
};

struct DeviceCase {
  std::string op, technique, shape, dtype;
  /// Allocates, runs once, and returns what measures; throws Error with the reason where this device cannot.
  std::function<std::function<Sample()>()> prepare;
};

/// Gop/s, and op/clk/SM: operations of a lane (or flops of a matrix product) a clock of one multiprocessor.
std::vector<DeviceCase> ceiling_cases();
std::vector<DeviceCase> launch_cases();
std::vector<DeviceCase> barrier_cases();

}  // namespace hourglass::bench
