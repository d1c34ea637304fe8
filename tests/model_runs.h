// SPDX-License-Identifier: Apache-2.0
// Every model that can be trained, as a user asks for it, and whole trainings of it that leave a hash of all they have
// made: what test_cuda_models.cpp checks at sizes that the emulator affords, and determinism.cpp at the real ones.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "apps/options.h"
#include "engine/dataset.h"
#include "engine/kmeans.h"
#include "models/precision.h"

namespace hourglass::test {

/// Words are those of `hourglass train`; 'single quotes' hold some together.
struct ModelRow {
  const char* name;
  const char* words;  ///< as it is used; null: not worth the time
  const char* small;  ///< for images of 8 x 8; null: what another row is at that size
};
const std::vector<ModelRow>& model_rows();

/// The options and the data of one row; `more` words come after its own.
struct ModelRun {
  ModelRun(const std::string& words, const std::string& more);
  TrainOptions options;
  const Dataset* data;  ///< loaded once for all that ask for the same
};

struct RunPlan {
  std::string device = "cuda";
  bool capture = true;
  Precision precision = Precision::kFp32;
  int64_t steps = 0;
  int64_t window = 1;  ///< steps between two looks at the log
  int evaluated = 0;   ///< test images
  int schedule = 0;    ///< of the emulator, counted through all of them; no meaning on a device
  // Stops earlier, for a curve alone:
  int64_t until = INT64_MAX;
  double seconds = 1e9;
};

/// What a training leaves.
struct Outcome {
  struct Point {
    double reconstruction = 0, second = 0;  ///< second: KL, or commitment loss
  };
  std::vector<Point> curve, evaluation;
  std::vector<double> gradient_norms;
  /// Each tensor of the state (parameters, moments, averages, counters), the curve and the evaluation, with its hash.
  std::vector<std::pair<std::string, std::string>> parts;
  std::string hash;  ///< of all parts
  int nodes = 0;     ///< of the captured step
};
Outcome train(const ModelRun& run, const RunPlan& plan);

/// The names of what differs, at most three; empty: nothing does.
std::string differing_parts(const Outcome& a, const Outcome& b);

/// The largest distance of two curves, relative to the loss at hand. Where that is near zero, as a density's may be,
/// a tenth of the largest on the curve takes its place. The evaluations count if the trainings were equally long.
double relative_difference(const Outcome& got, const Outcome& want);
/// The same of the gradient's norms, of the first `points`.
double relative_gradient_difference(const Outcome& got, const Outcome& want, size_t points);

/// The three promises of a model on a device, examined.
struct Verdict {
  int runs = 0, hashes = 0;
  std::string hash, differs;  ///< differs: what, and between which trainings
  bool eager_equals_captured = false;
  double difference = 0, gradient_difference = 0;  ///< from the CPU's curve
  double tolerance = 0, gradient_tolerance = 0;
  int nodes = 0;
  bool ok() const {
    return hashes == 1 && eager_equals_captured && difference <= tolerance && gradient_difference <= gradient_tolerance;
  }
};
/// `runs` captured trainings and an eager one by `plan`, against each other and against `cpu`, a training on the CPU of
/// as many steps or fewer.
Verdict examine(const ModelRun& run, RunPlan plan, int runs, const Outcome& cpu);

/// The same of k-means, which runs eagerly, on the first `rows` training images. Its difference is that of the inertia.
Verdict examine_kmeans(const ModelRun& run, const RunPlan& plan, int runs, int rows, const KMeansOptions& options,
                       int K);

}  // namespace hourglass::test
