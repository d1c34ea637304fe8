// SPDX-License-Identifier: Apache-2.0
// Whole trainings on the CUDA device, on small images.
#pragma once

#include <vector>

#include "engine/transfer.h"
#include "models/trainer.h"
#include "tests/cuda_runtime_test.h"
#include "tests/harness.h"
#include "tests/small_data.h"

namespace hourglass::test {

using CudaTraining = CudaRuntimeTest;

/// What a training leaves: all parameters, and the loss terms of each look.
struct Result {
  std::vector<float> values;
  std::vector<double> reconstruction, kl;
  int nodes = 0;
};

inline Result train(const RuntimeOptions& device, TrainerOptions options, int steps, int at_once = 1) {
  const SmallData data(128);
  Runtime runtime(device);
  Trainer trainer(runtime, data.store(), data.split, options);
  Result result;
  for (int i = 0; i < steps; i += at_once) {
    trainer.run(at_once);
    const LogPoint log = trainer.take_log();
    result.reconstruction.push_back(log.reconstruction);
    result.kl.push_back(log.kl);
  }
  for (const StateTensor& t : model_tensors(trainer.parameters())) {
    std::vector<float> copy(static_cast<size_t>(checked_array_bytes(t.shape, t.type)) / sizeof(float));
    to_host(runtime.ctx(), copy.data(), t.data, copy.size() * sizeof(float));
    result.values.insert(result.values.end(), copy.begin(), copy.end());
  }
  result.nodes = trainer.nodes();
  return result;
}

inline TrainerOptions options_with(OptimizerKind kind) {
  TrainerOptions options = small_trainer_options();
  options.batch.batch = 16;
  options.optimizer.kind = kind;
  options.optimizer.momentum = kind == OptimizerKind::kSgd ? 0.9 : 0;
  options.optimizer.clip_norm = 5;
  options.beta_warmup = 10;
  options.lr.kind = LrScheduleKind::kCosine;
  options.lr.decay_steps = 30;
  return options;
}

}  // namespace hourglass::test
