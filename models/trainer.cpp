// SPDX-License-Identifier: Apache-2.0
#include "models/trainer.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "engine/kmeans.h"
#include "engine/transfer.h"
#include "kernels/base/error.h"
#include "models/vae_steps.h"

namespace hourglass {

double LrSchedule::at(int64_t step) const {
  if (step < warmup) return lr * static_cast<double>(step + 1) / static_cast<double>(warmup);
  const double t = static_cast<double>(step - warmup) / static_cast<double>(std::max<int64_t>(decay_steps, 1));
  switch (kind) {
    case LrScheduleKind::kConstant:
      return lr;
    case LrScheduleKind::kCosine:
      return lr * (1 + std::cos(std::numbers::pi * std::min(1.0, t))) / 2;
    case LrScheduleKind::kStep:
      return lr * std::pow(gamma, std::floor(t));
    case LrScheduleKind::kExponential:
      return lr * std::pow(gamma, t);
  }
  return lr;
}

namespace {

Runtime& checked(Runtime& runtime, const TrainerOptions& options) {
  check_precision(options.precision, runtime.ctx());
  return runtime;
}

/// Batches are gathered as what the step computes in, and all else follows from them.
Dtype activations_of(const TrainerOptions& options) {
  return options.precision == Precision::kBf16 ? Dtype::kBF16 : options.dtype;
}

/// Parameters are allocated between the model, which names them, and the training state, which measures them.
const Parameters& allocated(Parameters& parameters, const TrainerOptions& options, const Context& ctx) {
  if (options.precision == Precision::kBf16) parameters.keep_shadows();
  parameters.allocate(options.batch.seed, ctx);
  return parameters;
}

}  // namespace

Trainer::Trainer(Runtime& runtime, const SampleStore& store, const std::vector<int32_t>& split,
                 const TrainerOptions& options)
    : runtime_(&checked(runtime, options)),
      options_(options),
      parameters_(options.dtype),
      model_(make_model(parameters_, options.model)),
      vqvae_(dynamic_cast<const VqVae*>(model_.get())),
      reconstruction_(parameters_.statistic("reconstruction")),
      second_(parameters_.statistic(vqvae_ ? "commitment_loss" : "kl")),
      state_(runtime.ctx(), allocated(parameters_, options, runtime.ctx())),
      beta_(state_.schedule([this](int64_t step) { return beta_at(step); })),
      optimizer_(parameters_, state_, state_.schedule([this](int64_t step) { return options_.lr.at(step); }),
                 options.optimizer),
      source_(runtime.ctx(), store, split, options.batch, activations_of(options)),
      tape_(runtime.ctx(), runtime.arena()) {
  if (store.columns != options.model.pixels()) {
    throw Error(Exit::kData, "images of " + std::to_string(store.columns) + " values, the model expects " +
                                 std::to_string(options.model.pixels()));
  }
  if (options.micro_batches < 1 || options.batch.batch % options.micro_batches != 0) {
    throw Error(Exit::kUsage, "micro-batches: expected a divisor of the batch " + std::to_string(options.batch.batch) +
                                  ", given " + std::to_string(options.micro_batches));
  }
  tape_.detect_anomaly(options.detect_anomaly);
  if (options.profile_steps > 0) profiler_ = std::make_unique<Profiler>(runtime.ctx(), options.profile_steps);
  if (vqvae_) {
    code_usage_ = Buffer(runtime.ctx(), sizeof(int64_t) * static_cast<size_t>(options.model.quantizer.codes), "usage");
    vqvae_->start(runtime.ctx());
  }
  step_graph_ = std::make_unique<StepGraph>(runtime, state_, [this] { record_step(); });
  if (options.persistent) {
    whole_steps_ = std::make_unique<VaeSteps>(runtime.ctx(), options, parameters_, state_, optimizer_, source_, beta_);
  }
  if (vqvae_ && options.model.quantizer.kmeans) {
    first_vectors_ = std::make_unique<StepGraph>(runtime, [this] {
      tape_.rewind(Mode::kTrain);  // norms as in the first step
      vectors_ = vqvae_->vectors(tape_, corrupt_batch(tape_, source_.next(tape_, state_), options_.corruption).input());
      parameters_.forget_gradients(kAllGroups);  // statistics of the norms
    });
  }
}

Trainer::~Trainer() = default;

void Trainer::start_codebook() {
  state_.plan(0);  // where the batches are streamed: brings the first one
  first_vectors_->run_eagerly();
  const int dim = vqvae_->grid().channels;
  const Var rows = reshape(vectors_, {vectors_.shape.elements() / dim, dim});
  kmeans(runtime_->ctx(), rows, vqvae_->codebook(), {.seed = options_.batch.seed});
  vqvae_->start(runtime_->ctx());
}

double Trainer::beta_at(int64_t step) const {
  if (options_.beta_warmup <= 0) return options_.beta;
  return options_.beta * std::min(1.0, static_cast<double>(step) / static_cast<double>(options_.beta_warmup));
}

void Trainer::record_step() {
  const MathScope scope(*runtime_, options_.precision == Precision::kTf32 ? Math::kTf32 : Math::kFp32);
  const int rows = options_.batch.batch / options_.micro_batches;
  const double share = 1.0 / options_.micro_batches;
  for (int part = 0; part < options_.micro_batches; ++part) {
    tape_.rewind(Mode::kTrain);
    const Batch batch = corrupt_batch(tape_, source_.next(tape_, state_, part * rows, rows), options_.corruption);
    const LossTerms loss = model_->train(tape_, batch, options_.samples);
    if (vqvae_) {
      const ModelConfig& c = options_.model;
      const Term terms[] = {{loss.reconstruction, share / c.pixels(), reconstruction_},
                            {loss.commitment, share * c.quantizer.commitment_weight, second_},
                            {loss.codebook, share}};
      tape_.backward(terms, loss.codebook.node >= 0 ? 3 : 2);
      add_code_counts_on_commit(tape_, vqvae_->code_counts(), options_.dtype, c.quantizer.codes,
                                code_usage_.as<int64_t>());
    } else {
      const Term terms[] = {{loss.reconstruction, Weight{share}, reconstruction_},
                            {loss.kl, Weight{share, beta_}, second_}};
      tape_.backward(terms, loss.kl.node >= 0 ? 2 : 1);
    }
  }
  optimizer_.commit(tape_);
}

void Trainer::run_step() {
  if (!profiler_ || !profiler_->wants_step()) {
    return options_.detect_anomaly ? step_graph_->run_eagerly() : step_graph_->run();
  }
  tape_.profile(profiler_.get());
  profiler_->begin_step();
  step_graph_->run_eagerly();
  tape_.mark("log");
  profiler_->end_step();
  tape_.profile(nullptr);
}

void Trainer::run_steps(int64_t steps) {
  for (int64_t i = 0; i < steps; ++i) {
    try {
      run_step();
    } catch (const Error& error) {
      parameters_.forget_gradients(kAllGroups);  // of the part that ran
      if (error.exit() != Exit::kNotFinite) throw;
      throw Error(Exit::kNotFinite, "step " + std::to_string(state_.step()) + ": " + error.what());
    }
  }
}

void Trainer::run(int64_t steps) {
  if (first_vectors_ && steps > 0) {
    if (state_.step() == 0) {
      try {
        start_codebook();
      } catch (const Error& error) {
        if (error.exit() != Exit::kNotFinite) throw;
        throw Error(Exit::kNotFinite, std::string("the codebook's start: ") + error.what());
      }
    }
    first_vectors_.reset();
  }
  while (steps > 0) {
    const int64_t first = state_.step();
    const int64_t window = std::min<int64_t>(steps, TrainingState::kWindow);
    whole_steps_ ? whole_steps_->run(window) : run_steps(window);
    // Looked at once a window: after a fault the rest of it has changed nothing.
    fold_log(first, state_.step());
    if (state_.fault().code != 0) explain_fault();
    steps -= window;
  }
}

void Trainer::explain_fault() {
  const Fault fault = state_.fault();
  state_.clear_fault();
  const std::string step = "step " + std::to_string(fault.step) + ": ";
  if (fault.op == kFaultSchedule) throw Error(Exit::kInternal, step + "no scheduled values were planned for it");
  if (fault.op == kFaultCode) {
    throw Error(Exit::kNotFinite, step + "code " + std::to_string(fault.index) + " of the codebook is not finite");
  }
  tape_.detect_anomaly(true);
  try {
    step_graph_->run_eagerly();
  } catch (const Error& error) {
    tape_.detect_anomaly(options_.detect_anomaly);
    parameters_.forget_gradients(kAllGroups);
    throw Error(Exit::kNotFinite, step + error.what());
  }
  tape_.detect_anomaly(options_.detect_anomaly);
  state_.clear_fault();
  const std::string what = fault.op == kFaultPosition ? "position " + std::to_string(fault.index) + " of the encoding"
                                                      : parameters_.name_of_gradient(fault.index);
  throw Error(Exit::kNotFinite, step + what + " is not finite; the parameters are those before this step");
}

void Trainer::fold_log(int64_t first, int64_t last) {
  const std::vector<double> rows = state_.logged(first, last);
  const size_t columns = kCount;
  for (size_t i = 0; i < rows.size(); ++i) window_[i % columns] += rows[i];
  window_[kCount] += static_cast<double>(last - first);
}

LogPoint Trainer::take_log() {
  LogPoint point;
  point.steps = static_cast<int64_t>(window_[kCount]);
  const double n = std::max(1.0, window_[kCount]);
  point.reconstruction = window_[kReconstruction] / n / options_.micro_batches;
  (vqvae_ ? point.commitment : point.kl) = window_[kSecond] / n / options_.micro_batches;
  point.gradient_norm = window_[kGradientNorm] / n;
  std::fill(std::begin(window_), std::end(window_), 0.0);
  if (vqvae_) {
    point.code_usage.resize(static_cast<size_t>(options_.model.quantizer.codes));
    const size_t bytes = point.code_usage.size() * sizeof(int64_t);
    to_host(runtime_->ctx(), point.code_usage.data(), code_usage_.data(), bytes);
    const std::vector<int64_t> zeros(point.code_usage.size());
    to_device(runtime_->ctx(), code_usage_.data(), zeros.data(), bytes);
  }
  return point;
}

std::vector<StateTensor> Trainer::state_tensors() {
  std::vector<StateTensor> tensors = model_tensors(parameters_);
  for (StateTensor& t : optimizer_.state_tensors()) tensors.push_back(std::move(t));
  saved_step_ = state_.step();
  tensors.push_back({"training/step", ElementType::kI64, {}, &saved_step_});
  tensors.push_back({"training/log_window", ElementType::kF64, {kColumns}, window_});
  if (vqvae_) {
    tensors.push_back({"training/code_usage",
                       ElementType::kI64,
                       {options_.model.quantizer.codes},
                       code_usage_.data(),
                       runtime_->ctx().device});
  }
  return tensors;
}

void Trainer::restore(const SafetensorsFile& file) {
  hourglass::restore(file, state_tensors(), runtime_->ctx());
  parameters_.refresh_shadows(runtime_->ctx());
  if (saved_step_ < 0) {
    throw Error(Exit::kCheckpoint,
                "training/step expects at least 0, the checkpoint has " + std::to_string(saved_step_));
  }
  state_.set_step(saved_step_);
}

}  // namespace hourglass
