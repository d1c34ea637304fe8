// SPDX-License-Identifier: Apache-2.0
// What the commands on a trained run share: the model, the data it was trained on or others of the same size, and the
// folder for what they make.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "apps/options.h"
#include "engine/dataset.h"
#include "engine/io/json.h"
#include "models/denoising.h"
#include "models/inference.h"

namespace hourglass {

class RunSource {
 public:
  /// Loads the model of --run; notices go to standard error. Error(kCheckpoint) for a run that is missing or broken,
  /// Error(kDevice) for a device this machine lacks. `options` must outlive this.
  explicit RunSource(const RunOptions& options);

  Inference& model() { return model_; }
  const ModelConfig& config() const { return model_.model().config(); }
  bool is_vae() const { return config().kind == ModelKind::kVae; }

  /// Loads --data, or without it the data of the training, split as they were then. Says so when the training's data
  /// have changed since. Error(kData) naming both sizes for images unlike the model's, and for an empty split.
  Dataset load_data() const;

  /// What evaluation needs to know of the training: beta and binarisation.
  Json objective() const { return metadata("objective"); }

  /// What the encoder saw in training; amount 0: clean images.
  Corruption corruption() const;

  /// The folder --out, else RUN/`name`: of a checkpoint outside a run folder, `name` in the current folder. It is made
  /// if it is not there.
  std::filesystem::path folder(const char* name) const;
  /// Where the one picture of a command goes: `name` in folder("figures"), or --out if that is a .png file. Not one of
  /// the names that training writes: samples.png, reconstructions.png and curves.png stay those of the training.
  std::filesystem::path picture(const std::string& name) const;

  /// The first members of what a command prints: model, checkpoint, step.
  Json facts() const;
  /// With the data: model, data, split, n, checkpoint, step.
  Json facts(const Dataset& data, int64_t n) const;

 private:
  /// The run folder of RUN, empty for a checkpoint that lies in none.
  std::filesystem::path run_folder() const;
  Json metadata(const std::string& key) const;

  const RunOptions& options_;
  Inference model_;
};

/// Prints what a command made: as one JSON object with --json, as a table otherwise, not at all with --quiet.
void show_facts(const RunOptions& options, const Json& facts);

}  // namespace hourglass
