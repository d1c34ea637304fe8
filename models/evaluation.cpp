// SPDX-License-Identifier: Apache-2.0
#include "models/evaluation.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/host_values.h"
#include "engine/sample_file.h"
#include "engine/transfer.h"
#include "kernels/base/error.h"
#include "models/importance_bound.h"

namespace hourglass {
namespace {

bool zeros_and_ones(const SampleStore& store, const std::vector<int32_t>& split) {
  const auto all = [&](const auto* data, auto one) {
    using T = std::remove_cvref_t<decltype(*data)>;
    std::vector<T> of_file(store.data ? 0 : static_cast<size_t>(store.columns));
    return std::all_of(split.begin(), split.end(), [&](int32_t row) {
      if (!store.data) store.file->read(row, 1, of_file.data());
      const T* const x = store.data ? data + int64_t{row} * store.columns : of_file.data();
      return std::all_of(x, x + store.columns, [one](auto v) { return v == 0 || v == one; });
    });
  };
  return store.dtype == Dtype::kU8 ? all(static_cast<const uint8_t*>(store.data), uint8_t{255})
                                   : all(static_cast<const float*>(store.data), 1.0f);
}

BatchOptions batch_options(const EvaluationOptions& options, size_t samples) {
  BatchOptions batch;
  batch.batch =
      static_cast<int>(std::min<size_t>(static_cast<size_t>(std::max(options.batch, 1)), std::max<size_t>(samples, 1)));
  batch.seed = options.seed;
  batch.data_memory = options.data_memory;
  // Drawn once, keyed by the image: every evaluation sees the same binary images.
  batch.binarize = options.binarize == Binarization::kNone ? Binarization::kNone : Binarization::kStatic;
  return batch;
}

double psnr_of(double mse) { return -10 * std::log10(std::max(mse, 1e-10)); }

}  // namespace

Distortion distortion(const Matrix& x, const Matrix& y) {
  Distortion sums;
  for (int64_t n = 0; n < x.rows; ++n) {
    double square = 0;
    for (int i = 0; i < x.cols; ++i) {
      const double difference = double{y.row(n)[i]} - double{x.row(n)[i]};
      square += difference * difference;
    }
    sums.mse += square / x.cols;
    sums.psnr += psnr_of(square / x.cols);
  }
  const double n = static_cast<double>(x.rows);
  return {sums.mse / n, sums.psnr / n};
}

double Evaluation::Codes::perplexity() const { return hourglass::perplexity(usage); }

int Evaluation::Codes::used() const {
  return static_cast<int>(std::count_if(usage.begin(), usage.end(), [](int64_t n) { return n > 0; }));
}

struct Evaluator::Sums {
  double code_distance = 0;
  std::vector<int64_t> code_usage;
  double reconstruction = 0, kl = 0, squared_error = 0, psnr = 0, noisy_psnr = 0;
  std::vector<double> mu, mu_square;
};

Evaluator::Evaluator(Runtime& runtime, const Model& model, const SampleStore& store, const std::vector<int32_t>& split,
                     const EvaluationOptions& options, Dtype dtype)
    : options_(options),
      model_(&model),
      bytes_(store.dtype == Dtype::kU8 && options.binarize == Binarization::kNone),
      binary_(options.binarize != Binarization::kNone || zeros_and_ones(store, split)),
      source_(runtime.ctx(), store, split, batch_options(options, split.size()), dtype),
      tape_(runtime.ctx(), runtime.arena()) {
  if (store.columns != model.config().pixels()) {
    throw Error(Exit::kData, "images of " + std::to_string(store.columns) + " values, the model expects " +
                                 std::to_string(model.config().height) + " x " + std::to_string(model.config().width) +
                                 " x " + std::to_string(model.config().channels) + " = " +
                                 std::to_string(model.config().pixels()));
  }
  if (split.empty()) throw Error(Exit::kData, "evaluation: the split is empty");
  graph_ = std::make_unique<StepGraph>(runtime, [this] {
    tape_.rewind(Mode::kEvaluate);
    const Batch batch = corrupt_batch(tape_, source_.selected(tape_), options_.corruption);
    terms_ = model_->evaluate(tape_, batch);
    if (batch.corrupted) noisy_squared_error_ = squared_error_per_sample(tape_, batch.corrupted, batch.x);
  });
  if (options.iwae_samples > 0 && model.config().kind == ModelKind::kVae) {
    importance_ = std::make_unique<ImportanceBound>(runtime, model, store, split, batch_options(options, split.size()),
                                                    options.corruption, options.iwae_samples, dtype);
  }
}

Evaluator::~Evaluator() = default;

size_t Evaluator::bytes() const { return std::max(graph_->bytes(), importance_ ? importance_->bytes() : size_t{0}); }

void Evaluator::add_batch(int rows, Sums& sums) const {
  const auto values = [this](const Var& v) { return host_values(tape_.ctx(), v); };
  const std::vector<double> reconstruction = values(terms_.reconstruction),
                            squared_error = values(terms_.squared_error);
  const std::vector<double> kl = terms_.kl ? values(terms_.kl) : std::vector<double>(reconstruction.size());
  const std::vector<double> mu = values(terms_.posterior.mu);
  const std::vector<double> noisy = noisy_squared_error_ ? values(noisy_squared_error_) : std::vector<double>();
  const double pixels = model_->config().pixels();
  const size_t latent = sums.mu.size();
  for (size_t n = 0; n < static_cast<size_t>(rows); ++n) {
    sums.reconstruction += reconstruction[n];
    sums.kl += kl[n];
    sums.squared_error += squared_error[n];
    sums.psnr += psnr_of(squared_error[n] / pixels);
    if (!noisy.empty()) sums.noisy_psnr += psnr_of(noisy[n] / pixels);
    for (size_t d = 0; d < latent; ++d) {
      sums.mu[d] += mu[n * latent + d];
      sums.mu_square[d] += mu[n * latent + d] * mu[n * latent + d];
    }
  }
}

void Evaluator::add_codes(int rows, Sums& sums) const {
  const size_t all = static_cast<size_t>(terms_.codes.index.shape.elements());
  std::vector<int32_t> index(all);
  to_host(tape_.ctx(), index.data(), terms_.codes.index.data, all * sizeof(int32_t));
  const std::vector<double> distance = host_values(tape_.ctx(), terms_.codes.distance);
  const size_t batch = static_cast<size_t>(terms_.reconstruction.shape[0]),
               real = all / batch * static_cast<size_t>(rows);
  for (size_t i = 0; i < real; ++i) {
    sums.code_distance += distance[i];
    if (index[i] >= 0) ++sums.code_usage[static_cast<size_t>(index[i])];
  }
}

namespace {

/// What a VQ-VAE is measured by: means instead of nats.
void finish_codes(Evaluation& e, const ModelConfig& config, double code_distance, std::vector<int64_t> usage) {
  const QuantizerConfig& q = config.quantizer;
  e.codes.emplace();
  e.codes->commitment_loss = code_distance / static_cast<double>(e.n) / config.latent;
  e.codes->usage = std::move(usage);
  e.objective = e.mse + (q.commitment_weight + (q.ema ? 0 : 1)) * e.codes->commitment_loss;
}

}  // namespace

Evaluation Evaluator::run(const std::function<void(int64_t)>& report) {
  const auto start = std::chrono::steady_clock::now();
  Sums sums;
  sums.mu.resize(static_cast<size_t>(model_->config().latent));
  sums.mu_square = sums.mu;
  const bool vqvae = model_->config().kind == ModelKind::kVqVae;
  if (vqvae) sums.code_usage.resize(static_cast<size_t>(model_->config().quantizer.codes));
  for (int64_t first = 0; first < source_.size(); first += source_.batch()) {
    const int rows = source_.select(first);
    graph_->run();
    add_batch(rows, sums);
    if (vqvae) add_codes(rows, sums);
    if (report) report(first + rows);
  }
  const double n = static_cast<double>(source_.size()), pixels = model_->config().pixels();
  Evaluation e;
  e.kind = model_->config().kind;
  e.n = source_.size();
  e.reconstruction = sums.reconstruction / n;
  if (!std::isfinite(sums.reconstruction + sums.kl + sums.squared_error)) {
    throw Error(Exit::kNotFinite, "evaluation: the loss over " + std::to_string(source_.size()) +
                                      " images is not finite; expected finite parameters");
  }
  e.kl = sums.kl / n;
  e.objective = e.reconstruction + options_.beta * e.kl;
  e.mse = sums.squared_error / n / pixels;
  e.psnr = sums.psnr / n;
  if (noisy_squared_error_) e.noisy_psnr = sums.noisy_psnr / n;
  for (size_t d = 0; d < sums.mu.size(); ++d) {
    const double mean = sums.mu[d] / n;
    e.active_units += sums.mu_square[d] / n - mean * mean > 0.01;
  }
  if (vqvae) finish_codes(e, model_->config(), sums.code_distance, std::move(sums.code_usage));
  double variance = 1;
  if (model_->likelihood().optimal_sigma()) {
    variance = Likelihood::best_variance(e.reconstruction, pixels);
    e.reconstruction = Likelihood::nll(e.reconstruction, pixels, variance);
    e.objective = e.reconstruction + options_.beta * e.kl;
  }
  const LikelihoodKind likelihood = model_->config().likelihood;
  const bool bernoulli = likelihood == LikelihoodKind::kBernoulli;
  if (e.kind == ModelKind::kAutoencoder) {
    if (bernoulli) e.bce = e.reconstruction / pixels;
  } else if (vqvae) {
    // No density: nothing in nats.
  } else if ((bernoulli && binary_) || (likelihood == LikelihoodKind::kLogistic && bytes_)) {
    e.bits_per_dim = e.neg_elbo() / pixels / std::log(2.0);
  } else {
    e.note = bernoulli ? "bits_per_dim is null: a Bernoulli likelihood of grey pixels is no probability of the stored "
                         "values; do not compare these bounds with published log-likelihoods"
             : likelihood == LikelihoodKind::kLogistic
                 ? "bits_per_dim is null: the logistic likelihood is one of 8-bit pixels, and these are not stored so"
                 : "bits_per_dim is null: a Gaussian density of pixels is no probability of the stored values";
  }
  if (importance_) {
    e.iwae_samples = options_.iwae_samples;
    const auto inner = [&](int64_t decoded) { report(source_.size() + decoded); };
    e.iwae_bound = importance_->run(variance, report ? std::function<void(int64_t)>(inner) : nullptr);
  }
  e.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return e;
}

Json to_json(const Evaluation& e, const std::string& prefix) {
  Json json = Json::object();
  const auto set = [&](const char* key, Json value) { json.set(prefix + key, std::move(value)); };
  const auto optional = [](const std::optional<double>& value) { return value ? Json(*value) : Json(); };
  set("n", e.n);
  if (e.codes) {
    set("mse", e.mse);
    set("psnr", e.psnr);
    set("perplexity", e.codes->perplexity());
    set("codes_used", e.codes->used());
    set("codebook_loss", e.codes->commitment_loss);
    set("commitment_loss", e.codes->commitment_loss);
    set("objective", e.objective);
  } else if (e.kind == ModelKind::kAutoencoder) {
    set("bce", optional(e.bce));
    set("mse", e.mse);
    set("psnr", e.psnr);
    set("reconstruction", e.reconstruction);
    set("objective", e.objective);
  } else {
    set("elbo", e.elbo());
    set("neg_elbo", e.neg_elbo());
    set("reconstruction", e.reconstruction);
    set("kl", e.kl);
    set("objective", e.objective);
    set("bits_per_dim", optional(e.bits_per_dim));
    set("mse", e.mse);
    set("psnr", e.psnr);
    set("active_units", e.active_units);
    set("iwae_bound", optional(e.iwae_bound));
    set("iwae_samples", e.iwae_samples);
  }
  if (e.noisy_psnr) {
    set("noisy_psnr", *e.noisy_psnr);
    set("psnr_gain", e.psnr - *e.noisy_psnr);
  }
  set("seconds", e.seconds);
  if (!e.note.empty()) set("note", e.note);
  return json;
}

}  // namespace hourglass
