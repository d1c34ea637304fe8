// SPDX-License-Identifier: Apache-2.0
#include "models/importance_bound.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/base/error.h"

namespace hourglass {
namespace {

// Images and draws of one decode: many draws of few images, because the encoder then costs next to nothing.
constexpr int kImages = 16;
constexpr int kDraws = 64;

BatchOptions few_images(BatchOptions options) {
  options.batch = kImages;
  return options;
}

/// Element i of a value in the model's dtype.
double at(const Var& v, int64_t i) { return v.dtype == Dtype::kF64 ? v.as<double>()[i] : v.as<float>()[i]; }

}  // namespace

ImportanceBound::ImportanceBound(Runtime& runtime, const Model& model, const SampleStore& store,
                                 const std::vector<int32_t>& split, const BatchOptions& options, int samples,
                                 Dtype dtype)
    : model_(&model),
      samples_(samples),
      source_(store, split, few_images(options), dtype),
      tape_(runtime.ctx(), runtime.arena()),
      first_draw_(sizeof(int32_t), "first draw") {
  whole_.draws = std::min(samples, kDraws);
  whole_.graph = std::make_unique<StepGraph>(runtime, [this] { record(whole_); });
  rest_.draws = samples % whole_.draws;
  if (rest_.draws) rest_.graph = std::make_unique<StepGraph>(runtime, [this] { record(rest_); });
}

size_t ImportanceBound::bytes() const {
  return std::max(whole_.graph->bytes(), rest_.graph ? rest_.graph->bytes() : size_t{0});
}

void ImportanceBound::record(Chunk& chunk) {
  tape_.rewind(Mode::kEvaluate);
  Batch batch = source_.selected(tape_);
  Noise noise = batch.noise;
  noise.stream = stream_id("evaluate/importance");
  noise.draws = chunk.draws;
  noise.first_draw = first_draw_.as<const int32_t>();
  const Posterior q = model_->posterior(tape_, batch.x);
  const int d = model_->config().latent;
  const Var z = gaussian_latent(tape_, concat(tape_, q.mu, q.logvar), noise).z;
  // The same draws under N(0, I) are eps itself.
  const Var eps = gaussian_latent(tape_, full(tape_, {kImages, 2 * d}, z.dtype, 0), noise).z;
  const Var origin = full(tape_, {1, d}, z.dtype, 0);
  chunk.terms.nll = model_->likelihood().nll_per_sample(tape_, model_->decode(tape_, z), batch.x);
  chunk.terms.z_square = squared_error_per_sample(tape_, z, origin);
  chunk.terms.eps_square = squared_error_per_sample(tape_, eps, origin);
  chunk.terms.logvar_sum = row_sum(tape_, q.logvar);
}

void ImportanceBound::add(const Chunk& chunk, int rows, std::vector<double>& largest,
                          std::vector<double>& scaled_sum) const {
  const Terms& t = chunk.terms;
  for (int n = 0; n < rows; ++n) {
    const size_t i = static_cast<size_t>(n);
    for (int k = 0; k < chunk.draws; ++k) {
      const int64_t r = int64_t{n} * chunk.draws + k;
      const double log_weight =
          -at(t.nll, r) - 0.5 * at(t.z_square, r) + 0.5 * at(t.eps_square, r) + 0.5 * at(t.logvar_sum, n);
      if (log_weight > largest[i]) {
        scaled_sum[i] *= std::exp(largest[i] - log_weight);
        largest[i] = log_weight;
      }
      scaled_sum[i] += std::exp(log_weight - largest[i]);
    }
  }
}

double ImportanceBound::run(const std::function<void(int64_t)>& report) {
  double total = 0;
  for (int64_t first = 0; first < source_.size(); first += kImages) {
    const int rows = source_.select(first);
    std::vector<double> largest(kImages, -std::numeric_limits<double>::infinity()), scaled_sum(kImages, 0.0);
    for (int draw = 0; draw < samples_;) {
      Chunk& chunk = samples_ - draw >= whole_.draws ? whole_ : rest_;
      *first_draw_.as<int32_t>() = draw;
      chunk.graph->run();
      add(chunk, rows, largest, scaled_sum);
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
