// SPDX-License-Identifier: Apache-2.0
// The device words that drive training: step counter, fault, scheduled values, and the log of every step. A step reads
// everything that changes from here, and so it can be replayed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/parameters.h"
#include "kernels/base/context.h"
#include "kernels/step_state.h"

namespace hourglass {

/// What the end of a step reads and writes, for a kernel that runs whole steps and does what advance() does.
struct StepWords {
  int64_t* step;
  Fault* fault;
  Norm* norm;  ///< of the first optimizer
  TableShape log_shape;
  double* log;
  Schedule schedule;
};

class TrainingState {
 public:
  /// Steps that may run between two looks of the host: rows of the log table.
  static constexpr int kWindow = 1024;

  /// The statistics of `parameters` are logged each step. Both must outlive this.
  TrainingState(const Context& ctx, const Parameters& parameters);
  TrainingState(const TrainingState&) = delete;
  TrainingState& operator=(const TrainingState&) = delete;

  /// A value that changes from step to step, a function of the step in double. Returns where the step finds it.
  const double* schedule(std::function<double(int64_t step)> value);

  /// The end of a step: logs the statistics, then ++step, then the scheduled values of the next one are loaded; nothing
  /// while the fault is set.
  void advance();

  // Between steps, on the host.
  /// `f(step)` is called before each step is put into the stream, in the thread that does so: for what a step needs and
  /// cannot fetch itself.
  void before_step(std::function<void(int64_t step)> f) { before_step_.push_back(std::move(f)); }
  /// Writes the scheduled values of kWindow steps from `step` on, and of the one after, which the last of them loads;
  /// then loads those of the device's step. Nothing of it if `step` has been planned already. Calls what before_step
  /// was given first.
  void plan(int64_t step);
  int64_t step() const;
  void set_step(int64_t step);
  /// What step() will be when the steps launched so far have run, if none is refused: known without waiting for them.
  int64_t expected_step() const { return expected_step_; }
  void count_launch() { ++expected_step_; }
  Fault fault() const;
  void clear_fault();
  /// The logged row of a step among the last kWindow: the statistics in the order of their names, then the gradient
  /// norm.
  std::vector<double> logged(int64_t step) const;
  /// The rows of steps first .. last - 1, one after the other.
  std::vector<double> logged(int64_t first, int64_t last) const;

  /// Steps from `step` on whose scheduled values plan() has written.
  int64_t planned_steps(int64_t step) const { return planned_until_ - step; }

  const Context& ctx() const { return *ctx_; }

  // For kernels.
  const int64_t* device_step() const { return &words_->step; }
  Fault* device_fault() const { return &words_->fault; }
  StepWords words() const;
  /// Where an optimizer keeps the norm of its gradients; that of the first is logged.
  Norm* claim_norm();
  Norm* spare_norm() const { return &words_->norms[kMostOptimizers]; }

 private:
  static constexpr int kMostOptimizers = 8;
  struct Words {
    int64_t step, base;
    Fault fault;
    Norm norms[kMostOptimizers + 1];
  };
  static constexpr int kMostSchedules = 16;
  static constexpr int kPlannedRows = kWindow + 1;

  Schedule planned() const { return {{kPlannedRows, kMostSchedules}, table_, &words_->base, row_}; }

  const Context* ctx_;
  const Parameters* parameters_;
  std::vector<std::function<double(int64_t)>> schedules_;
  std::vector<std::function<void(int64_t)>> before_step_;
  Buffer memory_, log_;
  Words* words_;
  double* table_;
  double* row_;
  int optimizers_ = 0;
  mutable int64_t expected_step_ = 0;
  int64_t planned_until_ = -1;  // the first step that must be planned anew
};

}  // namespace hourglass
