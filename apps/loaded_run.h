// SPDX-License-Identifier: Apache-2.0
// What every command on a run begins with: the trained model, its data, and where to put what the command makes.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "apps/options.h"
#include "engine/dataset.h"
#include "engine/io/json.h"
#include "models/inference.h"

namespace hourglass {

class LoadedRun {
 public:
  /// Loads the model. Error(kCheckpoint) where there is no sound run or checkpoint. `options` must outlive this.
  explicit LoadedRun(const RunOptions& options);

  /// Loads the data: those of the run, split as they were then, or those of --data. Error(kData) when the run's data
  /// have changed since, or when the images are unlike the model's.
  const Dataset& data();
  /// The rows of --split.
  const std::vector<int32_t>& split();
  /// `n` images of the split, or all if it has fewer: chosen by --seed, each once.
  Matrix chosen_images(int64_t n);

  Inference& model() { return model_; }
  const ModelConfig& config() const { return model_.model().config(); }
  /// What evaluation needs to know of the training.
  const Json& objective() const { return objective_; }

  /// Where a picture called `name` goes: RUN/figures, or --out, which may be a folder or a .png file.
  std::filesystem::path picture(const std::string& name) const;
  /// A folder for other files: RUN/<name>, or --out.
  std::filesystem::path folder(const std::string& name) const;

  /// {"model", "data", "split", "checkpoint", "step"}: how each answer of a command begins.
  Json facts() const;

 private:
  const RunOptions& options_;
  Inference model_;
  Json objective_, record_;
  Dataset dataset_;
};

/// The answer of a command: with --json on standard output; else as a table there, unless --quiet.
void print_answer(const RunOptions& options, const Json& facts);

}  // namespace hourglass
