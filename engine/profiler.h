// SPDX-License-Identifier: Apache-2.0
// Where the time of a training step goes, entry by entry of the tape.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/tensor.h"
#include "kernels/base/context.h"

namespace hourglass {

/// What an entry of the tape costs: a record, or a mark between records (the batch, the optimizer). Seconds a step.
struct ProfileRow {
  std::string name;
  Shape shape;  ///< of the first output; of rank 0 for a loss and for a mark
  double forward = 0, backward = 0;
};

/// The time between two entries belongs to the later one, so that the rows add up to the step. On CUDA it is the time
/// of the stream, between events; it contains the gaps between launches, which a replayed graph does not have. There
/// each entry is also an NVTX range, for Nsight Systems. Its steps must all be the same function.
class Profiler {
 public:
  /// The first steps load kernels, plan products and touch memory for the first time: they are run and not counted.
  static constexpr int64_t kWarmUp = 3;

  Profiler(const Context& ctx, int64_t steps) : ctx_(ctx), steps_(steps) {}
  ~Profiler();
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  /// The next step is still to be measured, or warms up for it.
  bool wants_step() const { return run_ < kWarmUp + steps_; }
  void begin_step();
  /// Waits for the device.
  void end_step();

  // For the tape: work launched since the last call belongs to this entry. Entries are counted from a rewind.
  void forward(size_t entry, const char* name, const Shape& shape);
  void backward(size_t entry);

  /// Steps that were measured.
  int64_t steps() const { return run_ > kWarmUp ? run_ - kWarmUp : 0; }
  /// Means over them, in the order of the tape.
  std::vector<ProfileRow> rows() const;
  /// Seconds of a step: the sum of the rows.
  double step_seconds() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Tick {
    size_t entry;
    bool backward;
    Clock::time_point time;  // CPU
  };

  bool on_cuda() const { return ctx_.device == Device::kCuda; }
  void tick(size_t entry, bool backward);
  double seconds_before(size_t tick) const;
  void open_range();

  Context ctx_;
  int64_t steps_, run_ = 0;
  std::vector<ProfileRow> rows_;                   // sums over the measured steps
  std::vector<Tick> ticks_;                        // of this step; the first is its beginning
  std::vector<std::pair<size_t, bool>> sequence_;  // entry and direction of the ticks of the step before
  std::vector<void*> events_;                      // CUDA: one a tick
};

}  // namespace hourglass
