// SPDX-License-Identifier: Apache-2.0
// A phase of fixed shapes, written once as a function and run many times.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "engine/runtime.h"
#include "engine/training_state.h"

namespace hourglass {

/// Construction runs the function dry, so that memory is known before the first step. A device that
/// can replay captures the function once and replays it; therefore no host state may change inside it. The CPU device
/// calls it each time. All phases share one arena, which the first run reserves for the largest of those constructed so
/// far: construct every graph before the first run.
class StepGraph {
 public:
  /// A training step: the log, the counter and the scheduled values advance after the function.
  StepGraph(Runtime& runtime, TrainingState& state, std::function<void()> step);
  /// A phase that changes nothing: evaluation, sampling.
  StepGraph(Runtime& runtime, std::function<void()> phase);

  /// Bytes of arena that the function needs.
  size_t bytes() const { return bytes_; }
  void run();
  /// The same without replaying: for a look at each op.
  void run_eagerly();

  /// Nodes of the captured graph; 0 before the capture, and where nothing is captured.
  int nodes() const { return nodes_; }

 private:
  StepGraph(Runtime& runtime, TrainingState* state, std::function<void()> step);
  void prepare();
  void call();
  void capture();

  Runtime* runtime_;
  TrainingState* state_;
  std::function<void()> step_;
  size_t bytes_;
  struct Destroy {
    void operator()(void* graph) const;
  };
  std::unique_ptr<void, Destroy> graph_;
  int nodes_ = 0;
  int eager_runs_ = 0;
};

}  // namespace hourglass
