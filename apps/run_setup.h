// SPDX-License-Identifier: Apache-2.0
// From what the user asked for to what the library takes, and the record of it that a checkpoint carries.
#pragma once

#include <filesystem>
#include <string>

#include "apps/options.h"
#include "engine/batch_source.h"
#include "engine/dataset.h"
#include "engine/io/json.h"
#include "kernels/base/error.h"
#include "models/evaluation.h"
#include "models/trainer.h"

namespace hourglass {

/// What the options of one kind say to the loader.
Crop crop_of(const std::string& name);
int channels_of(const std::string& name);
/// Where --cache-dir and the run folder say that decoded images are kept; empty: nowhere.
std::filesystem::path cache_folder(const std::string& cache_dir, const std::filesystem::path& run);

/// Whether floats outside 0..1 would be lost: to the likelihood, by drawing pixels as 0 or 1, or to clipped noise.
bool needs_unit_range(const std::string& likelihood, const Json& objective_record);

/// Loads the data of a training run.
Dataset load_data(const TrainOptions& options);

/// The model for these images.
ModelConfig model_config(const TrainOptions& options, const Dataset& dataset);

/// `total_steps` is where a decaying learning rate ends unless --lr-decay-steps says so.
TrainerOptions trainer_options(const TrainOptions& options, const Dataset& dataset, int64_t total_steps);

/// What f() makes; an error about memory (or another of the device's) gets the options that would need less.
template <class F>
auto with_memory_hint(F&& f) {
  try {
    return f();
  } catch (const Error& error) {
    if (error.exit() != Exit::kDevice) throw;
    throw Error(Exit::kDevice, std::string(error.what()) + "; try a smaller --batch or model, for large data --data-memory");
  }
}

/// Steps of the whole run: --steps, or --epochs times the full batches of an epoch. Error(kUsage) for fewer samples
/// than a batch.
int64_t total_steps(const TrainOptions& options, const Dataset& dataset);

/// How the data set was named, split and checked: what later commands need to load it again.
Json data_record(const TrainOptions& options, const Dataset& dataset);

/// What evaluation needs to know of the training: beta and binarisation.
Json objective_record(const TrainOptions& options);

/// Evaluation of a run as it was trained. `seed` is that of the evaluation.
EvaluationOptions evaluation_options(const Json& objective_record, int batch, uint32_t seed);

/// "-log p(x|z) + 1 * KL(q(z|x) || N(0, I))": coefficients, the observation variance they imply, units, reductions.
std::string objective_text(const TrainOptions& options, const Dataset& dataset);

}  // namespace hourglass
