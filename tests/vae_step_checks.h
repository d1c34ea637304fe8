// SPDX-License-Identifier: Apache-2.0
// Trainings whose steps are those of kernels/vae_step.h, and what they leave.
#pragma once

#include <string>
#include <vector>

#include "engine/transfer.h"
#include "models/trainer.h"
#include "tests/cases/vae_step.h"
#include "tests/harness.h"
#include "tests/small_data.h"

namespace hourglass::test {

/// Clipped, with schedules of both kinds.
inline TrainerOptions vae_step_options(const VaeStepShape& s, bool persistent, int blocks = 0) {
  TrainerOptions options;
  options.model.height = 1;
  options.model.width = s.D;
  options.model.hidden = {s.H};
  options.model.latent = s.Z;
  options.model.activation = s.activation;
  options.batch.batch = s.N;
  options.batch.seed = 7;
  options.beta_warmup = 5;
  options.lr.kind = LrScheduleKind::kCosine;
  options.lr.decay_steps = 30;
  options.optimizer.clip_norm = 20;
  options.persistent = persistent;
  options.persistent_blocks = blocks;
  return options;
}

struct Trained {
  std::vector<double> values;  ///< parameters, moments and counters, in the order of a checkpoint
  std::vector<double> log;     ///< reconstruction, KL and gradient norm, a mean each call
};

template <class T>
void append(const Context& ctx, const StateTensor& tensor, std::vector<double>& to) {
  std::vector<T> copy(static_cast<size_t>(checked_array_bytes(tensor.shape, tensor.type)) / sizeof(T));
  if (tensor.device == Device::kCuda) {
    to_host(ctx, copy.data(), tensor.data, copy.size() * sizeof(T));
  } else {
    std::memcpy(copy.data(), tensor.data, copy.size() * sizeof(T));
  }
  to.insert(to.end(), copy.begin(), copy.end());
}

inline std::vector<double> state_of(const Runtime& runtime, Trainer& trainer) {
  std::vector<double> all;
  for (const StateTensor& t : trainer.state_tensors()) {
    if (t.type == ElementType::kF32) append<float>(runtime.ctx(), t, all);
    if (t.type == ElementType::kF64) append<double>(runtime.ctx(), t, all);
    if (t.type == ElementType::kI64) append<int64_t>(runtime.ctx(), t, all);
  }
  return all;
}

/// `calls`: steps of each call of Trainer::run.
inline Trained train_vae(const RuntimeOptions& device, const VaeStepShape& s, const TrainerOptions& options,
                         const std::vector<int>& calls) {
  const SmallData data(2 * s.N + 3, 1, s.D);
  Runtime runtime(device);
  Trainer trainer(runtime, data.store(), data.split, options);
  Trained trained;
  for (const int steps : calls) {
    trainer.run(steps);
    const LogPoint point = trainer.take_log();
    trained.log.insert(trained.log.end(), {point.reconstruction, point.kl, point.gradient_norm});
  }
  trained.values = state_of(runtime, trainer);
  return trained;
}

inline std::string name_of(const VaeStepShape& s) {
  return std::to_string(s.N) + " x " + std::to_string(s.D) + "-" + std::to_string(s.H) + "-" + std::to_string(s.Z);
}

}  // namespace hourglass::test
