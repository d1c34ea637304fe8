// SPDX-License-Identifier: Apache-2.0
#include "models/likelihood.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace hourglass {

Likelihood::Likelihood(Parameters& parameters, const ModelConfig& config, Groups group)
    : kind_(config.likelihood),
      fixed_log_sigma_(std::log(config.sigma)),
      optimal_sigma_(kind_ == LikelihoodKind::kGaussian && config.optimal_sigma) {
  constexpr double kFirstLogScale = -2;  // about a seventh of the range from black to white
  if (kind_ == LikelihoodKind::kLogistic) {
    learned_ = &parameters.add("log_scale", {config.channels}, Init::constant(kFirstLogScale), group);
  }
  if (kind_ == LikelihoodKind::kGaussian && config.learned_sigma) {
    learned_ = &parameters.add("log_sigma", {1}, Init::constant(fixed_log_sigma_), group);
  }
}

Var Likelihood::log_sigma(Tape& tape, Dtype dtype) const {
  return learned_ ? learned_->var : full(tape, {1}, dtype, fixed_log_sigma_);
}

Loss Likelihood::nll(Tape& tape, const Var& y, const Var& x) const {
  if (kind_ == LikelihoodKind::kBernoulli) return bernoulli_nll(tape, y, x);
  if (kind_ == LikelihoodKind::kLogistic) return discretized_logistic(tape, y, x, *learned_);
  if (optimal_sigma_) return optimal_gaussian_nll(tape, y, x);
  return gaussian_nll(tape, y, x, log_sigma(tape, accumulator_of(y.dtype)));
}

Loss Likelihood::nll(Tape& tape, const Network& decoder, const Var& z, const Var& x) const {
  const Linear* last = decoder.linear_end();
  if (kind_ != LikelihoodKind::kBernoulli || !last) return nll(tape, decoder(tape, z), x);
  const Var h = decoder.without_last(tape, z);
  return linear_bce(tape, h, last->weight->beside(h.dtype), last->bias->beside(h.dtype), x, last->transposed);
}

Var Likelihood::nll_per_sample(Tape& tape, const Var& y, const Var& x) const {
  if (kind_ == LikelihoodKind::kBernoulli) return bernoulli_nll_per_sample(tape, y, x);
  if (kind_ == LikelihoodKind::kLogistic) return discretized_logistic_per_sample(tape, y, x, *learned_);
  if (optimal_sigma_) return squared_error_per_sample(tape, y, x);
  return gaussian_nll_per_sample(tape, y, x, log_sigma(tape, accumulator_of(y.dtype)));
}

Var Likelihood::mean(Tape& tape, const Var& y) const {
  if (kind_ == LikelihoodKind::kBernoulli) return activation(tape, y, Activation::kSigmoid);
  if (kind_ != LikelihoodKind::kLogistic) return y;
  const Var above = activation(tape, sub(tape, y, full(tape, y.shape, y.dtype, 1)), Activation::kRelu);
  return sub(tape, activation(tape, y, Activation::kRelu), above);
}

double Likelihood::best_variance(double squared_error, double pixels) {
  return std::max(squared_error / pixels, std::exp(-20));  // the bound of kernels/optimal_gaussian.h
}

double Likelihood::nll(double squared_error, double pixels, double variance) {
  return 0.5 * (pixels * std::log(2 * std::numbers::pi * variance) + squared_error / variance);
}

}  // namespace hourglass
