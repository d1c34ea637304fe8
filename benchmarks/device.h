// SPDX-License-Identifier: Apache-2.0
// The CUDA device as the benchmarks see it: timing by events over captured calls, the ceilings, the profiler's range.
// No CUDA header in sight. A build without CUDA kernels (device_absent.cpp) has no device.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "kernels/base/context.h"

namespace hourglass::bench {

/// The emulator of the tests stands in for the device: times mean nothing, and cases run once.
#if defined(HOURGLASS_CUDA_EMULATED)
inline constexpr bool kEmulated = true;
#else
inline constexpr bool kEmulated = false;
#endif

/// Whether a device can be used. Starts nothing else.
bool device_usable();
/// "NVIDIA H100 80GB HBM3, compute capability 9.0", or why there is none.
std::string device_description();
double device_l2_bytes();
/// Device 0 on a stream of its own, with a workspace; busy for half a second at first use, so that its clocks are up.
const Context& device_context();

/// `calls` calls of body(call) as one captured graph, so that no launch waits for the host. Each call is made once
/// outside of it first.
class Replay {
 public:
  Replay(int calls, const std::function<void(int call)>& body);
  ~Replay();
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;
  /// Seconds a call of one launch of the graph, between two events.
  double seconds() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// body() between the start and stop of the profiler's range, after one call outside of it.
void profile_once(const std::function<void()>& body);

/// Enough sets of buffers of `bytes` that a round over all of them does not fit into the L2 cache; 1 for sets below
/// 4 MiB, which a training step keeps in the cache too.
int rotation(double bytes);
/// Measured copy (bytes read plus bytes written a second) that moves `bytes` a call, with the same rotation.
double device_copy_bandwidth(double bytes);
/// Measured arithmetic peak, flop/s: fused multiply-adds in registers for f32; for bf16 the tensor cores, by a large
/// product of random numbers through the library.
double device_peak_flops(Dtype dtype);

}  // namespace hourglass::bench
