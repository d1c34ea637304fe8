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
int device_multiprocessors();
/// Throws Error(kDevice) below compute capability 9.0.
void require_hopper();
/// Device 0 on a stream of its own, with a workspace; busy for half a second at first use, so that its clocks are up.
const Context& device_context();
/// Zeros, released with the last owner; throws Error(kDevice) where so much is not free.
std::shared_ptr<void> device_memory(const Context& ctx, size_t bytes);
unsigned read_word(const std::shared_ptr<void>& words, int index = 0);

/// `calls` calls of body(call) as one captured graph, so that no launch waits for the host. Each call is made once
/// outside of it first.
class Replay {
 public:
  Replay(int calls, const std::function<void(int call)>& body);
  ~Replay();
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;
  /// Seconds a call of one launch of the graph, between two events; behind another launch where that is short.
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
/// Fills with random signs and mantissas of exponent -1, good as float and as pairs of bf16: never zeros or constants,
/// of which products are faster.
void device_fill_random(void* data, int64_t bytes);

/// Prepared work of which each call measures the rate once, per second.
using Rate = std::function<double()>;
/// Copies that move `bytes` (read plus written) a call, with the same rotation. Throws where memory does not suffice.
Rate device_copy_rate(double bytes);
/// A large product of random numbers through the library: flop/s of kBF16, or of kF32 in the given mode.
Rate device_product_rate(Dtype dtype, Math math);

/// Best rate of some copies of the size of `bytes`, up to 1 GiB. Measured once.
double device_copy_bandwidth(double bytes);
/// Measured arithmetic peak, flop/s: fused multiply-adds in registers for f32, the library's product for bf16.
double device_peak_flops(Dtype dtype);

}  // namespace hourglass::bench
