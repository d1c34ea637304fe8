// SPDX-License-Identifier: Apache-2.0
// A training and an evaluation whose samples do not fit the device, on any device, against one whose samples do.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "engine/checkpoint.h"
#include "engine/io/files.h"
#include "engine/sample_file.h"
#include "engine/transfer.h"
#include "models/evaluation.h"
#include "tests/file_checks.h"
#include "tests/harness.h"
#include "tests/small_data.h"

namespace hourglass::test {

/// SmallData in a file.
struct FileData {
  explicit FileData(const SmallData& data) : path(folder / "samples") {
    write_file_atomic(path, data.bytes);
    file = std::make_unique<SampleFile>(path, static_cast<int64_t>(data.split.size()), data.columns);
  }
  SampleStore store() const {
    return {nullptr, Dtype::kU8, file->rows(), static_cast<int>(file->row_bytes()), file.get()};
  }

  TemporaryFolder folder;
  std::filesystem::path path;
  std::unique_ptr<SampleFile> file;
};

struct Trained {
  std::vector<float> values;
  std::vector<double> figures;  ///< of the log and of evaluations in between
  int nodes = 0;
};

/// Steps over several epochs, in chunks, with an evaluation after each.
inline Trained train_and_evaluate(const RuntimeOptions& device, const SampleStore& store,
                                  const std::vector<int32_t>& split, const TrainerOptions& options, int iwae_samples) {
  Runtime runtime(device);
  Trainer trainer(runtime, store, split, options);
  EvaluationOptions evaluation;
  evaluation.batch = 24;
  evaluation.binarize = options.batch.binarize;
  evaluation.data_memory = options.batch.data_memory;
  evaluation.iwae_samples = iwae_samples;
  const std::vector<int32_t> part(split.begin(), split.begin() + 60);  // not a multiple of the batch
  Evaluator evaluator(runtime, trainer.model(), store, part, evaluation);
  Trained result;
  for (const int steps : {1, 7, 6}) {
    trainer.run(steps);
    const LogPoint log = trainer.take_log();
    const Evaluation e = evaluator.run();
    result.figures.insert(result.figures.end(), {log.reconstruction, log.kl, log.gradient_norm, e.reconstruction, e.kl,
                                                 e.mse, e.iwae_bound.value_or(0)});
  }
  for (const StateTensor& t : model_tensors(trainer.parameters())) {
    std::vector<float> copy(static_cast<size_t>(checked_array_bytes(t.shape, t.type)) / sizeof(float));
    to_host(runtime.ctx(), copy.data(), t.data, copy.size() * sizeof(float));
    result.values.insert(result.values.end(), copy.begin(), copy.end());
  }
  result.nodes = trainer.nodes();
  return result;
}

/// `streamed` must be `held` bit for bit.
inline void expect_same_training(const Trained& streamed, const Trained& held) {
  expect_same_bits(streamed.values, held.values);
  EXPECT_EQ(streamed.figures, held.figures);
  EXPECT_EQ(streamed.nodes, held.nodes);
}

/// From memory and from a file, with room for a byte.
inline void check_streaming(const RuntimeOptions& device, TrainerOptions options, int iwae_samples = 0) {
  const SmallData data(100);
  const FileData file(data);
  std::vector<int32_t> split(data.split.rbegin(), data.split.rend() - 3);  // not the identity
  const Trained held = train_and_evaluate(device, data.store(), split, options, iwae_samples);
  options.batch.data_memory = 1;
  expect_same_training(train_and_evaluate(device, data.store(), split, options, iwae_samples), held);
  expect_same_training(train_and_evaluate(device, file.store(), split, options, iwae_samples), held);
  options.batch.data_memory = 0;  // the CPU reads it from the file, CUDA loads it whole
  expect_same_training(train_and_evaluate(device, file.store(), split, options, iwae_samples), held);
}

}  // namespace hourglass::test
