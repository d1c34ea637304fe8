// SPDX-License-Identifier: Apache-2.0
// Training steps of a VAE by kernels/vae_step.h, many a launch, in place of a step graph. Slabs, counters, schedules
// and log are the training state's, so a trainer of either kind resumes what the other has saved.
#pragma once

#include <cstdint>

#include "kernels/vae_step.h"
#include "models/trainer.h"

namespace hourglass {

class VaeSteps {
 public:
  /// All references must outlive this; `beta` is a scheduled value. Throws Error(kUsage), naming the option, what is
  /// expected and what is given, for what these steps are not: fp32 or fp64, Adam or AdamW, one draw and one part of a
  /// batch, no corruption, no look at each op, bytes that the device holds, and a Bernoulli VAE of one hidden layer.
  VaeSteps(const Context& ctx, const TrainerOptions& options, const Parameters& parameters, TrainingState& state,
           const Optimizer& optimizer, const BatchSource& source, const double* beta);

  /// Launches `steps` steps; does not wait for them.
  void run(int64_t steps);

 private:
  template <class T>
  VaeStep<T> arguments() const;

  const Context* ctx_;
  const TrainerOptions* options_;
  const Parameters* parameters_;
  TrainingState* state_;
  const Optimizer* optimizer_;
  const BatchSource* source_;
  const double* beta_;
  VaeStepShape shape_;
  Buffer scratch_;
};

}  // namespace hourglass
