// SPDX-License-Identifier: Apache-2.0
#include "models/vae_steps.h"

#include <algorithm>
#include <string>

#include "engine/dispatch.h"
#include "kernels/vae_step.h"

namespace hourglass {
namespace {

void expect(bool ok, const char* what, const std::string& given) {
  if (!ok) throw Error(Exit::kUsage, std::string("the persistent step: expected ") + what + ", given " + given);
}

void check(const TrainerOptions& o) {
  const ModelConfig& m = o.model;
  expect(m.kind == ModelKind::kVae, "a vae", name_of(m.kind));
  expect(m.encoder.empty() && m.decoder.empty() && m.hidden.size() == 1, "one hidden layer",
         m.encoder.empty() && m.decoder.empty() ? std::to_string(m.hidden.size()) : "an architecture of its own");
  expect(m.likelihood == LikelihoodKind::kBernoulli, "the bernoulli likelihood", name_of(m.likelihood));
  expect(!m.tied_weights, "weights that are not tied", "tied ones");
  expect(m.activation != Activation::kGelu, "an activation other than gelu", "gelu");
  const OptimizerKind kind = o.optimizer.kind;
  expect(kind == OptimizerKind::kAdam || kind == OptimizerKind::kAdamW, "adam or adamw", "another optimizer");
  expect(o.precision == Precision::kFp32, "precision fp32", name_of(o.precision));
  expect(o.samples == 1, "one draw of z an image", std::to_string(o.samples));
  expect(o.micro_batches == 1, "one micro-batch", std::to_string(o.micro_batches));
  expect(o.corruption.amount == 0, "images without corruption", std::to_string(o.corruption.amount));
  expect(!o.detect_anomaly, "no look for anomalies after each op", "one");
  expect(o.profile_steps == 0, "no steps to profile", std::to_string(o.profile_steps));
}

VaeStepLayer layer(const Parameters& parameters, const std::string& name) {
  const auto offset = [&](const char* part) {
    for (const Parameter& p : parameters.all()) {
      if (p.name == name + part) return p.offset;
    }
    throw Error(Exit::kInternal, "the persistent step: there is no parameter " + name + part);
  };
  return {offset(".weight"), offset(".bias")};
}

}  // namespace

VaeSteps::VaeSteps(const Context& ctx, const TrainerOptions& options, const Parameters& parameters,
                   TrainingState& state, const Optimizer& optimizer, const BatchSource& source, const double* beta)
    : ctx_(&ctx),
      options_(&options),
      parameters_(&parameters),
      state_(&state),
      optimizer_(&optimizer),
      source_(&source),
      beta_(beta),
      shape_{options.batch.batch, options.model.pixels(), options.model.hidden.empty() ? 0 : options.model.hidden[0],
             options.model.latent, options.model.activation} {
  check(options);
  const Dtype stored = source.resident(state).dtype;
  expect(stored == Dtype::kU8, "images of bytes", "numbers of another type");
  dispatch_wide(ctx, parameters.dtype(), [&](auto lane) {
    const size_t element = sizeof(typename decltype(lane)::type);
    scratch_ = Buffer(ctx, vae_step_scratch_bytes(lane, shape_, element), "persistent step");
  });
}

template <class T>
VaeStep<T> VaeSteps::arguments() const {
  VaeStep<T> p;
  p.shape = shape_;
  p.encoder = layer(*parameters_, "encoder.0");
  p.head = layer(*parameters_, "head");
  p.decoder = layer(*parameters_, "decoder.0");
  p.last = layer(*parameters_, "decoder.1");
  p.values = static_cast<T*>(parameters_->values());
  p.gradients = static_cast<T*>(parameters_->gradients());
  p.m = static_cast<T*>(optimizer_->moment(0));
  p.v = static_cast<T*>(optimizer_->moment(1));
  p.elements = parameters_->slab_elements();
  p.checked = parameters_->gradient_elements();
  p.logged = static_cast<T*>(parameters_->statistics()) - p.gradients;
  const auto statistic = [&](const char* name) {
    const auto& names = parameters_->statistic_names();
    return p.logged + (std::find(names.begin(), names.end(), name) - names.begin());
  };
  p.reconstruction = statistic("reconstruction");
  p.kl = statistic("kl");
  const ResidentBatches batches = source_->resident(*state_);
  p.data = static_cast<const uint8_t*>(batches.data);
  p.batch = batches.shape;
  p.order = batches.order;
  p.binarize = batches.binarize;
  p.noise.seed = options_->batch.seed;
  p.noise.stream = stream_id("train/latent");
  p.noise.step = state_->device_step();
  p.kl_weight = {1, beta_};
  p.adam = optimizer_->adam_options();
  p.adam_state = optimizer_->adam_state();
  p.lr = optimizer_->lr();
  p.clip_norm = optimizer_->options().clip_norm;
  p.clip_value = optimizer_->options().clip_value;
  const StepWords words = state_->words();
  p.step = words.step;
  p.fault = words.fault;
  p.norm = words.norm;
  p.log_shape = words.log_shape;
  p.log = words.log;
  p.schedule = words.schedule;
  p.blocks = options_->persistent_blocks;
  return p;
}

void VaeSteps::run(int64_t steps) {
  while (steps > 0) {
    const int64_t first = state_->expected_step();
    state_->plan(first);
    const int64_t now = std::min(steps, state_->planned_steps(first));
    dispatch_wide(*ctx_, parameters_->dtype(), [&](auto lane) {
      const auto p = arguments<typename decltype(lane)::type>();
      vae_step(lane, p, static_cast<int>(now), scratch_.data());
    });
    for (int64_t i = 0; i < now; ++i) state_->count_launch();
    steps -= now;
  }
}

}  // namespace hourglass
