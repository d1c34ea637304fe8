// SPDX-License-Identifier: Apache-2.0
// A run: training with its log, evaluations, checkpoints and pictures, from any step to the end or to a stop.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "apps/options.h"
#include "apps/run_folder.h"
#include "apps/run_setup.h"
#include "apps/terminal.h"
#include "engine/dataset.h"
#include "models/evaluation.h"
#include "models/row_function.h"
#include "models/trainer.h"

namespace hourglass {

enum class Stop { kFinished, kTime, kSignal };

class TrainingRun {
 public:
  /// Builds and measures everything; touches no file. All three must outlive this.
  TrainingRun(Runtime& runtime, const TrainOptions& options, const Dataset& dataset);

  /// Data, objective, model summary and memory: what a user wants to know before the start, after the device.
  std::string header() const;

  /// Goes on from a checkpoint.
  void restore(const SafetensorsFile& file);

  /// Trains until the end, the time limit or a signal, and leaves checkpoint, pictures and summary in `folder`.
  Stop run(RunFolder& folder);

  int64_t step() const { return trainer_.step(); }
  int64_t total_steps() const { return total_steps_; }
  bool finished() const { return step() >= total_steps_; }
  bool time_is_up() const;
  const Runtime& runtime() const { return runtime_; }
  /// Of --profile; null without it.
  const Profiler* profiler() const { return trainer_.profiler(); }
  /// The closing table.
  std::string closing(const RunFolder& folder) const;
  Json summary() const { return summary_; }

 private:
  using Clock = std::chrono::steady_clock;

  int64_t next_stop() const;
  void train_to(int64_t step, Progress& progress);
  void log_point(RunFolder& folder);
  void end_epoch(RunFolder& folder);
  void save(RunFolder& folder);
  void save_best(RunFolder& folder, const Evaluation& validation);
  void draw(RunFolder& folder);
  void finish(RunFolder& folder, Stop stop);
  StringMap metadata() const;
  double epoch_at(int64_t step) const;
  bool at_log_point() const;

  const TrainOptions& options_;
  const Dataset& dataset_;
  int64_t total_steps_;
  Runtime& runtime_;
  Trainer trainer_;
  std::unique_ptr<Evaluator> test_, validation_;
  std::unique_ptr<RowFunction> encode_, decode_;
  std::unique_ptr<Corruptor> corruptor_;  // of a denoising run
  double train_seconds_ = 0;              // of the run, evaluation excluded; across resumes
  double epoch_seconds_ = 0;              // of this epoch
  double window_seconds_ = 0;             // since the last log point
  int64_t window_first_ = 0;              // step of the last log point
  int64_t chunk_ = 1;                     // steps between two looks of the host
  double timed_seconds_ = 0;              // of timed_steps_: all of this start but the first and the profiled
  int64_t timed_steps_ = 0;
  int64_t saved_step_ = -1;
  int64_t start_step_ = 0;
  Clock::time_point start_;
  std::string progress_text_;
  std::optional<double> best_;
  std::vector<int64_t> code_usage_;  // of a VQ-VAE: of the last evaluation, or of the last log window
  void evaluate_test();
  Json last_test_ = Json::object(), summary_ = Json::object();
};

}  // namespace hourglass
