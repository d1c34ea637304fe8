// SPDX-License-Identifier: Apache-2.0
#include "engine/optimizers.h"

#include <algorithm>
#include <utility>

#include "engine/dispatch.h"
#include "kernels/gradient_norm.h"

namespace hourglass {
namespace {

std::vector<std::string> moment_names(const OptimizerOptions& options) {
  switch (options.kind) {
    case OptimizerKind::kSgd:
      return options.momentum != 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{};
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW:
      return {"exp_avg", "exp_avg_sq"};
    case OptimizerKind::kAdadelta:
      return {"square_avg", "acc_delta"};
  }
  return {};
}

/// Pointers into device memory, not looked at here.
void append_counters(std::vector<StateTensor>& tensors, OptimizerKind kind, const Buffer& counters,
                     const std::string& name, Device device) {
  const auto append = [&](const char* what, ElementType type, void* data) {
    tensors.push_back({name + "/" + what, type, {}, data, device});
  };
  switch (kind) {
    case OptimizerKind::kSgd:
      return append("steps", ElementType::kI64, &counters.as<SgdState>()->steps);
    case OptimizerKind::kAdadelta:
      return append("steps", ElementType::kI64, &counters.as<AdadeltaState>()->steps);
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW: {
      AdamState* adam = counters.as<AdamState>();
      append("steps", ElementType::kI64, &adam->steps);
      append("beta1_power", ElementType::kF64, &adam->beta1_power);
      append("beta2_power", ElementType::kF64, &adam->beta2_power);
    }
  }
}

}  // namespace

Optimizer::Optimizer(Parameters& parameters, TrainingState& state, const double* lr, const OptimizerOptions& options,
                     Groups groups, std::string name)
    : parameters_(&parameters),
      state_(&state),
      lr_(lr),
      options_(options),
      groups_(groups),
      name_(std::move(name)),
      norm_(state.claim_norm()),
      moment_names_(moment_names(options)),
      counters_(state.ctx(), std::max({sizeof(SgdState), sizeof(AdamState), sizeof(AdadeltaState)}),
                "optimizer counters") {
  const SlabRange range = parameters.range(groups);
  range_ = {range.first, range.count};
  const size_t bytes = static_cast<size_t>(parameters.slab_elements()) * size_of(parameters.dtype());
  for (size_t i = 0; i < moment_names_.size(); ++i) moments_.emplace_back(state.ctx(), bytes, "optimizer moments");
}

void Optimizer::commit(Tape& tape, std::initializer_list<Optimizer*> optimizers) {
  tape.close();
  for (Optimizer* o : optimizers) o->parameters_->complete_gradients(tape.ctx(), o->groups_);
  for (Optimizer* o : optimizers) o->check(tape.ctx(), o == *optimizers.begin());
  tape.mark("gradient check");
  for (Optimizer* o : optimizers) o->update(tape.ctx());
  tape.mark("optimizer");
  const TrainingState& state = *(*optimizers.begin())->state_;
  tape.run_commits({tape.ctx(), state.device_fault(), state.device_step()});
  tape.mark("commits");
  for (Optimizer* o : optimizers) o->parameters_->forget_gradients(o->groups_);
}

void Optimizer::check(const Context& ctx, bool statistics_too) {
  dispatch_wide(ctx, parameters_->dtype(), [&](auto lane) {
    using T = typename decltype(lane)::type;
    const T* slab = static_cast<const T*>(parameters_->gradients());
    const int64_t end = range_.first + range_.count, statistics = parameters_->gradient_elements() - end;
    // The last group's gradients and the statistics lie side by side: one pass.
    const bool together = statistics_too && end == parameters_->slab_elements();
    gradient_check(lane, GradientNormShape{range_.count, range_.count + (together ? statistics : 0), range_.first},
                   slab + range_.first, options_.clip_norm, norm_, state_->device_fault(), state_->device_step());
    if (statistics_too && !together) {
      const int64_t first = parameters_->slab_elements();
      gradient_check(lane, GradientNormShape{0, parameters_->gradient_elements() - first, first}, slab + first, 0.0,
                     state_->spare_norm(), state_->device_fault(), state_->device_step());
    }
  });
}

void Optimizer::update(const Context& ctx) {
  dispatch_wide(ctx, parameters_->dtype(), [&](auto lane) { update_as<typename decltype(lane)::type>(lane); });
}

AdamOptions Optimizer::adam_options() const {
  AdamOptions adam;
  adam.eps = options_.adam_eps;
  adam.weight_decay = options_.weight_decay;
  adam.decoupled = options_.kind == OptimizerKind::kAdamW;
  return adam;
}

template <class T, class Lane>
void Optimizer::update_as(const Lane& lane) {
  const OptimizerRanges ranges{&range_, 1};
  OptimizerStep step;
  step.fault = state_->device_fault();
  step.lr = lr_;
  step.grad_scale = options_.clip_norm > 0 ? &norm_->scale : nullptr;
  step.clip_value = options_.clip_value;
  step.shadow = parameters_->shadows();
  T* values = static_cast<T*>(parameters_->values());
  const T* grads = static_cast<const T*>(parameters_->gradients());
  const auto moment = [this](size_t i) { return i < moments_.size() ? moments_[i].as<T>() : nullptr; };
  switch (options_.kind) {
    case OptimizerKind::kSgd:
      sgd_update(lane, ranges, {options_.momentum, options_.weight_decay, options_.nesterov}, step, values, grads,
                 moment(0), counters_.as<SgdState>());
      return;
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW:
      adam_update(lane, ranges, adam_options(), step, values, grads, moment(0), moment(1), adam_state());
      return;
    case OptimizerKind::kAdadelta: {
      AdadeltaOptions adadelta;
      adadelta.weight_decay = options_.weight_decay;
      adadelta_update(lane, ranges, adadelta, step, values, grads, moment(0), moment(1), counters_.as<AdadeltaState>());
      return;
    }
  }
}

std::vector<StateTensor> Optimizer::state_tensors() {
  std::vector<StateTensor> tensors;
  const Device device = parameters_->device();
  const ElementType type = parameters_->dtype() == Dtype::kF64 ? ElementType::kF64 : ElementType::kF32;
  for (size_t i = 0; i < moments_.size(); ++i) {
    for (const Parameter& p : parameters_->all()) {
      if (!(p.group & groups_)) continue;
      tensors.push_back({name_ + "/" + moment_names_[i] + "/" + p.name, type, extents(p.shape),
                         moments_[i].as<std::byte>() + static_cast<size_t>(p.offset) * size_of(parameters_->dtype()),
                         device});
    }
  }
  append_counters(tensors, options_.kind, counters_, name_, device);
  return tensors;
}

}  // namespace hourglass
