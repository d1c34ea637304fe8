// SPDX-License-Identifier: Apache-2.0
// How good a model is on a data split, each sample counted exactly once, in units that can be compared.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/batch_source.h"
#include "engine/io/json.h"
#include "engine/runtime.h"
#include "engine/step_graph.h"
#include "models/denoising.h"
#include "models/matrix.h"
#include "models/model.h"

namespace hourglass {

struct EvaluationOptions {
  int batch = 500;
  uint32_t seed = 0;  ///< of the evaluation noise and binarisation: equal seeds give equal digits
  double beta = 1;    ///< of the trained objective; the ELBO always has beta 1
  Binarization binarize = Binarization::kNone;  ///< dynamic is drawn once here
  Corruption corruption;                        ///< of what the encoder sees; an image has always the same noise
  int iwae_samples = 0;                         ///< importance samples of the IWAE bound; 0: none
  int64_t data_memory = 0;                      ///< as BatchOptions::data_memory
};

/// Means over the n images. Nats per image, summed over pixels, all constants included.
struct Evaluation {
  /// Of a VQ-VAE, over all positions of all images.
  struct Codes {
    double commitment_loss = 0;  ///< mean over positions and dimensions; the codebook loss is the same number
    std::vector<int64_t> usage;  ///< how often each code was chosen
    double perplexity() const;   ///< exp of the entropy of the usage
    int used() const;            ///< codes chosen at least once
  };
  ModelKind kind = ModelKind::kVae;
  int64_t n = 0;
  double reconstruction = 0;           ///< -log p(x | z), one draw z ~ q(z | x); of an autoencoder z is the code; of
                                       ///< a VQ-VAE the squared error
  double kl = 0;                       ///< KL(q(z | x) || p(z))
  double objective = 0;                ///< reconstruction + beta kl, what was trained; of a VQ-VAE as in LossTerms
  std::optional<double> bits_per_dim;  ///< of the negative ELBO; absent where it is no probability of the data
  double mse = 0;                      ///< mean over pixels and images of the decoder mean at z = mu, on the 0..1 scale
  double psnr = 0;                     ///< mean over images, dB, peak 1, at most 100 an image
  std::optional<double> noisy_psnr;    ///< of the corrupted images, where there is a corruption
  std::optional<double> bce;           ///< autoencoder with a Bernoulli likelihood: reconstruction per pixel
  int active_units = 0;  ///< latents whose posterior mean varies over the data: Var_x(mu) > 0.01 (Burda 2016)
  std::optional<double> iwae_bound;  ///< log-likelihood bound with iwae_samples importance samples (Burda 2016)
  int iwae_samples = 0;
  std::optional<Codes> codes;
  double seconds = 0;
  std::string note;  ///< why a value is absent

  double neg_elbo() const { return reconstruction + kl; }
  double elbo() const { return -neg_elbo(); }
};

/// The mse and the psnr of an Evaluation, of outputs y for images x.
struct Distortion {
  double mse = 0, psnr = 0;
};
Distortion distortion(const Matrix& x, const Matrix& y);

/// The documented keys, in their order; `prefix` ("test_") is put before each.
Json to_json(const Evaluation& evaluation, const std::string& prefix = "");

class ImportanceBound;

class Evaluator {
 public:
  /// References must outlive this. Throws Error(kData) when the images do not fit the model.
  Evaluator(Runtime& runtime, const Model& model, const SampleStore& store, const std::vector<int32_t>& split,
            const EvaluationOptions& options, Dtype dtype = Dtype::kF32);

  ~Evaluator();
  /// `report` is told how much of work() is done, now and then.
  Evaluation run(const std::function<void(int64_t)>& report = {});
  /// Decoded images of a run, importance samples included.
  int64_t work() const { return source_.size() * (1 + (importance_ ? options_.iwae_samples : 0)); }
  /// Bytes of arena it needs.
  size_t bytes() const;

 private:
  struct Sums;
  void add_batch(int rows, Sums& sums) const;
  void add_codes(int rows, Sums& sums) const;

  EvaluationOptions options_;
  const Model* model_;
  bool bytes_;   // the data are 8-bit pixels
  bool binary_;  // the data are zeros and ones
  BatchSource source_;
  Tape tape_;
  EvaluationTerms terms_;
  Var noisy_squared_error_;  // (N) of the corrupted images; empty: none are
  std::unique_ptr<StepGraph> graph_;
  std::unique_ptr<ImportanceBound> importance_;
};

}  // namespace hourglass
