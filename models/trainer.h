// SPDX-License-Identifier: Apache-2.0
// Everything between a data split and a trained model: model, parameters, schedules, optimizer, step and its log.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/batch_source.h"
#include "engine/optimizers.h"
#include "engine/profiler.h"
#include "engine/runtime.h"
#include "engine/step_graph.h"
#include "models/denoising.h"
#include "models/model.h"
#include "models/precision.h"
#include "models/vqvae.h"

namespace hourglass {

enum class LrScheduleKind { kConstant, kCosine, kStep, kExponential };

/// Learning rate at `step`, in double on the host:
///
///   warm-up      lr (step + 1) / warmup                    for step < warmup, then, with t = step - warmup:
///   constant     lr
///   cosine       lr (1 + cos(pi min(1, t / decay_steps))) / 2
///   step         lr gamma^floor(t / decay_steps)
///   exponential  lr gamma^(t / decay_steps)
struct LrSchedule {
  LrScheduleKind kind = LrScheduleKind::kConstant;
  double lr = 1e-3;
  int64_t warmup = 0;
  int64_t decay_steps = 1;
  double gamma = 0.1;
  double at(int64_t step) const;
};

struct TrainerOptions {
  ModelConfig model;
  OptimizerOptions optimizer;
  LrSchedule lr;
  BatchOptions batch;           ///< batch.seed is the seed of the run: initial values, order, noise
  int samples = 1;              ///< Monte-Carlo draws of z an image
  double beta = 1;              ///< weight of the KL
  int64_t beta_warmup = 0;      ///< steps over which beta rises linearly from 0
  Corruption corruption;        ///< of what the encoder sees
  int micro_batches = 1;        ///< gradients of a batch are accumulated over this many parts; must divide the batch
  bool detect_anomaly = false;  ///< look for non-finite values after each op
  int64_t profile_steps = 0;    ///< the first steps are run eagerly and timed entry by entry; see profiler()
  Precision precision = Precision::kFp32;
  Dtype dtype = Dtype::kF32;  ///< of the parameters
  bool persistent = false;    ///< whole steps by one kernel (vae_steps.h), where it can: else Error(kUsage)
  int persistent_blocks = 0;  ///< of its grid; 0: as many as the device holds
};

/// Means over the steps since the last log point.
struct LogPoint {
  int64_t steps = 0;
  double reconstruction = 0, kl = 0, gradient_norm = 0;
  double commitment = 0;            ///< of a VQ-VAE
  std::vector<int64_t> code_usage;  ///< of a VQ-VAE: how often each code was chosen in these steps; a sum, no mean
};

class VaeSteps;

class Trainer {
 public:
  /// References must outlive this. Throws Error(kUsage) for a precision that the device does not have.
  Trainer(Runtime& runtime, const SampleStore& store, const std::vector<int32_t>& split, const TrainerOptions& options);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Runs `steps` training steps. A loss or gradient that is not finite never reaches the parameters: the step is run
  /// again with a look at each op, and Error(kNotFinite) names step and op; the parameters are those before the step.
  void run(int64_t steps);

  int64_t step() const { return state_.step(); }
  /// Whether the samples are brought to the device batch by batch (BatchOptions::data_memory).
  bool streams() const { return source_.streams(); }
  int64_t steps_per_epoch() const { return source_.batches_per_epoch(); }
  double beta() const { return beta_at(step()); }

  /// The log since the last call, which closes the window.
  LogPoint take_log();

  const Model& model() const { return *model_; }
  const TrainerOptions& options() const { return options_; }
  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }
  size_t bytes() const { return step_graph_->bytes(); }
  /// Nodes of the captured step: kernels launched a step; 0 where nothing is captured.
  int nodes() const { return step_graph_->nodes(); }
  /// Where the time of TrainerOptions::profile_steps goes; null without them.
  const Profiler* profiler() const { return profiler_.get(); }
  /// Moments that the optimizer keeps of each parameter.
  size_t moments() const { return optimizer_.moments(); }

  /// All that a bit-exact resume needs: parameters, optimizer, step counter, open log window.
  std::vector<StateTensor> state_tensors();
  void restore(const SafetensorsFile& file);

 private:
  void record_step();
  void run_step();
  void run_steps(int64_t steps);
  void start_codebook();
  double beta_at(int64_t step) const;
  void fold_log(int64_t first, int64_t last);
  [[noreturn]] void explain_fault();

  Runtime* runtime_;
  TrainerOptions options_;
  Parameters parameters_;
  std::unique_ptr<Model> model_;
  const VqVae* vqvae_;  // the model, if it is one
  Leaf *reconstruction_ = nullptr, *second_ = nullptr;
  TrainingState state_;
  const double* beta_;
  Optimizer optimizer_;
  BatchSource source_;
  Tape tape_;
  std::unique_ptr<StepGraph> step_graph_;
  std::unique_ptr<VaeSteps> whole_steps_;  // in its place, with TrainerOptions::persistent
  std::unique_ptr<Profiler> profiler_;
  std::unique_ptr<StepGraph> first_vectors_;  // of the first batch, for k-means; null once that has run
  Var vectors_;
  Buffer code_usage_;  // since the last log point; int64
  int64_t saved_step_ = 0;
  enum Column { kReconstruction, kSecond, kGradientNorm, kCount, kColumns };  // kSecond: KL, or commitment loss
  double window_[kColumns] = {};
};

}  // namespace hourglass
