// SPDX-License-Identifier: Apache-2.0
#include "models/importance_bound.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "engine/host_values.h"
#include "engine/transfer.h"
#include "kernels/base/error.h"
#include "kernels/row_reduce.h"
#include "models/denoising.h"
#include "models/row_function.h"

namespace hourglass {
namespace {

// Images and draws of one decode: many draws of few images, because the encoder then costs next to nothing.
constexpr int kMostImages = 16;
constexpr int kMostDraws = 64;

BatchOptions few_images(BatchOptions options, int pixels) {
  options.batch = rows_of_values(kMostImages, pixels);
  return options;
}

}  // namespace

ImportanceBound::ImportanceBound(Runtime& runtime, const Model& model, const SampleStore& store,
                                 const std::vector<int32_t>& split, const BatchOptions& options,
                                 const Corruption& corruption, int samples, Dtype dtype)
    : model_(&model),
      corruption_(corruption),
      samples_(samples),
      source_(runtime.ctx(), store, split, few_images(options, model.config().pixels()), dtype),
      tape_(runtime.ctx(), runtime.arena()),
      first_draw_(runtime.ctx(), sizeof(int32_t), "first draw") {
  if (samples < 1) {
    throw Error(Exit::kUsage, "importance samples: expected at least 1, given " + std::to_string(samples));
  }
  const int64_t pixels = model.config().pixels();
  whole_.draws = std::min(samples, rows_of_values(kMostDraws, pixels * source_.batch()));
  whole_.graph = std::make_unique<StepGraph>(runtime, [this] { record(whole_); });
  rest_.draws = samples % whole_.draws;
  if (rest_.draws) rest_.graph = std::make_unique<StepGraph>(runtime, [this] { record(rest_); });
}

size_t ImportanceBound::bytes() const {
  return std::max(whole_.graph->bytes(), rest_.graph ? rest_.graph->bytes() : size_t{0});
}

void ImportanceBound::record(Chunk& chunk) {
  tape_.rewind(Mode::kEvaluate);
  const Batch batch = corrupt_batch(tape_, source_.selected(tape_), corruption_);
  Noise noise = batch.noise;
  noise.stream = stream_id("evaluate/importance");
  noise.draws = chunk.draws;
  noise.first_draw = first_draw_.as<const int32_t>();
  const Posterior q = model_->posterior(tape_, batch.input());
  const int d = model_->config().latent;
  const Var z = gaussian_latent(tape_, concat(tape_, q.mu, q.logvar), noise).z;
  // The same draws under N(0, I) are eps itself.
  const Var eps = gaussian_latent(tape_, full(tape_, {source_.batch(), 2 * d}, z.dtype, 0), noise).z;
  const Var origin = full(tape_, {1, d}, z.dtype, 0);
  chunk.terms.nll = model_->likelihood().nll_per_sample(tape_, model_->decode(tape_, z), batch.x);
  chunk.terms.z_square = squared_error_per_sample(tape_, z, origin);
  chunk.terms.eps_square = squared_error_per_sample(tape_, eps, origin);
  chunk.terms.logvar_sum = row_sum(tape_, q.logvar);
}

std::vector<double> ImportanceBound::log_weights(const Chunk& chunk, double variance) const {
  const auto values = [this](const Var& v) { return host_values(tape_.ctx(), v); };
  const std::vector<double> nll = values(chunk.terms.nll), z_square = values(chunk.terms.z_square),
                            eps_square = values(chunk.terms.eps_square), logvar_sum = values(chunk.terms.logvar_sum);
  const double pixels = model_->config().pixels();
  const bool optimal_sigma = model_->likelihood().optimal_sigma();
  std::vector<double> weights(nll.size());
  for (size_t r = 0; r < weights.size(); ++r) {
    const size_t image = r / static_cast<size_t>(chunk.draws);
    weights[r] = -(optimal_sigma ? Likelihood::nll(nll[r], pixels, variance) : nll[r]) - 0.5 * z_square[r] +
                 0.5 * eps_square[r] + 0.5 * logvar_sum[image];
  }
  return weights;
}

double ImportanceBound::run(double variance, const std::function<void(int64_t)>& report) {
  double total = 0;
  const auto images = static_cast<size_t>(source_.batch());
  for (int64_t first = 0; first < source_.size(); first += source_.batch()) {
    const int rows = source_.select(first);
    std::vector<double> largest(images, -std::numeric_limits<double>::infinity()), scaled_sum(images);
    for (int draw = 0; draw < samples_;) {
      Chunk& chunk = samples_ - draw >= whole_.draws ? whole_ : rest_;
      write_device(tape_.ctx(), first_draw_.as<int32_t>(), draw);
      chunk.graph->run();
      cpu::log_sum_exp_update(Context{}, {rows, chunk.draws}, log_weights(chunk, variance).data(), largest.data(),
                              scaled_sum.data());
      draw += chunk.draws;
      if (report) report(first * samples_ + int64_t{rows} * draw);
    }
    for (size_t i = 0; i < static_cast<size_t>(rows); ++i) {
      total += largest[i] + std::log(scaled_sum[i]) - std::log(static_cast<double>(samples_));
    }
  }
  return total / static_cast<double>(source_.size());
}

}  // namespace hourglass
