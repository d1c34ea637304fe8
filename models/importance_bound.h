// SPDX-License-Identifier: Apache-2.0
// The importance-weighted bound on log p(x).
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "engine/batch_source.h"
#include "engine/runtime.h"
#include "engine/step_graph.h"
#include "models/model.h"

namespace hourglass {

/// mean over images of log (1/K) sum_k p(x | z_k) p(z_k) / q(z_k | x),  z_k ~ q(z | x): at least the ELBO, at most
/// log p(x), and tighter for larger K. q sees what the ELBO's q sees: of a denoising VAE, the corrupted image. Draws
/// are decoded in chunks of many rows; log-sum-exp streams over the chunks, so memory does not depend on K. Source:
/// Burda, Grosse, Salakhutdinov, arXiv 1509.00519.
class ImportanceBound {
 public:
  /// References must outlive this.
  ImportanceBound(Runtime& runtime, const Model& model, const SampleStore& store, const std::vector<int32_t>& split,
                  const BatchOptions& options, const Corruption& corruption, int samples, Dtype dtype);

  /// `variance`: of the Gaussian likelihood whose sigma is the optimal one; else it is not used.
  /// `report` is told how many draws are decoded, of samples times images.
  double run(double variance, const std::function<void(int64_t)>& report = {});
  size_t bytes() const;

 private:
  /// Per row of draws, with eps = (z - mu) / sigma: log weight = -nll - |z|^2 / 2 + |eps|^2 / 2 + sum_d logvar / 2.
  struct Terms {
    Var nll, z_square, eps_square, logvar_sum;
  };
  struct Chunk {
    int draws = 0;
    Terms terms;
    std::unique_ptr<StepGraph> graph;
  };
  void record(Chunk& chunk);
  std::vector<double> log_weights(const Chunk& chunk, double variance) const;

  const Model* model_;
  Corruption corruption_;
  int samples_;
  BatchSource source_;
  Tape tape_;
  Buffer first_draw_;
  Chunk whole_, rest_;
};

}  // namespace hourglass
